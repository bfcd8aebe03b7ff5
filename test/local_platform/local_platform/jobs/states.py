"""The life of a job: its states, and every change from one to another.

https://documentation.dnanexus.com/user/running-apps-and-workflows/job-lifecycle

States change only here. Only descriptions change: the scheduler starts the processes of jobs that
run, and stops those of jobs that no longer run.
"""

from local_platform.jobs.request import Origin
from local_platform.rules import links
from local_platform.store import containers, entities, places, tokens
from local_platform.store.database import Store, now
from local_platform.strict_json import Hash

FINAL = ("done", "failed", "terminated")
UNFINISHED = (
    "idle",
    "waiting_on_input",
    "runnable",
    "running",
    "waiting_on_output",
    "terminating",
)
EXECUTABLE_FOLDER = "/.executable"
MAXIMUM_RESTARTS = 9
# AppError and InputError are the user's to fix: a retry cannot help.
RESTARTABLE = (
    "ExecutionError",
    "UnresponsiveWorker",
    "JMInternalError",
    "AppInternalError",
    "AppInsufficientResourceError",
    "JobTimeoutExceeded",
    "SpotInstanceInterruption",
)


def create(store: Store, description: Hash, executable: Hash, origin: Origin) -> str:
    """Make a job from its description, and return its ID.

    Only running jobs start jobs: a token is not accepted once its job no longer runs.
    """
    entities.save(store, description | _place(store, description["id"], executable, origin))
    job_id: str = description["id"]
    return job_id


def _place(store: Store, job_id: str, executable: Hash, origin: Origin) -> Hash:
    """Return where a job works and leaves its output, and make its workspace.

    A job with a workspace of its own hands its output on: a root job to the project, another to
    its parent's workspace.
    """
    region = entities.get(store, origin.project)["region"]
    if origin.parent and origin.shares_workspace:
        workspace = origin.parent["workspace"]
        return {"region": region, "workspace": workspace, "outputFolder": None}
    workspace = containers.create(store, "container", f"Workspace of {job_id}", region)
    # Somebody may remove the applet from the project while the job runs.
    bundles = links.object_ids(executable["runSpec"].get("bundledDepends", []))
    kept = [one for one in [executable["id"], *bundles] if entities.find(store, one)]
    containers.share(store, kept, workspace, EXECUTABLE_FOLDER)
    return {"region": region, "workspace": workspace, "outputFolder": origin.destination}


def subtree(store: Store, top: Hash) -> list[Hash]:
    """Return a job and those below it, oldest first."""
    found = {top["id"]: top}
    for one in entities.tree(store, top["rootExecution"]):
        if one["parentJob"] in found or one["parentAnalysis"] in found:
            found[one["id"]] = one
    return [one for one in found.values() if one["class"] == "job"]


def wait_for_input(store: Store, job: Hash) -> None:
    """Note that a job waits for something it needs."""
    if job["state"] == "idle":
        _set_state(store, job, "waiting_on_input")


def make_runnable(store: Store, job: Hash, values: Hash) -> None:
    """Let a job run with an input that is complete."""
    _set_state(store, job, "runnable", input=values)


def start(store: Store, job: Hash) -> None:
    """Note that a job has a worker."""
    _set_state(store, job, "running", startedRunning=now())


def wait_for_output(store: Store, job: Hash, output: Hash) -> None:
    """Note what a program left as its output; its subjobs may still be running."""
    _set_state(store, job, "waiting_on_output", output=output)


def finish(store: Store, job: Hash, output: Hash) -> None:
    """Let a job be done with an output that is complete."""
    if job["outputFolder"]:
        container, top = job["outputFolder"]
        for object_id in links.object_ids(output):
            below = _folder(store, object_id, job["workspace"])
            folder = top if below == "/" else top.rstrip("/") + below
            containers.share(store, [object_id], container, folder)
    _end(store, job, "done", output=output)


def _folder(store: Store, object_id: str, workspace: str) -> str:
    """Return the folder of a workspace in which an object lies; an input may lie elsewhere."""
    found = [one.folder for one in places.of(store, object_id) if one.container == workspace]
    return found[0] if found else "/"


def ask_to_terminate(store: Store, job: Hash) -> None:
    """Ask for the end of a job and those below it; the scheduler first ends their processes."""
    for member in subtree(store, job):
        if member["state"] not in (*FINAL, "terminating"):
            _set_state(store, member, "terminating")


def terminate(store: Store, job: Hash) -> None:
    """End a job that is to be terminated; the tree above it cannot succeed any more."""
    _end(store, job, "terminated")
    parent = entities.find(store, job["parentJob"]) if job["parentJob"] else None
    if parent and parent["state"] not in (*FINAL, "terminating"):
        fail(store, parent, "JobTreeFailure", f"The subjob {job['id']} was terminated")


def fail(store: Store, job: Hash, reason: str, message: str) -> None:
    """Restart a job if its policy says so; else fail it, and with it its whole tree."""
    restarted = _to_restart(store, job, reason)
    if restarted:
        _restart(store, restarted, reason)
    else:
        _fail_tree(store, job, reason, message)


def abort(store: Store, job_id: str, message: str) -> None:
    """Fail a job and its whole tree after a defect of the platform: a retry cannot help."""
    job = entities.get(store, job_id)
    if job["state"] not in FINAL:
        _fail_tree(store, job, "JMInternalError", message)


def _fail_tree(store: Store, job: Hash, reason: str, message: str) -> None:
    """Fail a job, and with it its whole tree; a stage may leave the other stages to go on."""
    cause = {"id": job["id"], "name": job["name"], "class": "job", "try": job["try"]}
    failure = {"failureReason": reason, "failureMessage": message, "failureFrom": cause}
    _end(store, job, "failed", **failure)
    alone = _fails_alone(store, job, reason)
    above = ancestors(store, job)
    for member in entities.tree(store, job["rootExecution"]):
        if member["class"] != "job" or (alone and member["originJob"] != job["originJob"]):
            continue
        if member["state"] not in FINAL:
            beside = {} if member["id"] in above else {"failureReason": "JobTreeFailure"}
            _end(store, member, "failed", **failure | beside)


def ancestors(store: Store, job: Hash) -> list[str]:
    """Return the IDs of the jobs above a job, nearest first."""
    found = []
    while above := job["parentJob"] or job["parentAnalysis"]:
        job = entities.get(store, above)
        found.append(above)
    return found


def _fails_alone(store: Store, job: Hash, reason: str) -> bool:
    """Tell whether the other stages of an analysis go on when a job of one stage fails.

    A stage that only lacks the output of a failed one adds nothing to that failure.
    """
    if job["analysis"] is None:
        return False
    policy = entities.get(store, job["originJob"])["executionPolicy"]
    chosen = policy.get("onNonRestartableFailure", "failAllStages")
    return reason == "DependencyUnsatisfiable" or chosen == "failStage"


def _to_restart(store: Store, job: Hash, reason: str) -> Hash | None:
    """Return the job that a failure restarts: this one, or the main one above it."""
    if job["restartableEntryPoints"] != "all":
        while not job["outputFolder"]:
            job = entities.get(store, job["parentJob"])
    policy = job["executionPolicy"]
    restart_on = policy.get("restartOn", {})
    allowed = restart_on.get(reason, restart_on.get("*", 0)) if reason in RESTARTABLE else 0
    used_up = job["failureCounts"].get(reason, 0) >= allowed
    return None if used_up or job["try"] >= policy.get("maxRestarts", MAXIMUM_RESTARTS) else job


def _restart(store: Store, job: Hash, reason: str) -> None:
    """Run a job again from its start, and end what its earlier try had begun."""
    for member in subtree(store, job)[1:]:
        if member["state"] not in FINAL:
            _end(store, member, "terminated")
    tokens.remove_of(store, job["id"])
    counts = job["failureCounts"] | {reason: job["failureCounts"].get(reason, 0) + 1}
    job.pop("startedRunning", None)
    attempt = job["try"] + 1
    _set_state(store, job, "runnable", **{"try": attempt}, output=None, failureCounts=counts)


def _end(store: Store, job: Hash, state: str, **changes: object) -> None:
    """Put a job into a final state; its token ends, and the workspace if it is its own."""
    tokens.remove_of(store, job["id"])
    if job["outputFolder"] and not job["delayWorkspaceDestruction"]:
        containers.destroy(store, job["workspace"])
    if "startedRunning" in job:
        # Clients take this field as a sign that "startedRunning" is there.
        changes["stoppedRunning"] = now()
    if state != "done":
        # Clients show an output in the place of what went wrong.
        changes["output"] = None
    _set_state(store, job, state, **changes)


def _set_state(store: Store, job: Hash, state: str, **changes: object) -> None:
    """Move a job to a state, noting when, and write it with other changes."""
    time = now()
    job |= changes | {"state": state, "modified": time}
    job["stateTransitions"].append({"newState": state, "setAt": time})
    entities.save(store, job)
