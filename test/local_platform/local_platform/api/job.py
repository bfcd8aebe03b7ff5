"""/job: an entry point that runs, ran, or waits to run.

https://documentation.dnanexus.com/developer/api/running-analyses/applets-and-entry-points#jobs
"""

from typing import Any

from local_platform.api import data_object
from local_platform.api.call import Call
from local_platform.api.search import Selection
from local_platform.errors import PermissionDenied
from local_platform.jobs import states
from local_platform.rules import requirements
from local_platform.store import entities
from local_platform.strict_json import Hash

DEFAULT_INSTANCE = "mem1_ssd1_v2_x4"
DEFAULT_TIMEOUT = {"days": 30}
ON_DEMAND = ("access", "outputFolder", "restartableEntryPoints")
INPUT_OUTPUT = ("input", "runInput", "originalInput", "output")


def new(call: Call) -> Hash:
    """/job/new: another entry point of the calling job's applet, in the same workspace."""
    if call.job_id is None:
        raise PermissionDenied("Only a job can make a subjob")
    parent = entities.get(call.store, call.job_id)
    values = call.field("input", dict)
    call.check_links(values, "input")
    executable = entities.get(call.store, parent["executable"]) | {"name": parent["executableName"]}
    function = call.field("function", str)
    if not function.isprintable() or not function:
        raise call.expected("function", "the name of an entry point")
    fields = requested(call, executable, function)
    fields |= {"runInput": values, "originalInput": values, "input": values}
    origin = states.Origin(parent["project"], parent["folder"], parent["access"], parent, True)
    return {"id": states.create(call.store, executable, origin, fields)}


def requested(call: Call, executable: Hash, function: str) -> Hash:
    """Return what a call that makes a job says of it, on top of what its executable says."""
    run_spec = executable["runSpec"]
    name = executable.get("title") or executable["name"]
    depends_on = call.strings("dependsOn", [])
    _check_dependencies(call, depends_on)
    needed = run_spec.get("systemRequirements", {})
    needed = needed | requirements.machines(call.within("systemRequirements"))
    machine = needed.get(function) or needed.get("*") or {}
    policy = run_spec.get("executionPolicy", {}) | requirements.restarts(
        call.within("executionPolicy")
    )
    durations = run_spec.get("timeoutPolicy", {}) | requirements.durations(
        call.within("timeoutPolicyByExecutable").within(executable["id"])
    )
    duration = durations.get(function) or durations.get("*") or DEFAULT_TIMEOUT
    return {
        "name": call.field("name", str, name if function == "main" else f"{name}:{function}"),
        "function": function,
        "dependsOn": depends_on,
        "tags": call.strings("tags", []),
        "properties": call.properties(),
        "details": data_object.checked_details(call.body.get("details", {})),
        "systemRequirements": needed,
        "instanceType": machine.get("instanceType") or DEFAULT_INSTANCE,
        "executionPolicy": policy,
        "restartableEntryPoints": run_spec.get("restartableEntryPoints", "master"),
        "timeout": requirements.milliseconds(duration),
        "priority": call.field("priority", str, "normal"),
        "rank": call.field("rank", int, 0),
        "ignoreReuse": call.field("ignoreReuse", bool, True),
        "delayWorkspaceDestruction": call.field("delayWorkspaceDestruction", bool, False),
    }


def _check_dependencies(call: Call, depends_on: list[str]) -> None:
    """Check that the caller may see the jobs and objects that a new job is to wait for."""
    for dependency in depends_on:
        if dependency.startswith("job-"):
            call.job(dependency)
        else:
            call.placement(dependency)


def selection(options: Any) -> Selection:
    """Return which fields of jobs a request asks for."""
    without_io = isinstance(options, dict) and options.get("io") is False
    return Selection(options, on_demand=ON_DEMAND + (INPUT_OUTPUT if without_io else ()))


def describe(call: Call) -> Hash:
    """/job-x/describe."""
    return selection(call.body).of(call.job(call.object_id))


def terminate(call: Call) -> Hash:
    """/job-x/terminate: this job and those below it."""
    states.ask_to_terminate(call.store, call.job(call.object_id))
    return {"id": call.object_id}


def update(call: Call) -> Hash:
    """/job-x/update."""
    return _change(call, rank=call.field("rank", int))


def _change(call: Call, **changes: object) -> Hash:
    call.job(call.object_id)
    entities.change(call.store, call.object_id, **changes)
    return {"id": call.object_id}


def set_properties(call: Call) -> Hash:
    """/job-x/setProperties: null removes one."""
    return _change(call, properties=data_object.merged_properties(call, call.job(call.object_id)))


def add_tags(call: Call) -> Hash:
    """/job-x/addTags."""
    return _change(call, tags=data_object.with_labels(call, call.job(call.object_id), "tags"))


def remove_tags(call: Call) -> Hash:
    """/job-x/removeTags."""
    return _change(call, tags=data_object.without_labels(call, call.job(call.object_id), "tags"))
