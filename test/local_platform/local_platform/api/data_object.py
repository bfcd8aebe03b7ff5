"""What files, applets, records and workflows share: creation, description, labels, details.

https://documentation.dnanexus.com/developer/api/introduction-to-data-object-classes
"""

import re
from typing import Any

from local_platform.api.call import Call
from local_platform.api.search import Selection
from local_platform.errors import InvalidInput
from local_platform.jobs import analyses
from local_platform.rules import links, stages
from local_platform.rules.fields import REQUIRED
from local_platform.store import entities, folders, parts, places
from local_platform.store.containers import USER
from local_platform.store.database import Store, now
from local_platform.store.entities import new_id
from local_platform.store.places import Placement
from local_platform.strict_json import Hash

TYPE_NAME = re.compile(r"[A-Za-z0-9_.:-]+")


def create(call: Call, class_name: str, state: str, extra: Hash) -> Hash:
    """Make a data object from the fields that all classes share, and answer with its ID."""
    container = call.container(call.field("project", str), "UPLOAD")["id"]
    folder = call.folder()
    if not call.field("parents", bool, False):
        folders.require(call.store, container, folder)
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
        "types": checked_types(call, []),
        **labels(call),
        "sponsored": False,
    }
    # Fields of the client's own do not replace these.
    description = shared | extra | shared
    entities.save(call.store, description)
    places.put(call.store, object_id, container, folder)
    return {"id": object_id}


def checked_types(call: Call, default: list[str] = REQUIRED) -> list[str]:
    """Return the field "types" of a request."""
    types = call.strings("types", default)
    if not all(TYPE_NAME.fullmatch(name) for name in types):
        raise call.expected("types", "an array of valid strings for a type name")
    return types


def labels(call: Call) -> Hash:
    """Return what a request says of a new data object or execution for people to read."""
    return {
        "tags": call.strings("tags", []),
        "properties": call.properties(),
        "details": checked_details(call.raw("details", {})),
    }


def checked_details(details: Any) -> Any:
    """Return details, which must be a hash or an array."""
    if not isinstance(details, dict | list):
        raise InvalidInput('Expected the field "details" to be a hash or an array')
    return details


def selection(options: Any) -> Selection:
    """Return which fields of data objects a request asks for."""
    return Selection(options, on_demand=("details", "properties", "parts"))


def view(store: Store, place: Placement, one: Hash, wanted: Selection) -> Hash:
    """Return the fields asked for of an object, as described in one place."""
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
    if one["class"] == "workflow":
        description |= _workflow_fields(store, one)
    return wanted.of(description)


def _workflow_fields(store: Store, workflow: Hash) -> Hash:
    """Return the fields of a workflow that follow from the applets of its stages.

    A workflow with a stage that can no longer be run has no specifications.
    """
    applets = [entities.find(store, stage["executable"]) for stage in workflow["stages"]]
    pairs = [(stage, one) for stage, one in zip(workflow["stages"], applets, strict=True) if one]
    complete = len(pairs) == len(applets)
    inputs = [entry for pair in pairs for entry in stages.input_spec(*pair)]
    outputs = [entry for pair in pairs for entry in stages.output_spec(*pair)]
    latest = entities.find(store, workflow["latestAnalysis"] or "")
    return {
        "title": workflow["title"] or workflow["name"],
        "stages": [
            stage | {"accessible": applet is not None}
            for stage, applet in zip(workflow["stages"], applets, strict=True)
        ],
        "inputSpec": inputs if complete else None,
        "outputSpec": outputs if complete else None,
        "latestAnalysis": _latest(store, latest) if latest else None,
    }


def _latest(store: Store, analysis: Hash) -> Hash:
    described = analyses.current(store, analysis)
    return {field: described[field] for field in ("id", "created", "state")}


def _parts(store: Store, file_id: str) -> Hash:
    """Return the parts of a file by number, which JSON has as a string."""
    return {str(number): part for number, part in parts.of(store, file_id).items()}


def describe(call: Call) -> Hash:
    """/class-x/describe."""
    place = call.placement(call.object_id, "VIEW", call.optional("project", str))
    return view(call.store, place, places.describe(call.store, place), selection(call.whole()))


def list_projects(call: Call) -> Hash:
    """/class-x/listProjects: what the caller may do in each place that holds the object."""
    call.placement(call.object_id)
    levels = {holder: call.level(holder) for holder in places.holders(call.store, call.object_id)}
    return {holder: level for holder, level in levels.items() if level != "NONE"}


def get_details(call: Call) -> Any:
    """/class-x/getDetails: the same in every project."""
    call.ignore("project")
    call.placement(call.object_id)
    return entities.get(call.store, call.object_id)["details"]


def change(call: Call, **changes: Any) -> Hash:
    """Write changed fields of the object that is called, for all its copies; answer its ID."""
    call.placement(call.object_id, "CONTRIBUTE", call.optional("project", str))
    entities.change(call.store, call.object_id, **changes)
    return {"id": call.object_id}


def relabel(call: Call, **changes: Any) -> Hash:
    """Write changed metadata of one copy of the object that is called, and answer with its ID."""
    place = call.placement(call.object_id, "CONTRIBUTE", call.optional("project", str))
    places.relabel(call.store, place, changes)
    return change(call)


def change_open(call: Call, **changes: Any) -> Hash:
    """Write what can be changed only until the object is closed."""
    call.placement(call.object_id, "CONTRIBUTE", call.optional("project", str))
    entities.require_open(call.store, call.object_id)
    return change(call, **changes)


def rename(call: Call) -> Hash:
    """/class-x/rename."""
    return relabel(call, name=call.field("name", str))


def set_details(call: Call) -> Hash:
    """/class-x/setDetails."""
    return change_open(call, details=checked_details(call.raw("details")))


def set_visibility(call: Call) -> Hash:
    """/class-x/setVisibility."""
    return change_open(call, hidden=call.field("hidden", bool))
