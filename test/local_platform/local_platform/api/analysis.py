"""/analysis: one run of a workflow.

https://documentation.dnanexus.com/developer/api/running-analyses/workflows-and-analyses
"""

from typing import Any

from local_platform.api import job
from local_platform.api.call import Call
from local_platform.jobs import analyses, states
from local_platform.strict_json import Hash

ON_DEMAND = (
    "runSystemRequirements",
    "runSystemRequirementsByExecutable",
    "mergedSystemRequirementsByExecutable",
    "runStageSystemRequirements",
)


def view(execution: Hash, options: Any) -> Hash:
    """Return what a request asks of a job, or of an analysis as it is now with its jobs."""
    if execution["class"] == "job":
        return job.selection(options).of(execution)
    of_jobs = job.selection({"io": False} if job.is_without_io(options) else {})
    stages = [
        stage | {"execution": of_jobs.of(stage["execution"])} for stage in execution["stages"]
    ]
    return job.selection(options, ON_DEMAND).of(execution | {"stages": stages})


def describe(call: Call) -> Hash:
    """/analysis-x/describe."""
    analysis = call.execution(call.object_id)
    return view(analyses.current(call.store, analysis), call.whole())


def describe_execution(call: Call) -> Hash:
    """Describe a job or an analysis."""
    return describe(call) if call.object_id.startswith("analysis-") else job.describe(call)


def terminate(call: Call) -> Hash:
    """/analysis-x/terminate: the jobs of all its stages."""
    for member in analyses.stage_jobs(call.store, call.execution(call.object_id)).values():
        states.ask_to_terminate(call.store, member)
    return {"id": call.object_id}
