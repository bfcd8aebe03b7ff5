"""An analysis: the jobs that run the stages of a workflow, described as one execution.

Nothing runs here. An analysis stores which job runs which stage; its state, its output and its
failure are those of its jobs.
https://documentation.dnanexus.com/developer/api/running-analyses/workflows-and-analyses
"""

from typing import Any

from local_platform.access import Caller
from local_platform.jobs import states
from local_platform.jobs.request import Origin, shared_fields
from local_platform.rules import links, stages
from local_platform.rules.fields import Fields
from local_platform.store import entities
from local_platform.store.database import Store
from local_platform.store.entities import new_id
from local_platform.strict_json import Hash

FAILURE = ("failureReason", "failureMessage", "failureFrom")


def current(store: Store, found: Hash) -> Hash:
    """Return an analysis with what its jobs say now, anything else as it was found."""
    return _describe(store, found) if found["class"] == "analysis" else found


def _describe(store: Store, analysis: Hash) -> Hash:
    """Return an analysis with what its jobs say now; each "execution" is the job itself."""
    jobs = stage_jobs(store, analysis)
    state = _state([job["state"] for job in jobs.values()])
    modified = max([analysis["modified"], *(job["modified"] for job in jobs.values())])
    ended = state in states.FINAL
    return analysis | {
        "stages": [{"id": stage, "execution": job} for stage, job in jobs.items()],
        "state": state,
        "stateTransitions": [{"newState": state, "setAt": modified}] if ended else [],
        "modified": modified,
        "input": _stage_fields(jobs, "input"),
        "originalInput": _stage_fields(jobs, "originalInput"),
        "output": _output(analysis, jobs),
        **_failure(jobs),
    }


def describe_new(asked: Fields, workflow: Hash, origin: Origin) -> Hash:
    """Return the description of an analysis that has no jobs yet.

    Args:
        asked: the request that runs the workflow.
        workflow: as it is run: with the inputs, folders and machines of this run.
        origin: where the request comes from; its folder is the workflow's if it names none.
    """
    analysis_id, parent, folder = new_id("analysis"), origin.parent, workflow["outputFolder"]
    return {
        "id": analysis_id,
        "class": "analysis",
        "name": asked.field("name", str, workflow["title"] or workflow["name"]),
        "executable": workflow["id"],
        "executableName": workflow["name"],
        "workflow": workflow,
        "project": origin.project,
        "folder": asked.folder() if "folder" in asked.body or not folder else folder,
        "workspace": origin.project,
        "parentJob": parent["id"] if parent else None,
        "parentAnalysis": None,
        "analysis": None,
        "stage": None,
        "originJob": parent["originJob"] if parent else None,
        "rootExecution": parent["rootExecution"] if parent else analysis_id,
        "stages": [],
        "ignoreReuse": asked.raw("ignoreReuse"),
        "runStageSystemRequirements": asked.field("stageSystemRequirements", dict, {}),
        **shared_fields(asked, workflow, parent),
    }


def stage_jobs(store: Store, analysis: Hash) -> dict[str, Hash]:
    """Return the job of each stage, by the ID of the stage, in the order of the workflow."""
    return {stage["id"]: entities.get(store, stage["execution"]) for stage in analysis["stages"]}


def _state(job_states: list[str]) -> str:
    """Return the state of an analysis whose jobs have these states."""
    ended = all(state in states.FINAL for state in job_states)
    if "failed" in job_states:
        return "failed" if ended else "partially_failed"
    if {"terminating", "terminated"} & {*job_states}:
        return "terminated" if ended else "terminating"
    return "done" if ended else "in_progress"


def _stage_fields(jobs: dict[str, Hash], field: str) -> Hash:
    """Return the inputs or outputs of all jobs, each as `stage.name`."""
    return {
        f"{stage}.{name}": value
        for stage, job in jobs.items()
        for name, value in (job[field] or {}).items()
    }


def _output(analysis: Hash, jobs: dict[str, Hash]) -> Hash:
    """Return what the jobs have put out so far, by the workflow's own names if it has any."""
    fields = _stage_fields(jobs, "output")
    outputs = analysis["workflow"]["outputs"]
    if outputs is None:
        return fields
    sources = stages.output_sources(outputs)
    return {name: fields[field] for name, field in sources.items() if field in fields}


def _failure(jobs: dict[str, Hash]) -> Hash:
    """Return why an analysis failed: the failure of the job that the others failed with."""
    failed = [job for job in jobs.values() if job["state"] == "failed"]
    causes = [job for job in failed if job["failureFrom"]["id"] == job["id"]]
    independent = [job for job in causes if job["failureReason"] != "DependencyUnsatisfiable"]
    first = next(iter(independent or causes or failed), None)
    return {field: first[field] for field in FAILURE} if first else {}


def unfinished_children(store: Store, job: Hash) -> list[str]:
    """Return the IDs of the jobs and analyses that a job has started and that have not ended."""
    children = [
        current(store, one)
        for one in entities.tree(store, job["rootExecution"])
        if one["parentJob"] == job["id"]
    ]
    return [child["id"] for child in children if child["state"] not in states.FINAL]


def replace_references(caller: Caller, value: Any) -> Any:
    """Return a value in which references to the output of an analysis name the job that makes it.

    Raises:
        LookupError: the analysis has no such output.
        ResourceNotFound: there is no such analysis.
        PermissionDenied: it belongs to another tree.
    """
    target = links.target(value)
    if isinstance(target, dict) and str(target.get("analysis")).startswith("analysis-"):
        analysis = caller.execution(target["analysis"])
        return stages.job_reference(*_find_output(analysis, str(target.get("field"))), target)
    if isinstance(value, dict):
        return {name: replace_references(caller, item) for name, item in value.items()}
    if isinstance(value, list):
        return [replace_references(caller, item) for item in value]
    return value


def _find_output(analysis: Hash, field: str) -> tuple[str, str]:
    """Return the ID of the job that makes an output of an analysis, and the job's name for it."""
    jobs = {stage["id"]: stage["execution"] for stage in analysis["stages"]}
    sources = stages.output_sources(analysis["workflow"]["outputs"] or [])
    stage, _, name = sources.get(field, field).partition(".")
    if stage not in jobs:
        raise LookupError(f'{analysis["id"]} has no output field "{field}"')
    return jobs[stage], name
