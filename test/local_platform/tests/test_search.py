"""Finding things: names, labels, scopes, pages; and both dialects of describe."""

from collections.abc import Callable

import dxpy
import pytest
from dxpy.exceptions import InvalidInput

from local_platform.testing.project import Dx


@pytest.fixture
def files(dx_project: str) -> dict[str, str]:
    """Make files to be found, by name."""
    dxpy.DXProject(dx_project).new_folder("/deep/er", parents=True)

    def new(name: str, folder: str = "/", **fields: object) -> str:
        return dxpy.new_dxfile(name=name, folder=folder, **fields).get_id()

    return {
        "a.bam": new("a.bam", tags=["x", "y"], properties={"k": "1"}),
        "b.bam": new("b.bam", tags=["x"], properties={"k": "2"}, types=["Kind"]),
        "A.txt": new("A.txt", folder="/deep/er"),
        "[1]?.txt": new("[1]?.txt", folder="/deep"),
        "hidden": new("hidden", hidden=True),
    }


def found(**query: object) -> set[str]:
    """Return the names of what a search finds."""
    results = dxpy.find_data_objects(describe={"fields": {"name": True}}, **query)
    return {result["describe"]["name"] for result in results}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"name": "a.bam"}, {"a.bam"}),
        ({"name": "*.bam", "name_mode": "glob"}, {"a.bam", "b.bam"}),
        ({"name": "?.txt", "name_mode": "glob"}, {"A.txt"}),
        ({"name": r"\[1\]\?.txt", "name_mode": "glob"}, {"[1]?.txt"}),
        ({"name": "^[ab]", "name_mode": "regexp"}, {"a.bam", "b.bam"}),
        ({"visibility": "hidden"}, {"hidden"}),
        ({"visibility": "either", "folder": "/", "recurse": False}, {"a.bam", "b.bam", "hidden"}),
        ({"folder": "/", "recurse": False}, {"a.bam", "b.bam"}),
        ({"folder": "/deep"}, {"A.txt", "[1]?.txt"}),
        ({"tags": ["x", "y"]}, {"a.bam"}),
        ({"tag": "x"}, {"a.bam", "b.bam"}),
        ({"properties": {"k": "2"}}, {"b.bam"}),
        ({"properties": {"k": True}}, {"a.bam", "b.bam"}),
        ({"typename": "Kind"}, {"b.bam"}),
        ({"classname": "record"}, set()),
        ({"state": "closed"}, set()),
        ({"created_after": "-1h", "folder": "/deep"}, {"A.txt", "[1]?.txt"}),
        ({"created_before": "-1h"}, set()),
    ],
)
def test_filters(files: dict[str, str], dx_project: str, query: dict, names: set[str]) -> None:
    assert set(files) >= names
    assert found(project=dx_project, **query) == names


def test_broken_regexp_is_refused(files: dict[str, str], dx_project: str) -> None:
    assert files
    with pytest.raises(InvalidInput, match="regexp") as refused:
        found(project=dx_project, name="(", name_mode="regexp")
    assert ": missing ): (" in str(refused.value)


def test_search_without_a_project_looks_into_all(files: dict[str, str]) -> None:
    results = dxpy.find_data_objects(name="a.bam")
    assert files["a.bam"] in [result["id"] for result in results]


def test_pages_join_to_the_whole(dx_project: str) -> None:
    made = [dxpy.new_dxrecord(name=str(number)).get_id() for number in range(5)]
    results = dxpy.find_data_objects(project=dx_project, first_page_size=2)
    assert [result["id"] for result in results] == made[::-1]


def test_page_of_one(dx_project: str) -> None:
    made = [dxpy.new_dxrecord(name=str(number)).get_id() for number in range(2)]
    query = {"scope": {"project": dx_project}, "limit": 1}
    first = dxpy.api.system_find_data_objects(query)
    second = dxpy.api.system_find_data_objects(query | {"starting": first["next"]})
    assert [first["results"][0]["id"], second["results"][0]["id"]] == made[::-1]
    assert second["next"] is None


def test_names_are_resolved_in_the_order_asked(files: dict[str, str], dx_project: str) -> None:
    wanted = [{"name": "b.bam"}, {"name": "none"}, {"name": "A.txt", "folder": "/deep/er"}]
    results = dxpy.search.resolve_data_objects(wanted, project=dx_project, folder="/")
    ids = [[match["id"] for match in matches] for matches in results]
    assert ids == [[files["b.bam"]], [], [files["A.txt"]]]


def test_find_projects_by_name(dx_project: str, request: pytest.FixtureRequest) -> None:
    results = dxpy.find_projects(name=request.node.name[:-1] + "*", name_mode="glob", level="VIEW")
    assert [result["id"] for result in results] == [dx_project]


def test_describe_of_named_fields_and_of_the_usual_ones(files: dict[str, str]) -> None:
    file = dxpy.DXFile(files["a.bam"])
    assert set(file.describe(fields={"name", "properties"})) == {"id", "name", "properties"}
    usual = file.describe()
    assert "properties" not in usual
    assert "details" not in usual
    assert "parts" not in usual
    both = file.describe(fields={"properties"}, default_fields=True)
    assert both == usual | {"properties": {"k": "1"}}


def test_describe_with_the_older_switches(files: dict[str, str]) -> None:
    described = dxpy.api.file_describe(files["a.bam"], {"properties": True, "parts": True})
    assert (described["properties"], described["parts"]) == ({"k": "1"}, {})


def test_wrong_project_hint_is_no_error(files: dict[str, str], dx_project: str) -> None:
    other = dxpy.api.project_new({"name": "other"})["id"]
    described = dxpy.api.file_describe(files["a.bam"], {"project": other})
    assert described["project"] == dx_project


def test_projects_of_an_object_are_listed(dx_project: str) -> None:
    other = dxpy.api.project_new({"name": "other"})["id"]
    record = dxpy.new_dxrecord(close=True)
    record.clone(other)
    assert record.list_projects() == {dx_project: "ADMINISTER", other: "ADMINISTER"}


def test_projects_are_described_together(dx_project: str) -> None:
    absent = "project-" + "B" * 24
    asked = [{"id": dx_project, "describe": {"fields": {"region": True}}}, absent, dx_project]
    results = dxpy.api.system_describe_projects({"projects": asked})["results"]
    assert results[0] == {"describe": {"id": dx_project, "region": "aws:us-east-1"}}
    assert results[1]["error"]["type"] == "ResourceNotFound"
    assert results[2]["describe"]["class"] == "project"


def test_executions_are_described_together(make_applet: Callable[..., dxpy.DXApplet]) -> None:
    job = make_applet("true", "bash").run({}).get_id()
    asked = [job, {"id": job, "describe": {"fields": {"function": True}}}, "job-" + "B" * 24]
    results = dxpy.api.system_describe_executions({"executions": asked})["results"]
    assert results[0]["describe"]["id"] == job
    assert results[1] == {"describe": {"id": job, "function": "main"}}
    assert results[2]["error"]["type"] == "ResourceNotFound"


def test_find_data_from_the_command_line(files: dict[str, str], dx: Dx) -> None:
    assert dx("find", "data", "--name", "*.bam", "--brief").stdout.count("file-") == 2
    assert files["A.txt"] in dx("find", "data", "--folder", "/deep", "--brief").stdout
    assert files["b.bam"] in dx("describe", "/b.bam", "--json").stdout


def test_objects_are_found_by_what_they_link_to(files: dict[str, str], dx_project: str) -> None:
    linking = dxpy.new_dxrecord(name="linking", details=[{"deep": dxpy.dxlink(files["a.bam"])}])
    assert linking
    assert found(project=dx_project, link=files["a.bam"]) == {"linking"}
    assert found(project=dx_project, link=files["b.bam"]) == set()


def test_files_are_never_archived(files: dict[str, str], dx_project: str) -> None:
    dxpy.new_dxrecord(name="no file")
    query = {"project": dx_project, "classname": "file"}
    assert found(archival_state="live", **query) == found(**query) == set(files) - {"hidden"}
    for state in ("archival", "archived", "unarchiving"):
        assert found(archival_state=state, **query) == set()


def test_objects_are_found_by_region_and_level(files: dict[str, str]) -> None:
    query = {"name": "a.bam", "modified_after": "-1d"}
    ids = {one["id"] for one in dxpy.find_data_objects(region=["aws:us-east-1"], **query)}
    assert files["a.bam"] in ids
    assert list(dxpy.find_data_objects(region=["azure:westus"], **query)) == []
    assert files["a.bam"] in {one["id"] for one in dxpy.find_data_objects(level="VIEW", **query)}


def test_executions_are_found_by_who_pays(
    make_applet: Callable[..., dxpy.DXApplet], dx_project: str
) -> None:
    job = make_applet("true", "bash").run({})
    query = {"project": dx_project}
    for payer, ids in (("user-local", [job.get_id()]), ("org-other", [])):
        results = dxpy.api.system_find_executions(query | {"billTo": payer})["results"]
        assert [one["id"] for one in results] == ids


@pytest.mark.parametrize(
    ("method", "body", "field"),
    [
        ("findDataObjects", {"nosuchfilter": True}, "nosuchfilter"),
        ("findDataObjects", {"scope": {"folders": ["/"]}}, "scope.folders"),
        ("findDataObjects", {"created": {"since": 0}}, "created.since"),
        ("findExecutions", {"instanceType": "mem1_ssd1_v2_x4"}, "instanceType"),
        ("findProjects", {"shared": True}, "shared"),
        (
            "resolveDataObjects",
            {"objects": [{"name": "a", "klass": "file"}]},
            r"objects\[0\].klass",
        ),
    ],
)
def test_filter_that_is_not_served_is_refused(
    dx_project: str, method: str, body: dict, field: str
) -> None:
    whole = {"project": dx_project} if method == "resolveDataObjects" else {}
    with pytest.raises(InvalidInput, match=f'does not serve the field "{field}"'):
        dxpy.DXHTTPRequest(f"/system/{method}", body | whole)


def test_analyses_are_found_by_the_applets_of_their_stages(
    make_applet: Callable[..., dxpy.DXApplet], dx_project: str
) -> None:
    applet, other = make_applet("true", "bash"), make_applet("true", "bash")
    workflow = dxpy.new_dxworkflow(project=dx_project)
    workflow.add_stage(applet)
    analysis = workflow.run({}, project=dx_project)
    for executable, ids in ((applet, [analysis.get_id()]), (other, [])):
        query = {"executable": executable, "project": dx_project}
        assert [one["id"] for one in dxpy.find_analyses(**query)] == ids
