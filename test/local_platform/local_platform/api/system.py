"""/system: searches over everything the caller can see, and who the caller is.

https://documentation.dnanexus.com/developer/api/system-methods and .../search
"""

import dataclasses
import heapq
from collections.abc import Callable, Iterator
from functools import partial

from local_platform.access import LEVELS
from local_platform.api import analysis, data_object, project
from local_platform.api.call import Call
from local_platform.api.search import Filter, Found, page, plain_name, start
from local_platform.errors import ApiError, ResourceNotFound
from local_platform.jobs import analyses
from local_platform.rules import links
from local_platform.rules.fields import Fields
from local_platform.store import containers, entities, places
from local_platform.store.containers import USER
from local_platform.strict_json import Hash

JOB_FIELDS = (
    "id",
    "project",
    "launchedBy",
    "originJob",
    "rootExecution",
    "parentJob",
    "state",
    "executable",
    "parentAnalysis",
    "analysis",
    "billTo",
)
ARCHIVAL_STATES = ("live", "archival", "archived", "unarchiving", "any")
EXECUTIONS = ("job", "analysis")


def whoami(call: Call) -> Hash:
    """/system/whoami."""
    call.whole()
    return {"id": USER}


def describe_user(call: Call) -> Hash:
    """/user-x/describe: there is one user."""
    if call.object_id != USER:
        raise ResourceNotFound(f"The entity {call.object_id} could not be found")
    call.whole()
    regions = {
        one["region"]
        for _, one in entities.newest(call.store, "project")
        if call.level(one["id"]) != "NONE"
    }
    return {
        "id": USER,
        "class": "user",
        "handle": USER.removeprefix("user-"),
        "first": "Local",
        "last": "User",
        "billTo": USER,
        "permittedRegions": sorted({containers.DEFAULT_REGION, *regions} - {containers.EVERYWHERE}),
    }


def greet(call: Call) -> Hash:
    """/system/greet: nothing needs to be said to a client of any version."""
    call.ignore("client", "version")
    return {"messages": []}


def find_nothing(call: Call) -> Hash:
    """/system/findApps, /system/findGlobalWorkflows: there are none here, whatever is asked."""
    call.whole()
    return {"results": [], "next": None}


def find_projects(call: Call) -> Hash:
    """/system/findProjects."""
    least = LEVELS.index(call.one_of("level", LEVELS, "CONTRIBUTE"))
    wanted = Filter(call)
    selection = project.selection(call.raw("describe"))
    for field in ("id", "region", "billTo", *containers.FLAGS):
        wanted.add_exact(call, field)
    if call.field("public", bool, False):
        wanted.add(lambda _: False)
    # All projects that a caller sees here are shared with it explicitly.
    call.ignore("explicitPermission")

    def found() -> Iterator[Found]:
        for seq, one in entities.newest(call.store, "project", before=start(call)):
            level = call.level(one["id"])
            if LEVELS.index(level) >= max(least, 1) and wanted(one):
                result = {"id": one["id"], "level": level, "public": False}
                yield seq, result, partial(project.view, call, one["id"], selection)

    return page(call, found())


def find_data_objects(call: Call) -> Hash:
    """/system/findDataObjects."""
    scope = call.within("scope")
    lying = places.search(
        call.store,
        _filtered(call, _in_scope(call, scope)),
        scope.folder(),
        scope.field("recurse", bool, True),
        before=start(call),
        name=plain_name(call),
    )
    wanted = _object_filter(call)
    selection = data_object.selection(call.raw("describe"))
    return page(
        call,
        (
            (
                place.seq,
                {"id": place.object, "project": place.container},
                partial(data_object.view, call.store, place, one, selection),
            )
            for place, one in lying
            if wanted(one)
        ),
    )


def _in_scope(call: Call, scope: Fields) -> list[str]:
    """Return the containers to be searched: the one named, or every project in reach."""
    if named := scope.optional("project", str):
        return [call.container(named, "VIEW")["id"]]
    projects = [one["id"] for _, one in entities.newest(call.store, "project")]
    return [one for one in projects if call.level(one) != "NONE"]


def _filtered(call: Call, found: list[str]) -> list[str]:
    """Return those containers that a search for data objects asks for by level and region."""
    least, asked = LEVELS.index(call.one_of("level", LEVELS, "VIEW")), call.raw("region")
    regions = asked if isinstance(asked, list) else [asked]
    return [
        one
        for one in found
        if LEVELS.index(call.level(one)) >= least
        and (asked is None or entities.get(call.store, one)["region"] in regions)
    ]


def _object_filter(query: Fields) -> Filter:
    """Return the test for what a search asks of data objects."""
    wanted = Filter(query)
    visibility = query.one_of("visibility", ("visible", "hidden", "either"), "visible")
    if visibility != "either":
        wanted.add(lambda one: one["hidden"] == (visibility == "hidden"))
    if (state := query.field("state", str, "any")) != "any":
        wanted.add(lambda one: one["state"] == state)
    for field in ("class", "id"):
        wanted.add_exact(query, field)
    if (linked := query.optional("link", str)) is not None:
        wanted.add(lambda one: linked in links.object_ids(one["details"]))
    if query.raw("archivalState") is not None:
        # No file is ever archived here.
        live = query.one_of("archivalState", ARCHIVAL_STATES) in ("live", "any")
        wanted.add(lambda one: live and one["class"] == "file")
    return wanted


def resolve_data_objects(call: Call) -> Hash:
    """/system/resolveDataObjects: one list of matches per name, in the order asked."""
    results = []
    everywhere, usual_folder = call.optional("project", str), call.folder()
    for wanted in call.each("objects"):
        container = wanted.optional("project", str) or everywhere or call.field("project", str)
        call.container(container, "VIEW")
        folder = wanted.folder(default=usual_folder)
        recurse = wanted.field("recurse", bool, False)
        name = wanted.field("name", str)
        found = places.search(call.store, [container], folder, recurse, name=name)
        results.append(
            [{"project": container, "id": one["id"]} for _, one in found if not one["hidden"]]
        )
    return {"results": results}


def describe_data_objects(call: Call) -> Hash:
    """/system/describeDataObjects: each its description or its error."""
    return _describe_each(call, "objects", data_object.describe)


def describe_projects(call: Call) -> Hash:
    """/system/describeProjects: each its description or its error."""
    return _describe_each(call, "projects", project.describe)


def describe_executions(call: Call) -> Hash:
    """/system/describeExecutions: each its description or its error."""
    return _describe_each(call, "executions", analysis.describe_execution)


def _describe_each(call: Call, field: str, describe: Callable[[Call], Hash]) -> Hash:
    """Describe what an array names, by an ID or by a hash of it and what is wanted."""
    items = call.field(field, list)
    asked = Fields(body={field: [{"id": one} if isinstance(one, str) else one for one in items]})

    def described(one: Fields) -> Hash:
        options = one.raw("describe")
        body = {"project": one.raw("project")} | (options if isinstance(options, dict) else {})
        try:
            one_call = dataclasses.replace(call, object_id=one.field("id", str), body=body)
            return {"describe": describe(one_call)}
        except ApiError as error:
            return error.body()

    return {"results": [described(one) for one in asked.each(field)]}


def find_executions(call: Call) -> Hash:
    """/system/findExecutions: jobs and analyses, newest first."""
    own = entities.get(call.store, call.job_id)["rootExecution"] if call.job_id else None
    wanted = _job_filter(call)
    options = call.raw("describe")

    def found() -> Iterator[Found]:
        classes = [call.one_of("class", EXECUTIONS)] if "class" in call.body else EXECUTIONS
        newest = [entities.newest(call.store, name, before=start(call)) for name in classes]
        for seq, stored in heapq.merge(*newest, key=lambda pair: -pair[0]):
            one = analyses.current(call.store, stored)
            if own in (None, one["rootExecution"]) and wanted(one):
                yield seq, {"id": one["id"]}, partial(analysis.view, one, options)

    return page(call, found())


def _job_filter(query: Fields) -> Filter:
    """Return the test for what a search asks of jobs."""
    wanted = Filter(query)
    if query.raw("launchedBy") == "self":
        query.body["launchedBy"] = USER
    # Of a restarted job there is the last try only.
    query.ignore("includeRestarted")
    for field in JOB_FIELDS:
        wanted.add_exact(query, field)
    if not query.field("includeSubjobs", bool, True):
        wanted.add(lambda one: one["parentJob"] is None)
    return wanted
