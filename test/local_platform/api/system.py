"""/system: searches over everything the caller can see, and who the caller is.

https://documentation.dnanexus.com/developer/api/system-methods and .../search
"""

from collections.abc import Iterator

from local_platform import containers
from local_platform.api import data_object, job, project
from local_platform.call import LEVELS, USER, Call
from local_platform.errors import ApiError, InvalidInput, ResourceNotFound
from local_platform.search import matches_labels, matches_name, one_of, page, start
from local_platform.store import Placement
from local_platform.strict_json import Hash


def whoami(_call: Call) -> Hash:
    """/system/whoami."""
    return {"id": USER}


def describe_user(call: Call) -> Hash:
    """/user-x/describe: there is one user."""
    if call.object_id != USER:
        raise ResourceNotFound(f'The entity "{call.object_id}" could not be found')
    handle = USER.removeprefix("user-")
    names = {"handle": handle, "first": "Local", "last": "User"}
    return {
        "id": USER,
        "class": "user",
        "billTo": USER,
        "permittedRegions": [containers.REGION],
    } | names


def greet(_call: Call) -> Hash:
    """/system/greet."""
    return {"messages": []}


def destroy_auth_token(call: Call) -> Hash:
    """/system/destroyAuthToken, which `dx logout` sends to the authentication server."""
    call.store.remove_token(call.field("tokenSignature", str))
    return {}


def find_nothing(_call: Call) -> Hash:
    """/system/findApps, /system/findGlobalWorkflows: there are none here."""
    return {"results": [], "next": None}


def no_such_executable(call: Call) -> Hash:
    """/app-x/describe, /globalworkflow-x/describe: clients try these names first."""
    raise ResourceNotFound(f'The entity "{call.object_id}" could not be found')


def find_projects(call: Call) -> Hash:
    """/system/findProjects."""
    query = call.body
    least = LEVELS.index(call.field("level", str, "CONTRIBUTE"))

    def found() -> Iterator[tuple[int, Hash]]:
        for seq, one in call.store.newest("project", before=start(query)):
            level = call.level(one["id"])
            if LEVELS.index(level) < max(least, 1) or not matches_labels(query, one):
                continue
            if "name" in query and not matches_name(query["name"], one["name"]):
                continue
            result = {"id": one["id"], "level": level, "public": False}
            if query.get("describe"):
                result["describe"] = project.view(call, one["id"], query["describe"])
            yield seq, result

    return page(query, found())


def find_data_objects(call: Call) -> Hash:
    """/system/findDataObjects."""
    query = call.body

    def found() -> Iterator[tuple[int, Hash]]:
        for place in _places(call):
            description = call.store.get(place.object)
            if not _matches_object(query, description):
                continue
            result: Hash = {"id": place.object, "project": place.container}
            if query.get("describe"):
                result["describe"] = data_object.view(call.store, place, query["describe"])
            yield place.seq, result

    return page(query, found())


def _places(call: Call) -> list[Placement]:
    """Return what lies in the scope of a search, newest first."""
    scope = call.field("scope", dict, {})
    before = start(call.body)
    if scope.get("project"):
        holders = [call.container(scope["project"], "VIEW")["id"]]
    else:
        projects = [one["id"] for _, one in call.store.newest("project")]
        holders = [one for one in projects if call.level(one) != "NONE"]
    folder = "/" + scope.get("folder", "/").strip("/")
    recurse = scope.get("recurse", True)
    places = (call.store.contents(one, folder, recurse, before) for one in holders)
    return sorted((place for group in places for place in group), key=lambda place: -place.seq)


def _matches_object(query: Hash, description: Hash) -> bool:
    """Match a data object against every filter of a search."""
    visibility = query.get("visibility", "visible")
    return (
        (visibility == "either" or description["hidden"] == (visibility == "hidden"))
        and ("class" not in query or one_of(query["class"], description["class"]))
        and ("id" not in query or one_of(query["id"], description["id"]))
        and (query.get("state", "any") in ("any", description["state"]))
        and ("name" not in query or matches_name(query["name"], description["name"]))
        and matches_labels(query, description)
    )


def resolve_data_objects(call: Call) -> Hash:
    """/system/resolveDataObjects: one list of matches per name, in the order asked."""
    results = []
    for wanted in call.field("objects", list):
        container = wanted.get("project", call.body.get("project"))
        if container is None:
            raise InvalidInput('The field "project" is missing')
        call.container(container, "VIEW")
        folder = wanted.get("folder", call.body.get("folder", "/"))
        folder = "/" + folder.strip("/")
        matches = []
        for place in call.store.contents(container, folder, wanted.get("recurse", False)):
            description = call.store.get(place.object)
            if description["name"] == wanted.get("name") and not description["hidden"]:
                matches.append({"project": container, "id": place.object})
        results.append(matches)
    return {"results": results}


def describe_data_objects(call: Call) -> Hash:
    """/system/describeDataObjects: each its description or its error."""
    results = []
    for wanted in call.field("objects", list):
        wanted = {"id": wanted} if isinstance(wanted, str) else wanted
        try:
            place = call.placement(wanted["id"], "VIEW", wanted.get("project"))
            view = data_object.view(call.store, place, wanted.get("describe"))
            results.append({"describe": view})
        except ApiError as error:
            results.append(error.body())
    return {"results": results}


def find_executions(call: Call) -> Hash:
    """/system/findExecutions: there are jobs only, no analyses."""
    query = call.body
    own = call.store.get(call.job_id)["rootExecution"] if call.job_id else None

    def found() -> Iterator[tuple[int, Hash]]:
        if query.get("class", "job") != "job":
            return
        for seq, one in call.store.newest("job", before=start(query)):
            if own in (None, one["rootExecution"]) and _matches_job(query, one):
                result: Hash = {"id": one["id"]}
                if query.get("describe"):
                    result["describe"] = job.view(one, query["describe"])
                yield seq, result

    return page(query, found())


def _matches_job(query: Hash, description: Hash) -> bool:
    """Match a job against every filter of a search."""
    exact = ("project", "launchedBy", "originJob", "rootExecution", "parentJob", "state", "id")
    return (
        all(one_of(query[field], description[field]) for field in exact if field in query)
        and ("executable" not in query or one_of(query["executable"], description["executable"]))
        and (query.get("includeSubjobs", True) or description["parentJob"] is None)
        and query.get("parentAnalysis") is None
        and ("name" not in query or matches_name(query["name"], description["name"]))
        and matches_labels(query, description)
    )
