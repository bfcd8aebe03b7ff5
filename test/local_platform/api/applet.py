"""/applet: made once, run many times.

https://documentation.dnanexus.com/developer/api/running-analyses/applets-and-entry-points
"""

from local_platform import links, spec
from local_platform.api import data_object, job
from local_platform.call import LEVELS, Call
from local_platform.containers import REGION
from local_platform.errors import InvalidInput
from local_platform.jobs import life
from local_platform.strict_json import Hash

REQUEST_ONLY = ("project", "folder", "parents", "nonce")
INTERPRETERS = ("python3", "bash")
RELEASES = ("24.04", "20.04")
TIME_UNITS = ("days", "hours", "minutes")


def new(call: Call) -> Hash:
    """/applet/new: fields that the platform does not know are kept as they are."""
    run_spec = call.field("runSpec", dict)
    call.field("dxapi", str)
    for field in ("inputSpec", "outputSpec"):
        if field in call.body:
            spec.check_spec(call.body[field], field)
    _check_run_spec(call, run_spec)
    _check_access(call.field("access", dict, {}))
    fields = {name: value for name, value in call.body.items() if name not in REQUEST_ONLY}
    fields.setdefault("title", call.field("name", str, ""))
    fields.setdefault("summary", "")
    fields.setdefault("description", "")
    fields["access"] = call.field("access", dict, {})
    fields["runSpec"] = run_spec | {
        "bundledDependsByRegion": {REGION: run_spec.get("bundledDepends", [])},
        "systemRequirementsByRegion": {REGION: run_spec.get("systemRequirements", {})},
    }
    return data_object.create(call, "applet", "closed", fields)


def _check_run_spec(call: Call, run_spec: Hash) -> None:
    """Check the fields of a runSpec that this platform acts on."""
    for field, allowed in (
        ("interpreter", INTERPRETERS),
        ("distribution", ("Ubuntu",)),
        ("release", RELEASES),
        ("version", ("0",)),
    ):
        if run_spec.get(field) not in allowed:
            raise InvalidInput(f'Expected the field "runSpec.{field}" to be {" or ".join(allowed)}')
    if not isinstance(run_spec.get("code"), str):
        raise InvalidInput('Expected the field "runSpec.code" to be a string')
    for field in ("execDepends", "bundledDepends"):
        entries = run_spec.get(field, [])
        well_formed = isinstance(entries, list) and all(
            isinstance(entry, dict) and isinstance(entry.get("name"), str) for entry in entries
        )
        if not well_formed:
            raise InvalidInput(f'Expected the field "runSpec.{field}" to be hashes with a "name"')
    for bundle in run_spec.get("bundledDepends", []):
        bundle_id = links.object_id(bundle.get("id"))
        if bundle_id is None:
            raise InvalidInput('Expected the field "runSpec.bundledDepends" to link to files')
        call.placement(bundle_id)
        if call.store.get(bundle_id)["state"] != "closed":
            raise InvalidInput(f'the field "runSpec.bundledDepends": {bundle_id} is not closed')
    for entry_point, limit in run_spec.get("timeoutPolicy", {}).items():
        check_duration(limit, f"runSpec.timeoutPolicy.{entry_point}")


def check_duration(duration: object, field: str) -> None:
    """Check a time limit: {"days", "hours", "minutes"}."""
    well_formed = isinstance(duration, dict) and all(
        unit in TIME_UNITS and isinstance(amount, int | float) and amount >= 0
        for unit, amount in duration.items()
    )
    if not well_formed:
        raise InvalidInput(f'Expected the field "{field}" to be a hash of {", ".join(TIME_UNITS)}')


def _check_access(access: Hash) -> None:
    for field in ("project", "allProjects"):
        if access.get(field, "NONE") not in LEVELS:
            raise InvalidInput(f'Expected the field "access.{field}" to be one of {LEVELS}')


def get(call: Call) -> Hash:
    """/applet-x/get: the description with the code."""
    place = call.placement(call.object_id)
    view = data_object.view(call.store, place, {"details": True, "properties": True})
    return view | {"runSpec": call.store.get(call.object_id)["runSpec"]}


def run(call: Call) -> Hash:
    """/applet-x/run: from a job, a subjob with a workspace of its own."""
    call.placement(call.object_id)
    executable = call.store.get(call.object_id)
    given = call.field("input", dict)
    values = spec.with_defaults(given, executable.get("inputSpec", []))
    spec.check_values(values, executable.get("inputSpec"), "input")
    spec.check_links(call, values, "input")
    policies = call.field("timeoutPolicyByExecutable", dict, {})
    for entry_point, limit in policies.get(call.object_id, {}).items():
        check_duration(limit, f"timeoutPolicyByExecutable.{call.object_id}.{entry_point}")
    fields = job.requested(call, executable, "main")
    fields |= {"runInput": given, "originalInput": values, "input": values}
    return {"id": life.create(call.store, executable, _origin(call, executable), fields)}


def _origin(call: Call, executable: Hash) -> life.Origin:
    """Return where a run comes from: the user, or the job that calls."""
    access = executable["access"]
    if call.job_id is None:
        project = call.container(call.field("project", str), "CONTRIBUTE")["id"]
        return life.Origin(project, call.folder(), access)
    caller = call.store.get(call.job_id)
    parent = None if call.field("detach", bool, False) else caller
    return life.Origin(caller["project"], caller["folder"], access, parent)
