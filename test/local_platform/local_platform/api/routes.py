"""The list of what is served: (class, method) -> handler.

A path is /class/method or /class-x/method; each handler is given a Call and returns the reply.
"""

import re
from collections.abc import Callable
from typing import Any

from local_platform.api import (
    analysis,
    applet,
    batch,
    data_object,
    file,
    job,
    labels,
    project,
    record,
    system,
    unserved,
    workflow,
)
from local_platform.api.call import Call

Handler = Callable[[Call], Any]

CONTAINERS = ("project", "container")
DATA_OBJECTS = ("file", "applet", "record", "workflow")
LABELLED = ("project", *DATA_OBJECTS, "job", "analysis")
TABLE: tuple[tuple[tuple[str, ...], str, Handler], ...] = (
    (("system",), "whoami", system.whoami),
    (("system",), "greet", system.greet),
    (("system",), "destroyAuthToken", unserved.logout),
    (("system",), "findProjects", system.find_projects),
    (("system",), "findDataObjects", system.find_data_objects),
    (("system",), "resolveDataObjects", system.resolve_data_objects),
    (("system",), "describeDataObjects", system.describe_data_objects),
    (("system",), "describeProjects", system.describe_projects),
    (("system",), "describeExecutions", system.describe_executions),
    (("system",), "generateBatchInputs", batch.generate_inputs),
    (("system",), "findExecutions", system.find_executions),
    (("system",), "findApps", system.find_nothing),
    (("system",), "findGlobalWorkflows", system.find_nothing),
    (("user",), "describe", system.describe_user),
    (("app", "globalworkflow"), "describe", unserved.executable),
    (("app",), "new", unserved.apps),
    (("app",), "run", unserved.apps),
    (("globalworkflow",), "new", unserved.global_workflows),
    (("project",), "checkFeatureAccess", unserved.features),
    (("project",), "new", project.new),
    (("project",), "update", project.update),
    (("project",), "destroy", project.destroy),
    (CONTAINERS, "describe", project.describe),
    (CONTAINERS, "listFolder", project.list_folder),
    (CONTAINERS, "newFolder", project.new_folder),
    (CONTAINERS, "removeObjects", project.remove_objects),
    (CONTAINERS, "removeFolder", project.remove_folder),
    (CONTAINERS, "renameFolder", project.rename_folder),
    (CONTAINERS, "move", project.move),
    (CONTAINERS, "clone", project.clone),
    (DATA_OBJECTS, "describe", data_object.describe),
    (DATA_OBJECTS, "rename", data_object.rename),
    (DATA_OBJECTS, "listProjects", data_object.list_projects),
    (DATA_OBJECTS, "getDetails", data_object.get_details),
    (DATA_OBJECTS, "setDetails", data_object.set_details),
    (DATA_OBJECTS, "setVisibility", data_object.set_visibility),
    (LABELLED, "setProperties", labels.set_properties),
    (LABELLED, "addTags", labels.add_tags),
    (LABELLED, "removeTags", labels.remove_tags),
    (DATA_OBJECTS, "addTypes", labels.add_types),
    (DATA_OBJECTS, "removeTypes", labels.remove_types),
    (("file",), "new", file.new),
    (("file",), "upload", file.upload),
    (("file",), "close", file.close),
    (("file",), "download", file.download),
    (("record",), "new", record.new),
    (("record",), "close", record.close),
    (("applet",), "new", applet.new),
    (("applet",), "get", applet.get),
    (("applet",), "run", applet.run),
    (("applet",), "validateBatch", batch.validate),
    (("workflow",), "new", workflow.new),
    (("workflow",), "addStage", workflow.add_stage),
    (("workflow",), "removeStage", workflow.remove_stage),
    (("workflow",), "moveStage", workflow.move_stage),
    (("workflow",), "update", workflow.update),
    (("workflow",), "updateStageExecutable", workflow.update_stage_executable),
    (("workflow",), "close", workflow.close),
    (("workflow",), "run", workflow.run),
    (("workflow",), "dryRun", workflow.dry_run),
    (("analysis",), "describe", analysis.describe),
    (("analysis",), "terminate", analysis.terminate),
    (("job",), "new", job.new),
    (("job",), "describe", job.describe),
    (("job",), "terminate", job.terminate),
    (("job",), "update", job.update),
)
# Methods whose body is not a hash of fields, but all of it one field.
WHOLE_BODY: dict[Handler, str] = {data_object.set_details: "details"}
ROUTES = {(name, method): handler for names, method, handler in TABLE for name in names}
# An app may be named with a version or alias: /app-NAME/1.0.0/describe.
PATH = re.compile(r"/(?P<id>(?P<class>[a-z]+)(-[^/]+)?)(/[^/]+)??/(?P<method>[A-Za-z]+)")


def find(path: str) -> tuple[Handler, str] | None:
    """Return the handler of a path and the ID in it, or None when it is not served."""
    match = PATH.fullmatch(path)
    if match is None or (match["class"], match["method"]) not in ROUTES:
        return None
    return ROUTES[match["class"], match["method"]], match["id"]
