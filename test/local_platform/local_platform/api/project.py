"""/project and /container (a job's workspace), which share their methods.

https://documentation.dnanexus.com/developer/api/data-containers
"""

import re
from typing import Any

from local_platform.api import data_object
from local_platform.api.call import Call
from local_platform.api.search import Selection
from local_platform.errors import InvalidInput, InvalidState, PermissionDenied, ResourceNotFound
from local_platform.jobs import states
from local_platform.rules.fields import REQUIRED
from local_platform.store import containers, entities, folders, places
from local_platform.store.containers import USER
from local_platform.strict_json import Hash

# https://documentation.dnanexus.com/developer/api/regions
REGION_NAME = re.compile(
    r"aws:[a-z]{2}(-[a-z]+)+-\d(-[a-z])?|azure:[a-z0-9]+(-[a-z]+)?|oci:[a-z]{2}-[a-z]+(-\d)?"
)


def new(call: Call) -> Hash:
    """/project/new."""
    region = call.field("region", str, containers.DEFAULT_REGION)
    if not REGION_NAME.fullmatch(region):
        raise call.expected("region", f"a name such as {containers.DEFAULT_REGION}")
    if call.job_id and not entities.get(call.store, call.job_id)["access"].get("projectCreation"):
        raise PermissionDenied("This job's access does not allow it to make projects")
    container_id = containers.create(
        call.store,
        "project",
        call.field("name", str),
        region,
        summary=call.field("summary", str, ""),
        description=call.field("description", str, ""),
        tags=call.strings("tags", []),
        properties=call.properties(),
        **_restrictions(call, {}),
    )
    return {"id": container_id}


def _restrictions(call: Call, before: Hash) -> Hash:
    """Return what a request says a project does not allow.

    Raises:
        InvalidInput: viewers are to be restricted, but not downloads.
        PermissionDenied: the service needs a license for it.
    """
    given: Hash = {
        flag: call.field(flag, bool) for flag in containers.FLAGS if call.raw(flag) is not None
    }
    if given.get("containsPHI"):
        raise PermissionDenied(f"PHI features must be enabled for {USER}")
    if given.get("downloadRestricted"):
        given = {"previewViewerRestricted": True} | given
    after = before | given
    if after.get("previewViewerRestricted") and not after.get("downloadRestricted"):
        raise InvalidInput(
            '"previewViewerRestricted" needs "downloadRestricted": turn both off, or neither'
        )
    if "allowedExecutables" in call.body:
        given["allowedExecutables"] = call.strings("allowedExecutables", []) or None
    if "databaseResultsRestricted" in call.body:
        given["databaseResultsRestricted"] = call.optional("databaseResultsRestricted", int)
    return given


def selection(options: Any) -> Selection:
    """Return which fields of projects a request asks for."""
    return Selection(options, on_demand=("properties", "folders", "fileUploadParameters"))


def view(call: Call, container_id: str, wanted: Selection) -> Hash:
    """Return the description of a project or container."""
    description = entities.get(call.store, container_id) | {
        "level": call.level(container_id),
        "atSpendingLimit": False,
        "storageCost": 0,
        "totalSponsoredEgressBytes": 0,
        "consumedSponsoredEgressBytes": 0,
        "dataUsage": lambda: places.usage(call.store, container_id) / 2**30,
        "folders": lambda: folders.of(call.store, container_id),
        "fileUploadParameters": containers.UPLOAD_PARAMETERS,
    }
    return wanted.of(description)


def describe(call: Call) -> Hash:
    """/project-x/describe, /container-x/describe."""
    call.container(call.object_id, "VIEW")
    return view(call, call.object_id, selection(call.whole()))


def update(call: Call) -> Hash:
    """/project-x/update."""
    project = call.container(call.object_id, "ADMINISTER")
    changes = {name: call.field(name, str, project[name]) for name in ("name", "summary")}
    changes["description"] = call.field("description", str, project["description"])
    entities.change(call.store, call.object_id, **changes, **_restrictions(call, project))
    return {"id": call.object_id}


def destroy(call: Call) -> Hash:
    """/project-x/destroy: with its jobs and their logs; "terminateJobs" also ends them."""
    call.container(call.object_id, "ADMINISTER")
    executions = entities.executions_in(call.store, call.object_id)
    jobs = [one for one in executions if one["class"] == "job"]
    unfinished = any(job["state"] in states.UNFINISHED for job in jobs)
    if not call.field("terminateJobs", bool, False) and unfinished:
        raise InvalidState("Jobs are running in this project: terminate them first")
    # The scheduler kills the processes of jobs that are gone.
    for execution in executions:
        entities.delete(call.store, execution["id"])
    for container in {call.object_id, *(job["workspace"] for job in jobs)}:
        containers.destroy(call.store, container)
    return {"id": call.object_id}


def list_folder(call: Call) -> Hash:
    """/project-x/listFolder."""
    call.container(call.object_id, "VIEW")
    folder = call.folder()
    folders.require(call.store, call.object_id, folder)
    only = call.field("only", str, "all")
    with_hidden = call.field("includeHidden", bool, False)
    options = call.raw("describe")
    wanted = data_object.selection(options)
    reply: Hash = {}
    if only in ("all", "folders"):
        reply["folders"] = [
            path
            for path in folders.of(call.store, call.object_id)
            if path != "/" and (path.rpartition("/")[0] or "/") == folder
        ]
    if only in ("all", "objects"):
        reply["objects"] = []
        for place, one in places.search(call.store, [call.object_id], folder, recurse=False):
            if one["hidden"] and not with_hidden:
                continue
            found: Hash = {"id": place.object}
            if options:
                found["describe"] = data_object.view(call.store, place, one, wanted)
            reply["objects"].append(found)
    return reply


def new_folder(call: Call) -> Hash:
    """/project-x/newFolder."""
    call.container(call.object_id, "UPLOAD")
    folder = call.folder(default=REQUIRED)
    if not call.field("parents", bool, False):
        if folders.exists(call.store, call.object_id, folder):
            raise InvalidState(f'The folder "{folder}" exists')
        folders.require(call.store, call.object_id, folder.rpartition("/")[0] or "/")
    folders.add(call.store, call.object_id, folder)
    return {"id": call.object_id}


def remove_objects(call: Call) -> Hash:
    """/project-x/removeObjects: with force, those that are not here are passed over."""
    call.container(call.object_id, "CONTRIBUTE")
    force = call.field("force", bool, False)
    for object_id in call.strings("objects"):
        if call.object_id in places.holders(call.store, object_id):
            places.remove(call.store, object_id, call.object_id)
        elif not force:
            raise ResourceNotFound(f"{object_id} could not be found in {call.object_id}")
    return {"id": call.object_id}


def remove_folder(call: Call) -> Hash:
    """/project-x/removeFolder."""
    call.container(call.object_id, "CONTRIBUTE")
    # It is always removed completely.
    call.ignore("partial")
    folder, recurse = call.folder(), call.field("recurse", bool, False)
    if call.field("force", bool, False) and not folders.exists(call.store, call.object_id, folder):
        return {"id": call.object_id, "completed": True}
    folders.require(call.store, call.object_id, folder)
    below = [path for path in folders.of(call.store, call.object_id) if _inside(path, folder)]
    contents = places.contents(call.store, call.object_id, folder)
    if (contents or below != [folder]) and not recurse:
        raise InvalidState(f'The folder "{folder}" is not empty')
    containers.empty(call.store, call.object_id, folder)
    for path in below:
        if path != "/":
            folders.remove(call.store, call.object_id, path)
    return {"id": call.object_id, "completed": True}


def _inside(path: str, folder: str) -> bool:
    """Tell whether a path is a folder or lies below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def move(call: Call) -> Hash:
    """/project-x/move: objects and folders into another folder of the same project."""
    call.ignore("targetFileRelocation")
    call.container(call.object_id, "CONTRIBUTE")
    destination = call.folder("destination")
    folders.require(call.store, call.object_id, destination)
    for object_id in call.strings("objects", []):
        if call.object_id not in places.holders(call.store, object_id):
            raise ResourceNotFound(f"{object_id} could not be found in {call.object_id}")
        places.put(call.store, object_id, call.object_id, destination)
    for folder in call.strings("folders", []):
        _move_folder(call, folder, destination.rstrip("/") + "/" + folder.rpartition("/")[2])
    return {"id": call.object_id}


def rename_folder(call: Call) -> Hash:
    """/project-x/renameFolder: to a new name, or a new path."""
    call.container(call.object_id, "CONTRIBUTE")
    folder = call.folder()
    if "newpath" in call.body:
        path = call.folder("newpath")
        folders.require(call.store, call.object_id, path.rpartition("/")[0] or "/")
    else:
        name = call.field("name", str)
        if not name or "/" in name:
            raise call.expected("name", "the name of a folder, not a path")
        path = folder.rpartition("/")[0] + "/" + name
    _move_folder(call, folder, path)
    return {"id": call.object_id}


def _move_folder(call: Call, folder: str, path: str) -> None:
    """Give a folder, and everything below it, a new path."""
    folders.require(call.store, call.object_id, folder)
    if folder == "/" or _inside(path, folder):
        raise InvalidInput(f'The folder "{folder}" cannot be moved into itself')
    if folders.exists(call.store, call.object_id, path):
        raise InvalidState(f'The folder "{path}" exists')
    for place in places.contents(call.store, call.object_id, folder):
        places.put(call.store, place.object, call.object_id, path + place.folder[len(folder) :])
    for old in [old for old in folders.of(call.store, call.object_id) if _inside(old, folder)]:
        folders.add(call.store, call.object_id, path + old[len(folder) :])
        folders.remove(call.store, call.object_id, old)


def _clone_folder(call: Call, folder: str, target: str, destination: str) -> dict[str, str]:
    """Make a folder and those below it in another project; return where its objects go.

    Raises:
        InvalidState: there is such a folder.
    """
    folders.require(call.store, call.object_id, folder)
    base = destination.rstrip("/") + "/" + folder.rpartition("/")[2]
    if folder != "/" and folders.exists(call.store, target, base):
        raise InvalidState(
            f'If cloned, a folder would conflict with one that exists: "{base}" in {target}'
        )

    def new_path(path: str) -> str:
        return base.rstrip("/") + path.rstrip("/")[len(folder.rstrip("/")) :] or "/"

    for path in folders.of(call.store, call.object_id):
        if _inside(path, folder):
            folders.add(call.store, target, new_path(path))
    contents = places.contents(call.store, call.object_id, folder)
    return {place.object: new_path(place.folder) for place in contents}


def clone(call: Call) -> Hash:
    """/project-x/clone: into another project, under the same IDs."""
    call.ignore("targetFileRelocation")
    source = call.container(call.object_id, "VIEW")
    project = call.container(call.field("project", str), "CONTRIBUTE")
    if source["region"] not in (project["region"], containers.EVERYWHERE):
        raise InvalidInput(
            f"{source['id']} is in {source['region']} and {project['id']} in {project['region']}:"
            " objects cannot be cloned between regions"
        )
    target = project["id"]
    destination = call.folder("destination")
    if not call.field("parents", bool, False):
        folders.require(call.store, target, destination)
    wanted: dict[str, str] = dict.fromkeys(call.strings("objects", []), destination)
    for folder in call.strings("folders", []):
        wanted |= _clone_folder(call, folder, target, destination)
    exists = []
    for object_id, folder in wanted.items():
        found = {place.container: place for place in places.of(call.store, object_id)}
        if call.object_id not in found:
            raise ResourceNotFound(f"{object_id} could not be found in {call.object_id}")
        if entities.get(call.store, object_id)["state"] != "closed":
            raise InvalidState(f"{object_id} is not closed: it cannot be cloned")
        if target in found:
            exists.append(object_id)
        else:
            places.put(call.store, object_id, target, folder or "/", found[call.object_id].metadata)
    return {"id": call.object_id, "project": target, "exists": exists}
