"""/analysis: one run of a workflow.

https://documentation.dnanexus.com/developer/api/running-analyses/workflows-and-analyses
"""

from typing import Any

from local_platform.api import job
from local_platform.api.call import Call
from local_platform.api.search import Selection
from local_platform.jobs import analyses, states
from local_platform.strict_json import Hash

ON_DEMAND = (
    "runSystemRequirements",
    "runSystemRequirementsByExecutable",
    "mergedSystemRequirementsByExecutable",
    "runStageSystemRequirements",
)


def view(call: Call, analysis: Hash, options: Any) -> Hash:
    """Return what a request asks of an analysis; its jobs are described in the same way."""
    without_io = isinstance(options, dict) and options.get("io") is False
    described = analyses.describe(call.store, analysis)
    wanted = job.selection({"io": False} if without_io else {})
    described["stages"] = [
        stage | {"execution": wanted.of(stage["execution"])} for stage in described["stages"]
    ]
    hidden = ON_DEMAND + (job.INPUT_OUTPUT if without_io else ())
    return Selection(options, on_demand=hidden).of(described)


def describe(call: Call) -> Hash:
    """/analysis-x/describe."""
    return view(call, call.execution(call.object_id), call.whole())


def describe_execution(call: Call) -> Hash:
    """Describe a job or an analysis."""
    return describe(call) if call.object_id.startswith("analysis-") else job.describe(call)


def terminate(call: Call) -> Hash:
    """/analysis-x/terminate: the jobs of all its stages."""
    for member in analyses.stage_jobs(call.store, call.execution(call.object_id)).values():
        states.ask_to_terminate(call.store, member)
    return {"id": call.object_id}
