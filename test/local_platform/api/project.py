"""/project and /container (a job's workspace), which share their methods.

https://documentation.dnanexus.com/developer/api/data-containers
"""

from typing import Any

from local_platform import containers
from local_platform.api import data_object
from local_platform.call import Call
from local_platform.errors import InvalidInput, InvalidState, PermissionDenied, ResourceNotFound
from local_platform.fields import REQUIRED
from local_platform.jobs import life
from local_platform.search import Selection
from local_platform.store import now
from local_platform.strict_json import Hash


def new(call: Call) -> Hash:
    """/project/new."""
    if call.field("region", str, containers.REGION) != containers.REGION:
        raise InvalidInput(f'The field "region" must be {containers.REGION}')
    if call.job_id and not call.store.get(call.job_id)["access"].get("projectCreation"):
        raise PermissionDenied("This job's access does not allow it to make projects")
    container_id = containers.create(
        call.store,
        "project",
        call.field("name", str),
        summary=call.field("summary", str, ""),
        description=call.field("description", str, ""),
        tags=call.strings("tags", []),
        properties=call.properties(),
    )
    return {"id": container_id}


def selection(options: Any) -> Selection:
    """Return which fields of projects a request asks for."""
    return Selection(options, on_demand=("properties", "folders", "fileUploadParameters"))


def view(call: Call, container_id: str, wanted: Selection) -> Hash:
    """Return the description of a project or container."""
    description = call.store.get(container_id) | {
        "level": call.level(container_id),
        "dataUsage": lambda: call.store.usage(container_id) / 2**30,
        "folders": lambda: call.store.folders(container_id),
        "fileUploadParameters": containers.UPLOAD_PARAMETERS,
    }
    return wanted.of(description)


def describe(call: Call) -> Hash:
    """/project-x/describe, /container-x/describe."""
    call.container(call.object_id, "VIEW")
    return view(call, call.object_id, selection(call.body))


def update(call: Call) -> Hash:
    """/project-x/update."""
    project = call.container(call.object_id, "ADMINISTER")
    changes = {name: call.field(name, str, project[name]) for name in ("name", "summary")}
    changes["description"] = call.field("description", str, project["description"])
    call.store.save(project | changes | {"modified": now()})
    return {"id": call.object_id}


def destroy(call: Call) -> Hash:
    """/project-x/destroy."""
    call.container(call.object_id, "ADMINISTER")
    unfinished = call.store.oldest("job", life.UNFINISHED)
    if any(job["project"] == call.object_id for job in unfinished):
        raise InvalidState("Jobs are running in this project: terminate them first")
    containers.empty(call.store, call.object_id)
    call.store.delete(call.object_id)
    return {"id": call.object_id}


def list_folder(call: Call) -> Hash:
    """/project-x/listFolder."""
    call.container(call.object_id, "VIEW")
    folder = existing_folder(call, call.folder())
    only = call.field("only", str, "all")
    options = call.body.get("describe")
    wanted = data_object.selection(options)
    reply: Hash = {}
    if only in ("all", "folders"):
        reply["folders"] = [
            path
            for path in call.store.folders(call.object_id)
            if path != "/" and (path.rpartition("/")[0] or "/") == folder
        ]
    if only in ("all", "objects"):
        reply["objects"] = []
        with_hidden = call.field("includeHidden", bool, False)
        for place, one in call.store.objects([call.object_id], folder, recurse=False):
            if one["hidden"] and not with_hidden:
                continue
            found: Hash = {"id": place.object}
            if options:
                found["describe"] = data_object.view(call.store, place, one, wanted)
            reply["objects"].append(found)
    return reply


def existing_folder(call: Call, path: str, container_id: str | None = None) -> str:
    """Return a folder's path.

    Raises:
        ResourceNotFound: there is no such folder.
    """
    container_id = container_id or call.object_id
    if not call.store.has_folder(container_id, path):
        raise ResourceNotFound(f'The folder "{path}" could not be found in {container_id}')
    return path


def new_folder(call: Call) -> Hash:
    """/project-x/newFolder."""
    call.container(call.object_id, "UPLOAD")
    folder = call.folder(default=REQUIRED)
    if not call.field("parents", bool, False):
        if call.store.has_folder(call.object_id, folder):
            raise InvalidState(f'The folder "{folder}" exists')
        existing_folder(call, folder.rpartition("/")[0] or "/")
    call.store.add_folder(call.object_id, folder)
    return {"id": call.object_id}


def remove_objects(call: Call) -> Hash:
    """/project-x/removeObjects: with force, those that are not here are passed over."""
    call.container(call.object_id, "CONTRIBUTE")
    for object_id in call.strings("objects"):
        if call.object_id in call.store.holders(object_id):
            call.store.unplace(object_id, call.object_id)
        elif not call.field("force", bool, False):
            raise ResourceNotFound(f"{object_id} could not be found in {call.object_id}")
    return {"id": call.object_id}


def remove_folder(call: Call) -> Hash:
    """/project-x/removeFolder."""
    call.container(call.object_id, "CONTRIBUTE")
    folder = call.folder()
    if not call.store.has_folder(call.object_id, folder) and call.field("force", bool, False):
        return {"id": call.object_id, "completed": True}
    existing_folder(call, folder)
    below = [path for path in call.store.folders(call.object_id) if _inside(path, folder)]
    contents = call.store.contents(call.object_id, folder)
    if (contents or below != [folder]) and not call.field("recurse", bool, False):
        raise InvalidState(f'The folder "{folder}" is not empty')
    containers.empty(call.store, call.object_id, folder)
    for path in below:
        if path != "/":
            call.store.remove_folder(call.object_id, path)
    return {"id": call.object_id, "completed": True}


def _inside(path: str, folder: str) -> bool:
    """Tell whether a path is a folder or lies below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def move(call: Call) -> Hash:
    """/project-x/move: objects and folders into another folder of the same project."""
    call.container(call.object_id, "CONTRIBUTE")
    destination = existing_folder(call, call.folder("destination"))
    for object_id in call.strings("objects", []):
        if call.object_id not in call.store.holders(object_id):
            raise ResourceNotFound(f"{object_id} could not be found in {call.object_id}")
        call.store.place(object_id, call.object_id, destination)
    for folder in call.strings("folders", []):
        _move_folder(call, folder, destination.rstrip("/") + "/" + folder.rpartition("/")[2])
    return {"id": call.object_id}


def rename_folder(call: Call) -> Hash:
    """/project-x/renameFolder: to a new name, or a new path."""
    call.container(call.object_id, "CONTRIBUTE")
    folder = call.folder()
    if "newpath" in call.body:
        path = call.folder("newpath")
        existing_folder(call, path.rpartition("/")[0] or "/")
    else:
        name = call.field("name", str)
        if not name or "/" in name:
            raise call.expected("name", "the name of a folder, not a path")
        path = folder.rpartition("/")[0] + "/" + name
    _move_folder(call, folder, path)
    return {"id": call.object_id}


def _move_folder(call: Call, folder: str, path: str) -> None:
    """Give a folder, and everything below it, a new path."""
    existing_folder(call, folder)
    if folder == "/" or _inside(path, folder):
        raise InvalidInput(f'The folder "{folder}" cannot be moved into itself')
    if call.store.has_folder(call.object_id, path):
        raise InvalidState(f'The folder "{path}" exists')
    for place in call.store.contents(call.object_id, folder):
        call.store.place(place.object, call.object_id, path + place.folder[len(folder) :])
    for old in [old for old in call.store.folders(call.object_id) if _inside(old, folder)]:
        call.store.add_folder(call.object_id, path + old[len(folder) :])
        call.store.remove_folder(call.object_id, old)


def clone(call: Call) -> Hash:
    """/project-x/clone: into another project, under the same IDs."""
    call.container(call.object_id, "VIEW")
    target = call.container(call.field("project", str), "CONTRIBUTE")["id"]
    destination = call.folder("destination")
    if not call.field("parents", bool, False):
        existing_folder(call, destination, target)
    wanted: dict[str, str] = dict.fromkeys(call.strings("objects", []), destination)
    for folder in call.strings("folders", []):
        existing_folder(call, folder)
        base = destination.rstrip("/") + "/" + folder.rpartition("/")[2]
        call.store.add_folder(target, base.rstrip("/") or "/")
        for place in call.store.contents(call.object_id, folder):
            wanted[place.object] = base.rstrip("/") + place.folder[len(folder.rstrip("/")) :]
    exists = []
    for object_id, folder in wanted.items():
        holders = call.store.holders(object_id)
        if call.object_id not in holders:
            raise ResourceNotFound(f"{object_id} could not be found in {call.object_id}")
        if call.store.get(object_id)["state"] != "closed":
            raise InvalidState(f"{object_id} is not closed: it cannot be cloned")
        if target in holders:
            exists.append(object_id)
        else:
            call.store.place(object_id, target, folder or "/")
    return {"id": call.object_id, "project": target, "exists": exists}
