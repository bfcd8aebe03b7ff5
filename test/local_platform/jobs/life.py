"""How jobs end, and what the end of one means for its tree: done, failed, terminated, restarted.

https://documentation.dnanexus.com/user/running-apps-and-workflows/job-lifecycle

Only descriptions change here: the scheduler stops the processes of jobs that no longer run.
"""

from local_platform.api import project
from local_platform.api.job import FINAL, set_state, subtree
from local_platform.store import Store

MAXIMUM_RESTARTS = 9
# A user's mistake (AppError, InputError) stays one when it is tried again.
RESTARTABLE = (
    "ExecutionError",
    "UnresponsiveWorker",
    "JMInternalError",
    "AppInternalError",
    "AppInsufficientResourceError",
    "JobTimeoutExceeded",
    "SpotInstanceInterruption",
)


def end(store: Store, job: dict, state: str, **changes: object) -> None:
    """Put a job into a final state; its token ends, and the workspace if it is its own."""
    store.remove_job_tokens(job["id"])
    if job["outputFolder"] and not job["delayWorkspaceDestruction"]:
        project.empty(store, job["workspace"])
        store.delete(job["workspace"])
    set_state(store, job, state, **changes)


def terminate(store: Store, job: dict) -> None:
    """End a job that somebody wanted ended; the tree above it cannot succeed any more."""
    end(store, job, "terminated")
    parent = store.find(job["parentJob"]) if job["parentJob"] else None
    if parent and parent["state"] not in (*FINAL, "terminating"):
        fail(store, parent, "JobTreeFailure", f"The subjob {job['id']} was terminated")


def fail(store: Store, job: dict, reason: str, message: str) -> None:
    """Restart a job if its policy says so; else fail it, and with it its whole tree."""
    restarted = _to_restart(store, job, reason)
    if restarted:
        _restart(store, restarted, reason)
        return
    cause = {"id": job["id"], "name": job["name"], "class": "job", "try": job["try"]}
    failure = {"failureReason": reason, "failureMessage": message, "failureFrom": cause}
    end(store, job, "failed", **failure)
    above = _ancestors(store, job)
    for member in store.tree(job["rootExecution"]):
        if member["state"] not in FINAL:
            beside = {} if member["id"] in above else {"failureReason": "JobTreeFailure"}
            end(store, member, "failed", **failure | beside)


def _ancestors(store: Store, job: dict) -> list[str]:
    """Return the IDs of the jobs above a job, nearest first."""
    found = []
    while job["parentJob"]:
        job = store.get(job["parentJob"])
        found.append(job["id"])
    return found


def _to_restart(store: Store, job: dict, reason: str) -> dict | None:
    """Return the job that a failure restarts: this one, or the main one above it."""
    if job["restartableEntryPoints"] != "all":
        while not job["outputFolder"]:
            job = store.get(job["parentJob"])
    policy = job["executionPolicy"]
    restart_on = policy.get("restartOn", {})
    allowed = restart_on.get(reason, restart_on.get("*", 0)) if reason in RESTARTABLE else 0
    used_up = job["failureCounts"].get(reason, 0) >= allowed
    return None if used_up or job["try"] >= policy.get("maxRestarts", MAXIMUM_RESTARTS) else job


def _restart(store: Store, job: dict, reason: str) -> None:
    """Run a job again from its start, and end what its earlier try had begun."""
    for member in subtree(store, job)[1:]:
        if member["state"] not in FINAL:
            end(store, member, "terminated")
    store.remove_job_tokens(job["id"])
    counts = job["failureCounts"] | {reason: job["failureCounts"].get(reason, 0) + 1}
    job.pop("startedRunning", None)
    attempt = job["try"] + 1
    set_state(store, job, "runnable", **{"try": attempt}, output=None, failureCounts=counts)
