"""What files, applets and records share: creation, description, labels, details.

https://documentation.dnanexus.com/developer/api/introduction-to-data-object-classes
"""

from typing import Any

from local_platform import links
from local_platform.call import USER, Call
from local_platform.errors import InvalidInput, InvalidState, ResourceNotFound
from local_platform.search import Selection
from local_platform.store import Placement, Store, new_id, now
from local_platform.strict_json import Hash


def create(call: Call, class_name: str, state: str, extra: Hash) -> Hash:
    """Make a data object from the fields that all classes share, and answer with its ID."""
    container = call.container(call.field("project", str), "UPLOAD")["id"]
    folder = call.folder()
    if not call.field("parents", bool, False) and not call.store.has_folder(container, folder):
        raise ResourceNotFound(f'The folder "{folder}" could not be found in {container}')
    object_id = new_id(class_name)
    time = now()
    shared = {
        "id": object_id,
        "class": class_name,
        "name": call.field("name", str, object_id) or object_id,
        "state": state,
        "hidden": call.field("hidden", bool, False),
        "created": time,
        "modified": time,
        "createdBy": {"user": USER} | ({"job": call.job_id} if call.job_id else {}),
        "types": call.strings("types", []),
        "tags": call.strings("tags", []),
        "properties": call.properties(),
        "details": checked_details(call.body.get("details", {})),
        "sponsored": False,
    }
    # What a client sends beside them may not replace them.
    description = shared | extra | shared
    call.store.save(description)
    call.store.place(object_id, container, folder)
    return {"id": object_id}


def checked_details(details: Any) -> Any:
    """Return details, which must be a hash or an array."""
    if not isinstance(details, dict | list):
        raise InvalidInput('Expected the field "details" to be a hash or an array')
    return details


def selection(options: Any) -> Selection:
    """Return which fields of data objects a request asks for."""
    return Selection(options, on_demand=("details", "properties", "parts"))


def view(store: Store, place: Placement, one: Hash, wanted: Selection) -> Hash:
    """Return what is asked of an object's description, as it lies in one place."""
    description = one | {
        "project": place.container,
        "folder": place.folder,
        "links": lambda: links.object_ids(one["details"]),
    }
    if one["class"] == "file":
        description["parts"] = lambda: _parts(store, one["id"])
    if one["class"] == "applet":
        run_spec = one["runSpec"]
        description["runSpec"] = {name: run_spec[name] for name in run_spec if name != "code"}
    return wanted.of(description)


def _parts(store: Store, file_id: str) -> Hash:
    """Return the parts of a file by number, which JSON has as a string."""
    return {str(number): part for number, part in store.parts(file_id).items()}


def describe(call: Call) -> Hash:
    """/class-x/describe."""
    place = call.placement(call.object_id, "VIEW", call.optional("project", str))
    return view(call.store, place, call.store.get(call.object_id), selection(call.body))


def get_details(call: Call) -> Any:
    """/class-x/getDetails."""
    call.placement(call.object_id)
    return call.store.get(call.object_id)["details"]


def change(call: Call, **changes: Any) -> Hash:
    """Write changed fields of the object that is called, and answer with its ID."""
    call.placement(call.object_id, "CONTRIBUTE", call.optional("project", str))
    call.store.save(call.store.get(call.object_id) | changes | {"modified": now()})
    return {"id": call.object_id}


def rename(call: Call) -> Hash:
    """/class-x/rename."""
    return change(call, name=call.field("name", str))


def set_details(call: Call) -> Hash:
    """/class-x/setDetails: the body is the details. Closed objects keep theirs."""
    if call.store.get(call.object_id)["state"] != "open":
        raise InvalidState(f"{call.object_id} is closed: its details cannot be changed")
    call.placement(call.object_id, "CONTRIBUTE")
    details = checked_details(call.body)
    call.store.save(call.store.get(call.object_id) | {"details": details, "modified": now()})
    return {"id": call.object_id}


def set_visibility(call: Call) -> Hash:
    """/class-x/setVisibility."""
    return change(call, hidden=call.field("hidden", bool))


def set_properties(call: Call) -> Hash:
    """/class-x/setProperties: null removes one."""
    return change(call, properties=merged_properties(call))


def merged_properties(call: Call) -> Hash:
    """Return an entity's properties with the call's changes, of which null removes one."""
    removed = [name for name, value in call.field("properties", dict).items() if value is None]
    properties = call.store.get(call.object_id)["properties"] | call.properties()
    return {name: value for name, value in properties.items() if name not in removed}


def with_labels(call: Call, field: str) -> list[str]:
    """Return the entity's tags or types with the call's added."""
    held = call.store.get(call.object_id)[field]
    return list(dict.fromkeys(held + call.strings(field)))


def without_labels(call: Call, field: str) -> list[str]:
    """Return the entity's tags or types with the call's removed."""
    removed = call.strings(field)
    return [label for label in call.store.get(call.object_id)[field] if label not in removed]


def add_tags(call: Call) -> Hash:
    """/class-x/addTags."""
    return change(call, tags=with_labels(call, "tags"))


def remove_tags(call: Call) -> Hash:
    """/class-x/removeTags."""
    return change(call, tags=without_labels(call, "tags"))


def add_types(call: Call) -> Hash:
    """/class-x/addTypes."""
    return change(call, types=with_labels(call, "types"))


def remove_types(call: Call) -> Hash:
    """/class-x/removeTypes."""
    return change(call, types=without_labels(call, "types"))
