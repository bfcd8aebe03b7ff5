"""/record: an object that holds details only.

https://documentation.dnanexus.com/developer/api/introduction-to-data-object-classes/records
"""

from dataclasses import replace

from local_platform.api import data_object
from local_platform.api.call import Call
from local_platform.strict_json import Hash

# What a new record takes over from the one it is initialized from.
INHERITED = ("name", "types", "tags", "properties", "details")


def new(call: Call) -> Hash:
    """/record/new; clients may say of which version of the API it is."""
    call.ignore("dxapi")
    state = "closed" if call.field("close", bool, False) else "open"
    return data_object.create(_initialized(call), "record", state, {})


def _initialized(call: Call) -> Call:
    """Return a call with the fields that it leaves to another record."""
    source = call.within("initializeFrom")
    if not source.body:
        return call
    record = call.described(source.field("id", str), source.optional("project", str))
    if record["class"] != "record":
        raise source.expected("id", "the ID of a record")
    return replace(call, body={field: record[field] for field in INHERITED} | call.body)


def close(call: Call) -> Hash:
    """/record-x/close."""
    return data_object.change_open(call, state="closed")
