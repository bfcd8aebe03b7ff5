"""/record: an object that holds details only."""

from local_platform.api import data_object
from local_platform.call import Call
from local_platform.strict_json import Hash


def new(call: Call) -> Hash:
    """/record/new."""
    state = "closed" if call.field("close", bool, False) else "open"
    return data_object.create(call, "record", state, {})


def close(call: Call) -> Hash:
    """/record-x/close."""
    return data_object.change(call, state="closed")
