"""/job: an entry point that runs, ran, or waits to run.

https://documentation.dnanexus.com/developer/api/running-analyses/applets-and-entry-points#jobs
"""

from typing import Any

from local_platform.api import data_object
from local_platform.api.call import Call
from local_platform.api.search import Selection
from local_platform.errors import InvalidInput, PermissionDenied
from local_platform.jobs import analyses, request, states
from local_platform.jobs.request import Origin
from local_platform.store import entities
from local_platform.strict_json import Hash

ON_DEMAND = (
    "access",
    "detailedJobMetrics",
    "headJobOnDemand",
    "internetUsageIPs",
    "preserveJobOutputs",
    "outputFolder",
    "restartableEntryPoints",
    "timeoutPolicyByExecutable",
    "runSystemRequirements",
    "runSystemRequirementsByExecutable",
    "mergedSystemRequirementsByExecutable",
)
# What is asked of a run that costs nothing and cannot be entered.
WITHOUT_EFFECT = ("allowSSH", "costLimit", "debug", "maxJobSpotWaitTime", "maxTreeSpotWaitTime")
INPUT_OUTPUT = ("input", "runInput", "originalInput", "output")


def new(call: Call) -> Hash:
    """/job/new: another entry point of the calling job's applet, in the same workspace."""
    if call.job_id is None:
        raise PermissionDenied("Only a job can make a subjob")
    parent = entities.get(call.store, call.job_id)
    values = input_values(call)
    call.check_links(values, "input")
    executable = entities.get(call.store, parent["executable"]) | {"name": parent["executableName"]}
    function = call.field("function", str)
    if not function.isprintable() or not function:
        raise call.expected("function", "the name of an entry point")
    origin = Origin(
        parent["project"], parent["folder"], parent["access"], parent, shares_workspace=True
    )
    return {"id": create(call, executable, function, origin, values)}


def input_values(call: Call) -> Hash:
    """Return the input of a call, with references to analyses replaced by ones to their jobs.

    Raises:
        InvalidInput: an analysis has no such output.
    """
    try:
        values: Hash = analyses.replace_references(call, call.field("input", dict))
    except LookupError as error:
        raise InvalidInput(str(error)) from None
    return values


def create(call: Call, executable: Hash, function: str, origin: Origin, values: Hash) -> str:
    """Make the job that a call asks for, with checked input values; return its ID."""
    call.ignore(*WITHOUT_EFFECT)
    depends_on = call.strings("dependsOn", [])
    _check_dependencies(call, depends_on)
    checked = {
        "runInput": call.field("input", dict),
        "originalInput": values,
        "input": values,
        "dependsOn": depends_on,
        **data_object.labels(call),
    }
    description = request.describe(call, executable, function, origin, checked)
    return states.create(call.store, description, executable, origin)


def _check_dependencies(call: Call, depends_on: list[str]) -> None:
    """Check that the caller may see the jobs and objects that a new job is to wait for."""
    for dependency in depends_on:
        if dependency.startswith(("job-", "analysis-")):
            call.execution(dependency)
        else:
            call.placement(dependency)


def selection(options: Any, on_demand: tuple[str, ...] = ON_DEMAND) -> Selection:
    """Return which fields of jobs, or of analyses, a request asks for."""
    return Selection(options, on_demand + (INPUT_OUTPUT if is_without_io(options) else ()))


def is_without_io(options: Any) -> bool:
    """Tell whether a request asks for descriptions without inputs and outputs."""
    return isinstance(options, dict) and options.get("io") is False


def describe(call: Call) -> Hash:
    """/job-x/describe."""
    job = call.job(call.object_id)
    if job["state"] == "waiting_on_output":
        job["dependsOn"] = analyses.unfinished_children(call.store, job)
    return selection(call.whole()).of(job)


def terminate(call: Call) -> Hash:
    """/job-x/terminate: this job and those below it."""
    states.ask_to_terminate(call.store, call.job(call.object_id))
    return {"id": call.object_id}


def update(call: Call) -> Hash:
    """/job-x/update."""
    call.job(call.object_id)
    entities.change(call.store, call.object_id, rank=call.field("rank", int))
    return {"id": call.object_id}
