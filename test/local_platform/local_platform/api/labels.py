"""Tags, types and properties: of projects, data objects and executions.

A data object has tags and properties of its own in each project that it lies in.
"""

from local_platform.api import data_object
from local_platform.api.call import Call
from local_platform.store import entities, places
from local_platform.strict_json import Hash


def set_properties(call: Call) -> Hash:
    """/class-x/setProperties: null removes one."""
    asked = call.field("properties", dict)
    kept = {
        name: value for name, value in _labelled(call)["properties"].items() if name not in asked
    }
    return _change(call, properties=kept | call.properties())


def add_tags(call: Call) -> Hash:
    """/class-x/addTags."""
    return _change(call, tags=_with(call, "tags"))


def remove_tags(call: Call) -> Hash:
    """/class-x/removeTags."""
    return _change(call, tags=_without(call, "tags"))


def add_types(call: Call) -> Hash:
    """/class-x/addTypes."""
    data_object.checked_types(call)
    return data_object.change_open(call, types=_with(call, "types"))


def remove_types(call: Call) -> Hash:
    """/class-x/removeTypes."""
    return data_object.change_open(call, types=_without(call, "types"))


def _with(call: Call, field: str) -> list[str]:
    """Return tags or types with the call's added."""
    return list(dict.fromkeys(_labelled(call)[field] + call.strings(field)))


def _without(call: Call, field: str) -> list[str]:
    """Return tags or types with the call's removed."""
    removed = call.strings(field)
    return [label for label in _labelled(call)[field] if label not in removed]


def _labelled(call: Call) -> Hash:
    """Return the description of what is called, which the caller must be allowed to change."""
    if call.object_id.startswith("project-"):
        return call.container(call.object_id, "CONTRIBUTE")
    if call.object_id.startswith(("job-", "analysis-")):
        call.ignore("project")
        return call.execution(call.object_id)
    place = call.placement(call.object_id, "CONTRIBUTE", call.optional("project", str))
    return places.describe(call.store, place)


def _change(call: Call, **labels: object) -> Hash:
    """Write changed labels, and answer with the ID of what is called."""
    if call.object_id.startswith(("project-", "job-", "analysis-")):
        entities.change(call.store, call.object_id, **labels)
        return {"id": call.object_id}
    return data_object.relabel(call, **labels)
