"""/job: an entry point that runs, ran, or waits to run.

https://documentation.dnanexus.com/developer/api/running-analyses/applets-and-entry-points#jobs
"""

from local_platform import links, spec
from local_platform.api import data_object, project
from local_platform.call import USER, Call
from local_platform.errors import PermissionDenied
from local_platform.search import select
from local_platform.store import Store, new_id, now

DEFAULT_INSTANCE = "mem1_ssd1_v2_x4"
DEFAULT_TIMEOUT = {"days": 30}
UNIT_MILLISECONDS = {"days": 86_400_000, "hours": 3_600_000, "minutes": 60_000}
EXECUTABLE_FOLDER = "/.executable"
FINAL = ("done", "failed", "terminated")
UNFINISHED = project.UNFINISHED
ON_DEMAND = ("properties", "details", "access", "outputFolder", "restartableEntryPoints")
INPUT_OUTPUT = ("input", "runInput", "originalInput", "output")


def create(
    call: Call,
    executable: dict,
    *,
    function: str,
    given: dict,
    values: dict,
    parent: dict | None,
    project_id: str,
    folder: str,
    timeout_policy: dict,
    workspace: str | None = None,
) -> dict:
    """Make an idle job and answer with its ID.

    `given` is the input as sent, `values` has the defaults. Without a workspace the job gets its
    own, and hands its output on: a root job to the project, another to its parent's workspace.
    """
    job_id = new_id("job")
    time = now()
    depends_on = call.field("dependsOn", list, [])
    for dependency in depends_on:
        call.store.get(dependency)
    name = executable.get("title") or executable["name"]
    requirements = call.field("systemRequirements", dict, {})
    needed = executable["runSpec"].get("systemRequirements", {}) | requirements
    entry = needed.get(function) or needed.get("*") or {}
    # Where the output goes once the tree below this job is done; None: it stays.
    hand_over = None
    if workspace is None:
        workspace = project.create(call.store, "container", {"name": f"Workspace of {job_id}"})
        hand_over = [parent["workspace"], "/"] if parent else [project_id, folder]
        # Somebody may remove the applet from the project while the job runs.
        bundles = executable["runSpec"].get("bundledDepends", [])
        for object_id in [executable["id"], *links.object_ids(bundles)]:
            call.store.place(object_id, workspace, EXECUTABLE_FOLDER)
    limit = timeout_policy.get(function) or timeout_policy.get("*") or DEFAULT_TIMEOUT
    policy = executable["runSpec"].get("executionPolicy", {})
    description = {
        "id": job_id,
        "class": "job",
        "name": call.field("name", str, name if function == "main" else f"{name}:{function}"),
        "executableName": executable["name"],
        "executable": executable["id"],
        "applet": executable["id"],
        "function": function,
        "project": project_id,
        "folder": folder,
        "workspace": workspace,
        "state": "idle",
        "stateTransitions": [],
        "parentJob": parent["id"] if parent else None,
        "originJob": parent["originJob"] if parent else job_id,
        "rootExecution": parent["rootExecution"] if parent else job_id,
        "parentAnalysis": None,
        "analysis": None,
        "stage": None,
        "launchedBy": USER,
        "created": time,
        "modified": time,
        "runInput": given,
        "originalInput": values,
        "input": values,
        "output": None,
        "dependsOn": depends_on,
        "tags": call.field("tags", list, []),
        "properties": data_object.checked_properties(call.field("properties", dict, {})),
        "details": call.field("details", dict, {}),
        "systemRequirements": needed,
        "instanceType": entry.get("instanceType", DEFAULT_INSTANCE),
        "executionPolicy": policy | call.field("executionPolicy", dict, {}),
        "restartableEntryPoints": executable["runSpec"].get("restartableEntryPoints", "master"),
        "timeout": sum(UNIT_MILLISECONDS[unit] * amount for unit, amount in limit.items()),
        "region": call.store.get(project_id)["region"],
        "billTo": USER,
        "priority": call.field("priority", str, "normal"),
        "rank": call.field("rank", int, 0),
        "isFree": True,
        "totalPrice": 0,
        "ignoreReuse": call.field("ignoreReuse", bool, True),
        "networkAccess": executable["access"].get("network", []),
        "delayWorkspaceDestruction": call.field("delayWorkspaceDestruction", bool, False),
        "try": 0,
        "failureCounts": {},
        "access": executable["access"],
        "outputFolder": hand_over,
    }
    call.store.save(description)
    return {"id": job_id}


def new(call: Call) -> dict:
    """/job/new: another entry point of the calling job's applet, in the same workspace."""
    if call.job_id is None:
        raise PermissionDenied("Only a job can make a subjob")
    parent = call.store.get(call.job_id)
    values = call.field("input", dict)
    spec.check_links(call, values, "input")
    executable = call.store.get(parent["executable"])
    return create(
        call,
        executable,
        function=call.field("function", str),
        given=values,
        values=values,
        parent=parent,
        project_id=parent["project"],
        folder=parent["folder"],
        timeout_policy=executable["runSpec"].get("timeoutPolicy", {}),
        workspace=parent["workspace"],
    )


def view(job: dict, options: object = None) -> dict:
    """Return a job's description."""
    found = select(job, options, ON_DEMAND)
    if isinstance(options, dict) and options.get("io") is False:
        found = {name: value for name, value in found.items() if name not in INPUT_OUTPUT}
    return found


def describe(call: Call) -> dict:
    """/job-x/describe."""
    return view(call.job(call.object_id), call.body)


def terminate(call: Call) -> dict:
    """/job-x/terminate: this job and those below it; the scheduler ends their processes."""
    job = call.job(call.object_id)
    for member in subtree(call.store, job):
        if member["state"] not in FINAL:
            set_state(call.store, member, "terminating")
    return {"id": call.object_id}


def update(call: Call) -> dict:
    """/job-x/update."""
    return _change(call, rank=call.field("rank", int))


def _change(call: Call, **changes: object) -> dict:
    call.store.save(call.job(call.object_id) | changes | {"modified": now()})
    return {"id": call.object_id}


def set_properties(call: Call) -> dict:
    """/job-x/setProperties: null removes one."""
    return _change(call, properties=data_object.merged_properties(call))


def add_tags(call: Call) -> dict:
    """/job-x/addTags."""
    return _change(call, tags=data_object.with_labels(call, "tags"))


def remove_tags(call: Call) -> dict:
    """/job-x/removeTags."""
    return _change(call, tags=data_object.without_labels(call, "tags"))


def set_state(store: Store, job: dict, state: str, **changes: object) -> None:
    """Move a job to a state, noting when, and write it with other changes."""
    time = now()
    job |= changes | {"state": state, "modified": time}
    job["stateTransitions"].append({"newState": state, "setAt": time})
    if state == "running":
        job["startedRunning"] = time
    if state in FINAL and "startedRunning" in job:
        # Clients take this field as a sign that "startedRunning" is there.
        job["stoppedRunning"] = time
    store.save(job)


def subtree(store: Store, top: dict) -> list[dict]:
    """Return a job and those below it, oldest first."""
    found = {top["id"]: top}
    for job in store.tree(top["rootExecution"]):
        if job["parentJob"] in found:
            found[job["id"]] = job
    return list(found.values())


def dependencies(job: dict) -> list[str]:
    """Return the jobs and objects that a job waits for before it runs."""
    return [reference["job"] for reference in links.references(job["input"])] + job["dependsOn"]
