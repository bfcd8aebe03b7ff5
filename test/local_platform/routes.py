"""The list of what is served: (class, method) -> handler.

A path is /class/method or /class-x/method; each handler is given a Call and returns the reply.
"""

import re
from collections.abc import Callable
from typing import Any

from local_platform.api import applet, data_object, file, job, project, record, system
from local_platform.call import Call

Handler = Callable[[Call], Any]

SYSTEM: dict[tuple[str, str], Handler] = {
    ("system", "whoami"): system.whoami,
    ("system", "greet"): system.greet,
    ("system", "destroyAuthToken"): system.destroy_auth_token,
    ("system", "findProjects"): system.find_projects,
    ("system", "findDataObjects"): system.find_data_objects,
    ("system", "resolveDataObjects"): system.resolve_data_objects,
    ("system", "describeDataObjects"): system.describe_data_objects,
    ("system", "findExecutions"): system.find_executions,
    ("system", "findApps"): system.find_nothing,
    ("system", "findGlobalWorkflows"): system.find_nothing,
    ("user", "describe"): system.describe_user,
    ("app", "describe"): system.no_such_executable,
    ("globalworkflow", "describe"): system.no_such_executable,
}
PROJECT: dict[tuple[str, str], Handler] = {
    ("project", "new"): project.new,
    ("project", "update"): project.update,
    ("project", "destroy"): project.destroy,
}
CONTAINER: dict[str, Handler] = {
    "describe": project.describe,
    "listFolder": project.list_folder,
    "newFolder": project.new_folder,
    "removeObjects": project.remove_objects,
    "removeFolder": project.remove_folder,
    "renameFolder": project.rename_folder,
    "move": project.move,
    "clone": project.clone,
}
DATA_OBJECT: dict[str, Handler] = {
    "describe": data_object.describe,
    "rename": data_object.rename,
    "getDetails": data_object.get_details,
    "setDetails": data_object.set_details,
    "setVisibility": data_object.set_visibility,
    "setProperties": data_object.set_properties,
    "addTags": data_object.add_tags,
    "removeTags": data_object.remove_tags,
    "addTypes": data_object.add_types,
    "removeTypes": data_object.remove_types,
}
OBJECTS: dict[tuple[str, str], Handler] = {
    ("file", "new"): file.new,
    ("file", "upload"): file.upload,
    ("file", "close"): file.close,
    ("file", "download"): file.download,
    ("record", "new"): record.new,
    ("record", "close"): record.close,
    ("applet", "new"): applet.new,
    ("applet", "get"): applet.get,
    ("applet", "run"): applet.run,
}
JOB: dict[tuple[str, str], Handler] = {
    ("job", "new"): job.new,
    ("job", "describe"): job.describe,
    ("job", "terminate"): job.terminate,
    ("job", "update"): job.update,
    ("job", "setProperties"): job.set_properties,
    ("job", "addTags"): job.add_tags,
    ("job", "removeTags"): job.remove_tags,
}
ROUTES: dict[tuple[str, str], Handler] = {
    **SYSTEM,
    **PROJECT,
    **{
        (name, method): CONTAINER[method]
        for name in ("project", "container")
        for method in CONTAINER
    },
    **{
        (name, method): DATA_OBJECT[method]
        for name in ("file", "applet", "record")
        for method in DATA_OBJECT
    },
    **OBJECTS,
    **JOB,
}
# An app may be named with a version or alias: /app-NAME/1.0.0/describe.
PATH = re.compile(r"/(?P<id>(?P<class>[a-z]+)(-[^/]+)?)(/[^/]+)??/(?P<method>[A-Za-z]+)")


def find(path: str) -> tuple[Handler, str] | None:
    """Return the handler of a path and the ID in it, or None when it is not served."""
    match = PATH.fullmatch(path)
    handler = ROUTES.get((match["class"], match["method"])) if match else None
    return (handler, match["id"]) if handler else None
