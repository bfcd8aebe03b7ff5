"""/record: an object that holds details only."""

from local_platform.api import data_object
from local_platform.call import Call


def new(call: Call) -> dict:
    """/record/new."""
    state = "closed" if call.field("close", bool, False) else "open"
    return {"id": data_object.create(call, "record", state, {})["id"]}


def close(call: Call) -> dict:
    """/record-x/close."""
    return data_object.change(call, state="closed")
