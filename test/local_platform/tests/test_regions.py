"""Regions: a project's is fixed when it is made, and what a job needs lies in it."""

import json
from collections.abc import Callable

import dxpy
import pytest
from dxpy.exceptions import InvalidInput

from local_platform.testing.project import Dx
from platform_fixtures import ended, write_applet

MakeApplet = Callable[..., dxpy.DXApplet]
LONDON = "aws:eu-west-2-g"


@pytest.fixture
def london(dx: Dx) -> str:
    """Make a project in another region than the test's own."""
    return dx("new", "project", "london", "--region", LONDON, "--brief").stdout.strip()


def test_project_is_found_by_its_region(dx: Dx, dx_project: str, london: str) -> None:
    assert london in dx("find", "projects", "--region", LONDON, "--brief").stdout.split()
    assert dx_project not in dx("find", "projects", "--region", LONDON, "--brief").stdout
    assert dxpy.describe(london)["region"] == LONDON
    assert LONDON in dxpy.api.user_describe(dxpy.whoami())["permittedRegions"]


@pytest.mark.parametrize("name", ["London", "aws:not-a-region", "moon:us-east-1"])
def test_name_that_is_no_region_is_refused(dx: Dx, name: str) -> None:
    refused = dx("new", "project", "nowhere", "--region", name, status=3)
    assert 'Expected the field "region"' in refused.stderr


def test_applet_of_several_regions_is_built_in_each(dx: Dx, dx_project: str, london: str) -> None:
    machines = {
        "aws:us-east-1": {"systemRequirements": {"*": {"instanceType": "mem1_ssd1_v2_x2"}}},
        LONDON: {"systemRequirements": {"*": {"instanceType": "mem2_ssd1_v2_x2"}}},
    }
    write_applet(dx.folder / "both", "true", regionalOptions=machines)
    for destination, region in ((dx_project, "aws:us-east-1"), (london, LONDON)):
        applet = json.loads(dx("build", "both", "-d", f"{destination}:/").stdout)["id"]
        run_spec = dxpy.describe(applet)["runSpec"]
        needed = machines[region]["systemRequirements"]
        assert run_spec["systemRequirementsByRegion"] == {region: needed}
        assert run_spec["bundledDependsByRegion"] == {region: []}
        job = dxpy.DXApplet(applet).run({}, project=destination)
        description = ended(job)
        assert (description["state"], description["region"]) == ("done", region)
        assert description["instanceType"] == needed["*"]["instanceType"]


def test_applet_is_not_built_outside_its_regions(dx: Dx, london: str) -> None:
    write_applet(dx.folder / "one", "true", regionalOptions={"aws:us-east-1": {}})
    assert "regionalOptions" in dx("build", "one", "-d", f"{london}:/", status=3).stderr


def test_applet_is_not_made_outside_its_regions(make_applet: MakeApplet) -> None:
    with pytest.raises(InvalidInput, match=r"aws:us-east-1, which is not among.*azure:westus"):
        make_applet("true", "bash", regionalOptions={"azure:westus": {}})


def test_nothing_is_copied_into_another_region(dx: Dx, london: str) -> None:
    dxpy.upload_string("words", name="words.txt", wait_on_close=True)
    refused = dx("cp", "words.txt", f"{london}:/", status=3)
    assert "cannot be cloned" in refused.stderr.replace("\n", " ")
    assert dxpy.DXProject(london).list_folder()["objects"] == []


def test_applet_and_input_must_be_where_the_job_runs(make_applet: MakeApplet, london: str) -> None:
    applet = make_applet("true", "bash")
    with pytest.raises(InvalidInput, match=f"{applet.get_id()} lies in aws:us-east-1"):
        applet.run({}, project=london)
    file = dxpy.upload_string("words", name="words.txt", project=london, wait_on_close=True)
    with pytest.raises(InvalidInput, match=f"{file.get_id()} lies in {LONDON}"):
        applet.run({"file": dxpy.dxlink(file)})
