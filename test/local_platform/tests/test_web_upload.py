"""Files that go from a person's computer into a project, through the page, in a real browser."""

import os
from collections.abc import Callable
from pathlib import Path

import dxpy
import pytest
from playwright.sync_api import Route, expect

from local_platform.testing.local import LocalPlatform
from local_platform.testing.project import Dx
from platform_fixtures import until
from web_page import Tab

PART = 16 * 2**20


@pytest.fixture
def folder(open_tab: Callable[..., Tab], dx_project: str) -> Tab:
    """Open a folder of the project."""
    dxpy.api.project_new_folder(dx_project, {"folder": "/reads"})
    tab = open_tab()
    tab.open(f"/{dx_project}/reads")
    return tab


def choose(tab: Tab, *paths: Path) -> None:
    """Choose files of this computer."""
    with tab.page.expect_file_chooser() as chooser:
        tab.click("Upload files ...")
    chooser.value.set_files(list(paths))


def contents(project: str) -> dict[str, bytes]:
    """Return what the files of a project hold, by folder and name."""
    found = dxpy.find_data_objects(project=project, describe=True)
    return {
        f"{one['describe']['folder']}/{one['describe']['name']}": dxpy.open_dxfile(
            one["id"], project=project, mode="rb"
        ).read()
        for one in found
    }


def test_files_arrive_whole_in_parts_though_a_connection_breaks_off(
    folder: Tab, dx_project: str, tmp_path: Path
) -> None:
    files = {"large.bin": bytes(range(256)) * (PART // 128) + b"end", "empty.txt": b""}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    broken: list[str] = []

    def break_second(route: Route) -> None:
        if "/2/" in route.request.url and not broken:
            broken.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    folder.page.route("**/F/U/**", break_second)
    choose(folder, *(tmp_path / name for name in files))
    folder.drop(".drops", [("dropped 'ä'.txt", "dropped")])
    for name in (*files, "dropped 'ä'.txt"):
        expect(folder.page.get_by_role("link", name=name)).to_be_visible()
    expect(folder.text("#uploads")).to_be_empty()
    arrived = contents(dx_project)
    assert arrived.pop("/reads/dropped 'ä'.txt") == b"dropped"
    assert arrived == {f"/reads/{name}": content for name, content in files.items()}
    for name, parts in (("large.bin", 3), ("empty.txt", 1)):
        file = dxpy.find_one_data_object(name=name, project=dx_project)["id"]
        assert len(dxpy.describe(file, fields={"parts": True})["parts"]) == parts
    assert len(broken) == 1


def test_upload_goes_on_when_the_platform_is_killed_and_started_again(
    open_tab: Callable[..., Tab], tmp_path: Path
) -> None:
    platform = LocalPlatform(tmp_path / "state")
    platform.start()
    client = Dx(os.environ | platform.environment, tmp_path)
    project = client("new", "project", "--brief", "trial").stdout.strip()
    content = bytes(range(256)) * (PART // 256) + b"end"
    (tmp_path / "large.bin").write_bytes(content)

    def kill_at_second(route: Route) -> None:
        if "/2/" in route.request.url and platform.running:
            platform.kill()
            route.abort()
        else:
            route.continue_()

    try:
        tab = open_tab(platform)
        tab.open(f"/{project}")
        tab.page.route("**/F/U/**", kill_at_second)
        choose(tab, tmp_path / "large.bin")
        expect(tab.text("#connection")).to_contain_text("The platform has stopped")
        tab.page.unroute("**/F/U/**")
        platform.start(platform.port)
        expect(tab.page.get_by_role("link", name="large.bin")).to_be_visible()
        client("download", f"{project}:/large.bin", "--output", "arrived.bin")
    finally:
        platform.stop()
    assert (tmp_path / "arrived.bin").read_bytes() == content


def test_upload_that_is_cancelled_or_whose_tab_is_closed_leaves_nothing(
    folder: Tab, dx_project: str, tmp_path: Path
) -> None:
    for name in ("first.txt", "second.txt"):
        (tmp_path / name).write_text(name)
    held: list[Route] = []
    folder.page.route("**/F/U/**", lambda route: route.continue_() if held else held.append(route))
    with folder.page.expect_request("**/F/U/**"):
        choose(folder, tmp_path / "first.txt", tmp_path / "second.txt")
    expect(folder.page.get_by_role("progressbar")).to_have_count(2)
    with folder.page.expect_request("**/removeObjects"):
        folder.click("Cancel the upload of first.txt")
    expect(folder.page.get_by_role("link", name="second.txt")).to_be_visible()
    assert list(contents(dx_project)) == ["/reads/second.txt"]
    assert folder.complaints == []
    held.clear()
    with folder.page.expect_request("**/F/U/**"):
        choose(folder, tmp_path / "first.txt")
    assert len(list(dxpy.find_data_objects(project=dx_project))) == 2
    folder.page.close()
    until(lambda: len(list(dxpy.find_data_objects(project=dx_project))) == 1)


def test_file_that_cannot_be_read_is_named_and_leaves_nothing(
    folder: Tab, dx_project: str, tmp_path: Path
) -> None:
    path = tmp_path / "changed.txt"
    path.write_text("as it was")
    folder.page.route("**/file/new", lambda route: (path.write_text("changed"), route.continue_()))
    choose(folder, path)
    expect(folder.text("#uploads")).to_contain_text("'changed.txt' cannot be read. It was changed")
    folder.click("Close")
    expect(folder.text("#uploads")).to_be_empty()
    assert contents(dx_project) == {}
