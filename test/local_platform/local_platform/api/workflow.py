"""/workflow: applets as stages, the output of one the input of the next. Each run is an analysis.

https://documentation.dnanexus.com/developer/api/running-analyses/workflows-and-analyses
"""

import dataclasses
from typing import Any

from local_platform.api import applet, data_object, job, unserved
from local_platform.api.call import Call
from local_platform.errors import InvalidInput, InvalidState
from local_platform.jobs import analyses
from local_platform.rules import requirements, spec, stages
from local_platform.rules.fields import Fields
from local_platform.store import entities
from local_platform.store.entities import new_id
from local_platform.strict_json import Hash

REQUEST_ONLY = (*applet.REQUEST_ONLY, "initializeFrom")
COPIED = ("name", "title", "summary", "description", "outputFolder", "stages", "inputs", "outputs")
# What a run asks of the job of each stage.
PASSED_ON = (
    "delayWorkspaceDestruction",
    "dependsOn",
    "detach",
    "detailedJobMetrics",
    "preserveJobOutputs",
    "priority",
    "rank",
)
FAILURE_POLICIES = ("failStage", "failAllStages")


def new(call: Call) -> Hash:
    """/workflow/new: from its fields, or from another workflow or an analysis."""
    source = _source(call)
    temporary = call.field("temporary", bool, False)
    others = {name: value for name, value in call.whole().items() if name not in REQUEST_ONLY}
    known = {
        "title": call.optional("title", str) or source.get("title"),
        "summary": call.field("summary", str, source.get("summary", "")),
        "description": call.field("description", str, source.get("description", "")),
        "outputFolder": _output_folder(call) or source.get("outputFolder"),
        "inputs": _checked_spec(call, "inputs") or source.get("inputs"),
        "outputs": _checked_spec(call, "outputs") or source.get("outputs"),
        "editVersion": 0,
        "latestAnalysis": None,
        "temporary": temporary,
    }
    known["stages"] = [] if "stages" in call.body else source.get("stages", [])
    for stage in call.each("stages"):
        known["stages"].append(_new_stage(call, stage, known["stages"]))
    if source:
        known["initializedFrom"] = call.field("initializeFrom", dict)
    # dx run --clone makes a workflow for one run: searches do not show it.
    hidden = {"hidden": True} if temporary else {}
    body = {"name": source.get("name")} | call.body | hidden
    asked = dataclasses.replace(call, body=body)
    return data_object.create(asked, "workflow", "open", others | known)


def _source(call: Call) -> Hash:
    """Return the fields that a new workflow takes from another one, or from an analysis."""
    asked = call.within("initializeFrom")
    if not asked.body:
        return {}
    source_id = asked.field("id", str)
    if source_id.startswith("analysis-"):
        found: Hash = call.execution(source_id)["workflow"]
    else:
        found = _workflow(call, source_id, asked.optional("project", str))
    return {name: found[name] for name in COPIED}


def _workflow(call: Call, workflow_id: str, hint: str | None = None) -> Hash:
    """Return the description of a workflow that the caller may see."""
    found = call.described(workflow_id, hint)
    if found["class"] != "workflow":
        raise InvalidInput(f"{workflow_id} is not a workflow")
    return found


def _new_stage(call: Call, asked: Fields, others: list[Hash]) -> Hash:
    """Return a stage as a request describes it.

    Raises:
        InvalidInput: a field is malformed, or its ID is another stage's.
    """
    stage_id = asked.field("id", str, new_id("stage"))
    if not stages.STAGE_ID.fullmatch(stage_id):
        raise asked.expected("id", "letters, digits and underscores, not beginning with a digit")
    if stage_id in [other["id"] for other in others]:
        raise InvalidInput(f'The stage ID "{stage_id}" is used twice')
    return {
        "id": stage_id,
        "name": asked.optional("name", str),
        "executable": _executable(call, asked)["id"],
        "folder": asked.optional("folder", str),
        "input": asked.field("input", dict, {}),
        "executionPolicy": _execution_policy(asked),
        "systemRequirements": requirements.machines(asked.within("systemRequirements")),
    }


def _executable(call: Call, asked: Fields) -> Hash:
    """Return the applet that a stage runs.

    Raises:
        InvalidState: it is an app or a workflow.
    """
    executable_id = asked.field("executable", str)
    if not executable_id.startswith("applet-"):
        raise unserved.stage(executable_id)
    return call.described(executable_id)


def _execution_policy(asked: Fields) -> Hash:
    policy = asked.within("executionPolicy")
    policy.one_of("onNonRestartableFailure", FAILURE_POLICIES, "failAllStages")
    return requirements.restarts(policy)


def _output_folder(call: Call) -> str | None:
    return call.folder("outputFolder") if call.raw("outputFolder") is not None else None


def _checked_spec(call: Call, field: str) -> list[Hash] | None:
    """Return the workflow's own inputs or outputs, if a request has any."""
    entries = call.optional(field, list)
    if entries is not None:
        spec.check_spec(entries, field)
        stages.check_output_sources(entries)
    return entries


def _edit(call: Call, workflow: Hash, **changes: Any) -> Hash:
    """Change a workflow that is still open, and answer with its next edit version.

    Raises:
        InvalidState: it is closed, or the caller does not know its latest version.
    """
    if call.field("editVersion", int) != workflow["editVersion"]:
        raise InvalidState(
            f"{call.object_id} is at edit version {workflow['editVersion']},"
            f" not {call.body['editVersion']}: describe it again"
        )
    version = workflow["editVersion"] + 1
    return data_object.change_open(call, editVersion=version, **changes) | {"editVersion": version}


def _position(workflow: Hash, stage_id: str) -> int:
    """Return the position of a stage in a workflow.

    Raises:
        InvalidInput: there is no such stage.
    """
    ids = [stage["id"] for stage in workflow["stages"]]
    if stage_id not in ids:
        raise InvalidInput(f'{workflow["id"]} has no stage "{stage_id}"')
    return ids.index(stage_id)


def add_stage(call: Call) -> Hash:
    """/workflow-x/addStage: at the end."""
    workflow = _workflow(call, call.object_id)
    stage = _new_stage(call, call, workflow["stages"])
    return _edit(call, workflow, stages=[*workflow["stages"], stage]) | {"stage": stage["id"]}


def remove_stage(call: Call) -> Hash:
    """/workflow-x/removeStage."""
    workflow = _workflow(call, call.object_id)
    at = _position(workflow, call.field("stage", str))
    return _edit(call, workflow, stages=workflow["stages"][:at] + workflow["stages"][at + 1 :])


def move_stage(call: Call) -> Hash:
    """/workflow-x/moveStage."""
    workflow = _workflow(call, call.object_id)
    at, to = _position(workflow, call.field("stage", str)), call.field("newIndex", int)
    if not 0 <= to < len(workflow["stages"]):
        raise call.expected("newIndex", f"from 0 to {len(workflow['stages']) - 1}")
    moved = [*workflow["stages"]]
    moved.insert(to, moved.pop(at))
    return _edit(call, workflow, stages=moved)


def update(call: Call) -> Hash:
    """/workflow-x/update: its metadata, and fields of its stages; null removes one."""
    workflow = _workflow(call, call.object_id)
    changes: Hash = {}
    for field in ("title", "summary", "description"):
        if field in call.body:
            changes[field] = call.optional(field, str)
    if "outputFolder" in call.body:
        changes["outputFolder"] = _output_folder(call)
    for field in ("inputs", "outputs"):
        if field in call.body:
            changes[field] = _checked_spec(call, field)
    changed = [*workflow["stages"]]
    for stage_id, asked in call.within("stages").hashes():
        at = _position(workflow, stage_id)
        changed[at] = _updated_stage(changed[at], asked)
    return _edit(call, workflow, **changes, stages=changed)


def _updated_stage(stage: Hash, asked: Fields) -> Hash:
    """Return a stage with the changes that a request asks for."""
    updated = dict(stage)
    for field in ("name", "folder"):
        if field in asked.body:
            updated[field] = asked.optional(field, str)
    merged = stage["input"] | asked.field("input", dict, {})
    updated["input"] = {name: value for name, value in merged.items() if value is not None}
    if "executionPolicy" in asked.body:
        updated["executionPolicy"] = _execution_policy(asked)
    if "systemRequirements" in asked.body:
        updated["systemRequirements"] = requirements.machines(asked.within("systemRequirements"))
    return updated


def update_stage_executable(call: Call) -> Hash:
    """/workflow-x/updateStageExecutable: with "force", also if inputs or outputs differ."""
    workflow = _workflow(call, call.object_id)
    at = _position(workflow, call.field("stage", str))
    stage, executable = workflow["stages"][at], _executable(call, call)
    old = entities.find(call.store, stage["executable"]) or {}
    reasons = stages.incompatibilities(old, executable)
    if reasons and not call.field("force", bool, False):
        raise InvalidState(
            f"{executable['id']} is not compatible with {stage['executable']}",
            {"incompatibilities": reasons},
        )
    known = {entry["name"] for entry in executable.get("inputSpec", [])}
    kept = {name: value for name, value in stage["input"].items() if name in known}
    changed = [*workflow["stages"]]
    changed[at] = stage | {"executable": executable["id"], "input": kept}
    return _edit(call, workflow, stages=changed)


def close(call: Call) -> Hash:
    """/workflow-x/close."""
    return data_object.change_open(call, state="closed")


def run(call: Call) -> Hash:
    """/workflow-x/run: the jobs of all stages at once; each waits for the outputs it links to."""
    workflow = _workflow(call, call.object_id, call.optional("project", str))
    # Results of earlier runs are never reused, so every stage runs.
    call.ignore("rerunStages", *job.WITHOUT_EFFECT)
    planned = _planned(call, workflow)
    analysis = analyses.describe_new(call, planned, applet.origin(call, {}))
    analysis |= {"runInput": call.field("input", dict), **data_object.labels(call)}
    # Before its jobs: a tree is listed from its root on.
    entities.save(call.store, analysis)
    jobs = _start_stages(call, planned, analysis)
    analysis["stages"] = [
        {"id": stage["id"], "execution": jobs[stage["id"]]} for stage in planned["stages"]
    ]
    entities.save(call.store, analysis)
    entities.change(call.store, workflow["id"], latestAnalysis=analysis["id"])
    return {"id": analysis["id"], "stages": [stage["execution"] for stage in analysis["stages"]]}


def _start_stages(call: Call, planned: Hash, analysis: Hash) -> dict[str, str]:
    """Make the jobs of an analysis, and return their IDs by stage.

    A link to the output of a stage becomes a reference to that of its job.
    """
    given = spec.with_defaults(call.field("input", dict), planned["inputs"] or [])
    jobs: dict[str, str] = {}
    inputs: dict[str, Hash] = {}

    def value_of(link: Hash) -> Any:
        if "workflowInputField" in link:
            return given.get(link["workflowInputField"], stages.MISSING)
        if "inputField" in link:
            return inputs[link["stage"]].get(link["inputField"], stages.MISSING)
        return stages.job_reference(jobs[link["stage"]], link["outputField"], link)

    for stage in stages.in_order(planned["stages"]):
        values = {name: stages.replace(one, value_of) for name, one in stage["input"].items()}
        values = {name: one for name, one in values.items() if one is not stages.MISSING}
        inputs[stage["id"]] = values
        asked = _stage_call(call, stage, values, analysis)
        jobs[stage["id"]] = applet.start(asked, analysis, stage["id"])
    return jobs


def dry_run(call: Call) -> Hash:
    """/workflow-x/dryRun: which stages would run. Here every stage does: nothing is reused."""
    workflow = _workflow(call, call.object_id, call.optional("project", str))
    analysis_id = new_id("analysis")
    execution = {"parentAnalysis": analysis_id, "state": "idle"}
    return {
        "id": analysis_id,
        "stages": [
            {
                "id": stage["id"],
                "execution": execution | {"id": new_id("job"), "name": stage["name"]},
            }
            for stage in _planned(call, workflow)["stages"]
        ],
    }


def _planned(call: Call, workflow: Hash) -> Hash:
    """Return a workflow as a call runs it: with its inputs, folders and machines.

    Raises:
        InvalidInput: an input is not one of the workflow's.
        InvalidState: the applet of a stage has been removed.
    """
    given: Hash = call.field("input", dict)
    _check_input(call, workflow, given)
    inputs = workflow["inputs"] and [
        entry | ({"default": given[entry["name"]]} if entry["name"] in given else {})
        for entry in workflow["inputs"]
    ]
    planned = [_planned_stage(call, stage, given) for stage in workflow["stages"]]
    return workflow | {"stages": planned, "inputs": inputs}


def _check_input(call: Call, workflow: Hash, given: Hash) -> None:
    """Check the input of a run: against the workflow's own inputs, if any, else its stages'."""
    pairs = [(stage, _reachable(call, stage)) for stage in workflow["stages"]]
    if workflow["inputs"] is not None:
        for name in given:
            if "." in name:
                raise InvalidInput(f'The input "{name}" is private and cannot be overridden')
        values = spec.with_defaults(given, workflow["inputs"])
        spec.check_values(values, workflow["inputs"], "input")
        return
    known = {entry["name"] for pair in pairs for entry in stages.input_spec(*pair)}
    for name in given:
        if name not in known:
            raise InvalidInput(f'the input "{name}" is not in the inputSpec')


def _planned_stage(call: Call, stage: Hash, given: Hash) -> Hash:
    """Return a stage as a call runs it."""
    prefix = f"{stage['id']}."
    own = {
        name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)
    }
    folders, machines = call.within("stageFolders"), call.within("stageSystemRequirements")
    folder = folders.optional(stage["id"], str) or folders.optional("*", str)
    needed = stage["systemRequirements"]
    for asked in (call.within("systemRequirements"), *map(machines.within, ("*", stage["id"]))):
        needed = requirements.merge(needed, requirements.machines(asked))
    return stage | {
        "input": stage["input"] | own,
        "folder": folder or stage["folder"],
        "systemRequirements": needed,
    }


def _reachable(call: Call, stage: Hash) -> Hash:
    """Return the applet of a stage.

    Raises:
        InvalidState: it has been removed.
        PermissionDenied: the caller may not see it.
    """
    if entities.find(call.store, stage["executable"]) is None:
        raise InvalidState(
            f'The stage "{stage["id"]}" runs {stage["executable"]}, which has been removed'
        )
    return call.described(stage["executable"])


def _stage_call(call: Call, stage: Hash, values: Hash, analysis: Hash) -> Call:
    """Return the call that runs the applet of one stage."""
    policy = stage["executionPolicy"] | call.within("executionPolicy").whole()
    body = {
        "input": values,
        "project": analysis["project"],
        "folder": stages.join_folder(analysis["folder"], stage["folder"]),
        "name": stage["name"],
        "executionPolicy": policy,
        "systemRequirements": stage["systemRequirements"],
    }
    body |= {name: call.raw(name) for name in PASSED_ON if name in call.body}
    return dataclasses.replace(call, object_id=stage["executable"], body=body, read=set())
