"""What the service has and this platform has not: one sentence, before anything is uploaded."""

from local_platform.api.call import Call
from local_platform.errors import ApiError, InvalidState, ResourceNotFound
from local_platform.store import entities, places, stand_ins
from local_platform.strict_json import Hash

WITHOUT_ASSETS = (
    'name the packages in "execDepends" of dxapp.json, or put the files under resources/'
)


def _refuse(what: str) -> ApiError:
    return InvalidState(f"The local platform has no {what}")


def apps(_call: Call) -> Hash:
    """/app/new, /app-x/run."""
    raise _refuse("apps: build an applet, with dx build and without --app")


def global_workflows(_call: Call) -> Hash:
    """/globalworkflow/new."""
    raise _refuse("global workflows: build a workflow of a project, without --globalworkflow")


def stage(executable_id: str) -> ApiError:
    """Return the refusal of a stage that runs something other than an applet."""
    return _refuse(f"apps, and no workflows within workflows: {executable_id} cannot be a stage")


def features(_call: Call) -> Hash:
    """/project-x/checkFeatureAccess: dx build --nextflow asks for a license first of all."""
    raise _refuse("Nextflow pipelines: nextflow itself runs them on this machine")


def executable(call: Call) -> Hash:
    """/app-x/describe, /globalworkflow-x/describe: clients try these names first.

    dx build asks for them only with --app, --globalworkflow or --remote; for an applet it does not.
    """
    if call.command == "build":
        raise _refuse("apps, global workflows and remote builds: dx build makes an applet here")
    raise ResourceNotFound(f"The entity {call.object_id} could not be found")


def check(call: Call) -> None:
    """Refuse, whatever the method, what dx does for an asset that is not here."""
    if call.command == "build_asset":
        raise _refuse(f"asset builds: {WITHOUT_ASSETS}")
    wanted = call.object_id
    is_asset = call.command == "build" and wanted.startswith("record-")
    if is_asset and entities.find(call.store, wanted) is None:
        raise _missing_asset(wanted, stand_ins.advice(call.store, wanted))
    if call.command == "build" and call.raw("type") == "AssetBundle":
        _check_named_asset(call)


def _check_named_asset(call: Call) -> None:
    """Refuse a search for an asset by its name, if nothing here has it."""
    scope, name = call.within("scope"), call.field("name", str)
    project, folder = scope.field("project", str), scope.folder()
    lying = places.contents(call.store, project, folder) if call.level(project) != "NONE" else []
    if any(places.describe(call.store, place)["name"] == name for place in lying):
        return
    version = call.within("properties").field("version", str, "")
    place = f"{folder.rstrip('/')}/{name} version {version}"
    raise _missing_asset(f'"{name}" in {project}', stand_ins.advice(call.store, project, place))


def _missing_asset(wanted: str, advice: str) -> ApiError:
    """Return the refusal of an asset that a dxapp.json names and nothing here has."""
    return ResourceNotFound(
        f'An asset in "assetDepends" is missing: the local platform has no {wanted}. {advice}. To'
        f" go on without it, take it out, and {WITHOUT_ASSETS}"
    )


def logout(_call: Call) -> Hash:
    """/system/destroyAuthToken, which `dx logout` sends to the authentication server."""
    raise _refuse("other login, so this one stays: stop the platform, or unset its variables")
