"""Describes a new job: what a call asks for, on top of what its executable and its parent say.

https://documentation.dnanexus.com/developer/api/running-analyses/applets-and-entry-points
"""

from dataclasses import dataclass

from local_platform.rules import requirements
from local_platform.rules.fields import Fields
from local_platform.store.containers import USER
from local_platform.store.database import now
from local_platform.store.entities import new_id
from local_platform.strict_json import Hash

DEFAULT_INSTANCE = "mem1_ssd1_v2_x4"
DEFAULT_TIMEOUT = {"days": 30}


@dataclass(frozen=True)
class Origin:
    """Where a new job comes from, and what it may do."""

    project: str
    folder: str
    access: Hash
    caller: Hash | None = None
    """The job that starts it."""
    detached: bool = False
    """Whether it is the root of a tree of its own, although a job starts it."""
    shares_workspace: bool = False
    """With its parent: another entry point of the same applet."""
    analysis: Hash | None = None
    """The analysis of which it runs a stage."""
    stage: str | None = None
    """The ID of that stage."""

    @property
    def parent(self) -> Hash | None:
        """The job above it in its tree; the job of a stage has none."""
        return None if self.detached or self.analysis else self.caller

    @property
    def above(self) -> Hash | None:
        """The job or analysis above it in its tree."""
        return self.analysis or self.parent

    @property
    def destination(self) -> list[str]:
        """The container and folder that get its output: of its caller, if that waits for it."""
        if self.caller and not self.detached:
            return [self.caller["workspace"], self.folder if self.analysis else "/"]
        return [self.project, self.folder]


def describe(asked: Fields, executable: Hash, function: str, origin: Origin, checked: Hash) -> Hash:
    """Return the description of an idle job that has no workspace yet.

    `checked` are the fields that were checked with the caller's rights: input, labels and
    dependencies.
    """
    job_id, parent, above = new_id("job"), origin.parent, origin.above
    shared = shared_fields(asked, executable, above)
    run_spec = executable["runSpec"]
    title = executable.get("title") or executable["name"]
    return {
        "id": job_id,
        "class": "job",
        "name": asked.field("name", str, title if function == "main" else f"{title}:{function}"),
        "executableName": executable["name"],
        "executable": executable["id"],
        "applet": executable["id"],
        "function": function,
        "project": origin.project,
        "folder": origin.folder,
        "access": origin.access,
        "networkAccess": origin.access.get("network", []),
        "parentJob": parent["id"] if parent else None,
        "originJob": parent["originJob"] if parent else job_id,
        "rootExecution": above["rootExecution"] if above else job_id,
        "parentAnalysis": origin.analysis["id"] if origin.analysis else None,
        "analysis": origin.analysis["id"] if origin.analysis else (parent or {}).get("analysis"),
        "stage": origin.stage or (parent["stage"] if parent else None),
        "state": "idle",
        "stateTransitions": [],
        "output": None,
        "try": 0,
        "failureCounts": {},
        "executionPolicy": run_spec.get("executionPolicy", {})
        | requirements.restarts(asked.within("executionPolicy")),
        "restartableEntryPoints": run_spec.get("restartableEntryPoints", "master"),
        "rank": asked.field("rank", int, 0),
        "headJobOnDemand": asked.field(
            "headJobOnDemand", bool, run_spec.get("headJobOnDemand", False)
        ),
        "detailedJobMetrics": asked.field("detailedJobMetrics", bool, False),
        "preserveJobOutputs": asked.optional("preserveJobOutputs", dict),
        "internetUsageIPs": [],
        "ignoreReuse": asked.field("ignoreReuse", bool, True),
        "delayWorkspaceDestruction": asked.field("delayWorkspaceDestruction", bool, False),
        **shared,
        "timeout": _timeout(shared["timeoutPolicyByExecutable"], executable, function),
        **_machine(shared, executable, function, origin),
        **checked,
    }


def shared_fields(asked: Fields, executable: Hash, above: Hash | None) -> Hash:
    """Return the fields that describe a new job and a new analysis in the same way.

    What the job or the analysis above it asks for by executable comes first.
    """
    time, inherited = now(), above or {}
    limits = requirements.by_executable(asked, "timeoutPolicyByExecutable", requirements.durations)
    machines = requirements.by_executable(
        asked, "systemRequirementsByExecutable", requirements.machines
    )
    return {
        "created": time,
        "modified": time,
        "launchedBy": USER,
        "billTo": USER,
        "isFree": True,
        "totalPrice": 0,
        "priority": asked.field("priority", str, "normal"),
        "timeoutPolicyByExecutable": requirements.merge_by_executable(
            limits, inherited.get("timeoutPolicyByExecutable", {})
        ),
        "runSystemRequirements": requirements.machines(asked.within("systemRequirements")),
        "runSystemRequirementsByExecutable": machines,
        "mergedSystemRequirementsByExecutable": requirements.merge_by_executable(
            machines, inherited.get("mergedSystemRequirementsByExecutable", {})
        ),
        **_turnaround(asked, executable),
    }


def _turnaround(asked: Fields, executable: Hash) -> Hash:
    """Return after how long, in seconds, the service would warn that a tree still runs."""
    field, selected = "treeTurnaroundTimeThreshold", "selectedTreeTurnaroundTimeThreshold"
    requested, usual = asked.optional(field, int), executable.get(field)
    threshold = usual if requested is None else requested
    if threshold is None:
        return {}
    return {
        selected: threshold,
        f"{selected}From": "executable" if requested is None else "request",
    }


def _timeout(policies: Hash, executable: Hash, function: str) -> float:
    """Return the time limit of a job, in milliseconds."""
    both = (policies.get(executable["id"], {}), executable["runSpec"].get("timeoutPolicy", {}))
    found = [policy[name] for policy in both for name in (function, "*") if policy.get(name)]
    return requirements.milliseconds(found[0] if found else DEFAULT_TIMEOUT)


def _machine(shared: Hash, executable: Hash, function: str, origin: Origin) -> Hash:
    """Return a job's instance type, and the requirements that led to it.

    Another entry point of the same run keeps to what was asked for that run. What is asked by
    executable holds for the whole tree, and comes first.
    """
    by_executable = shared["mergedSystemRequirementsByExecutable"]
    same_run = origin.parent if origin.parent and origin.shares_workspace else executable["runSpec"]
    needed: Hash = same_run.get("systemRequirements", {})
    for asked in (
        shared["runSystemRequirements"],
        by_executable.get(executable["id"]) or by_executable.get("*", {}),
    ):
        needed = requirements.merge(needed, asked)
    types = [needed.get(name, {}).get("instanceType") for name in (function, "*")]
    return {
        "instanceType": types[0] or types[1] or DEFAULT_INSTANCE,
        "systemRequirements": needed,
    }
