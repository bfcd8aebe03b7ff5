"""/applet: made once, run many times.

https://documentation.dnanexus.com/developer/api/running-analyses/applets-and-entry-points
"""

import dataclasses

from local_platform.access import LEVELS, OTHER_ACCESS, USUAL_ACCESS
from local_platform.api import data_object, job
from local_platform.api.call import Call
from local_platform.errors import InvalidInput
from local_platform.jobs.request import Origin
from local_platform.rules import links, requirements, spec
from local_platform.rules.fields import REQUIRED, Fields
from local_platform.store import containers, entities, places
from local_platform.strict_json import Hash

REQUEST_ONLY = ("project", "folder", "parents", "nonce")
INTERPRETERS = ("python3", "bash")
# The versions of each release of Ubuntu. The service runs the last three no more, but people have
# applets of them; there a version could be left out.
RELEASES = {
    "24.04": ("0",),
    "20.04": ("0",),
    "16.04": ("0", "1"),
    "14.04": ("0",),
    "12.04": ("0",),
}
OFFERED_RELEASES = ("24.04", "20.04")


def new(call: Call) -> Hash:
    """/applet/new: fields that the platform does not know are kept as they are."""
    call.field("dxapi", str)
    for field in ("inputSpec", "outputSpec"):
        if field in call.body:
            spec.check_spec(call.raw(field), field)
    run_spec = call.field("runSpec", dict)
    _check_run_spec(call, call.within("runSpec"))
    _check_access(call.within("access"))
    call.optional("treeTurnaroundTimeThreshold", int)
    region = _region(call)
    known = {
        "title": call.field("title", str, ""),
        "summary": call.field("summary", str, ""),
        "description": call.field("description", str, ""),
        "access": call.field("access", dict, {}),
        "runSpec": {"headJobOnDemand": False, "inheritParentRestartOnPolicy": False}
        | run_spec
        | {
            "bundledDependsByRegion": {region: run_spec.get("bundledDepends", [])},
            "systemRequirementsByRegion": {region: run_spec.get("systemRequirements", {})},
        },
    }
    others = {name: value for name, value in call.whole().items() if name not in REQUEST_ONLY}
    return data_object.create(call, "applet", "closed", others | known)


def _region(call: Call) -> str:
    """Return the region of the project that an applet is made in.

    Raises:
        InvalidInput: the applet is for other regions.
    """
    region: str = call.container(call.field("project", str), "UPLOAD")["region"]
    offered = call.field("regionalOptions", dict, {})
    if offered and region not in offered:
        raise InvalidInput(
            f'The project is in {region}, which is not among the "regionalOptions":'
            f" {', '.join(offered)}"
        )
    return region


def _check_run_spec(call: Call, run_spec: Fields) -> None:
    """Check the fields of a runSpec that this platform acts on."""
    if str(run_spec.raw("interpreter")).startswith("python2"):
        raise run_spec.expected(
            "interpreter",
            "python3 or bash: python2.7 is not served, and the service has retired it",
        )
    run_spec.one_of("interpreter", INTERPRETERS)
    run_spec.one_of("distribution", ("Ubuntu",))
    release = run_spec.one_of("release", tuple(RELEASES))
    usual = REQUIRED if release in OFFERED_RELEASES else "0"
    run_spec.one_of("version", RELEASES[release], usual)
    run_spec.field("code", str)
    run_spec.one_of("restartableEntryPoints", ("master", "all"), "master")
    requirements.durations(run_spec.within("timeoutPolicy"))
    requirements.restarts(run_spec.within("executionPolicy"))
    requirements.machines(run_spec.within("systemRequirements"))
    for package in run_spec.each("execDepends"):
        package.field("name", str)
        package.optional("package_manager", str)
        package.strings("stages", [])
    for bundle in run_spec.each("bundledDepends"):
        bundle.field("name", str)
        bundle_id = links.object_id(bundle.raw("id"))
        if bundle_id is None:
            raise bundle.expected("id", "a link to a file")
        call.placement(bundle_id)
        if entities.get(call.store, bundle_id)["state"] != "closed":
            raise InvalidInput(f'the field "{bundle.path}id": {bundle_id} is not closed')


def _check_access(access: Fields) -> None:
    for field in USUAL_ACCESS:
        access.one_of(field, LEVELS, "NONE")
    for right in OTHER_ACCESS:
        access.optional(right, bool)
    access.strings("network", [])


def get(call: Call) -> Hash:
    """/applet-x/get: the description with the code."""
    place = call.placement(call.object_id)
    applet = places.describe(call.store, place)
    everything = data_object.selection({"details": True, "properties": True})
    return data_object.view(call.store, place, applet, everything) | {"runSpec": applet["runSpec"]}


def run(call: Call) -> Hash:
    """/applet-x/run: from a job, a subjob with a workspace of its own."""
    return {"id": start(call)}


def start(call: Call, analysis: Hash | None = None, stage: str | None = None) -> str:
    """Make the job that runs an applet, perhaps for a stage of an analysis; return its ID."""
    executable = call.described(call.object_id, call.optional("project", str))
    values = spec.with_defaults(job.input_values(call), executable.get("inputSpec", []))
    spec.check_values(values, executable.get("inputSpec"), "input")
    call.check_links(values, "input")
    spec.check_types(values, executable.get("inputSpec", []), call.described)
    place = origin(call, executable["access"])
    if analysis:
        place = dataclasses.replace(place, folder=call.folder(), analysis=analysis, stage=stage)
    _check_region(call, place.project, [executable["id"], *links.object_ids(values)])
    return job.create(call, executable, "main", place, values)


def _check_region(call: Call, project: str, object_ids: list[str]) -> None:
    """Check that an applet and its input lie in the region in which they are to run."""
    region = entities.get(call.store, project)["region"]
    for object_id in object_ids:
        regions = containers.regions(call.store, object_id)
        if not {region, containers.EVERYWHERE} & regions:
            raise InvalidInput(
                f"{object_id} lies in {', '.join(sorted(regions))}, and {project} in {region}:"
                " what a job needs must be in the region in which it runs"
            )


def origin(call: Call, access: Hash) -> Origin:
    """Return where a run comes from, and what it may do: no more than who calls."""
    access, detached = call.at_most_own(access), call.field("detach", bool, False)
    if call.job_id is None:
        project = call.container(call.field("project", str), "CONTRIBUTE")["id"]
        return Origin(project, call.folder(), access)
    caller = entities.get(call.store, call.job_id)
    if detached:
        # Its output goes to a project, not to the workspace of the job that calls.
        project = call.container(call.field("project", str, caller["project"]), "CONTRIBUTE")["id"]
        return Origin(project, call.folder(default=caller["folder"]), access, caller, True)
    # Its output goes to the workspace of the job that calls.
    call.ignore("folder")
    return Origin(caller["project"], caller["folder"], access, caller)
