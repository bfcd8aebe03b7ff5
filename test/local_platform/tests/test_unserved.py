"""What the service has and the local platform has not: a sentence, and nothing is uploaded."""

import json
import subprocess
import sys
from pathlib import Path

import dxpy
import pytest

from local_platform.testing.project import Dx
from platform_fixtures import write_applet

NOWHERE = "project-" + "B" * 24


def write_source(folder: Path, **run_spec: object) -> None:
    """Write the source of an applet that has something to upload."""
    write_applet(folder, "main() { true; }\n", version="1.0.0", runSpec=run_spec)
    (folder / "resources").mkdir()
    (folder / "resources" / "large").write_text("large")


def uploaded(project: str) -> list[str]:
    """Return all that lies in a project, hidden files too."""
    found = dxpy.find_data_objects(project=project, visibility="either")
    return [one["id"] for one in found]


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (("build", "--app"), "has no apps, global workflows and remote builds: dx build makes an"),
        (("build", "--remote"), "has no apps, global workflows and remote builds"),
        (("build", "--nextflow"), "has no Nextflow pipelines: nextflow itself runs them"),
    ],
)
def test_build_of_another_kind_is_refused_before_an_upload(
    dx: Dx, dx_project: str, command: tuple[str, ...], sentence: str
) -> None:
    write_source(dx.folder / "source")
    projects = len(list(dxpy.find_projects()))
    assert sentence in dx(*command, "source", status=3).stderr
    assert uploaded(dx_project) == []
    assert len(list(dxpy.find_projects())) == projects


def test_global_workflow_is_refused(dx: Dx, dx_project: str) -> None:
    folder = dx.folder / "flow"
    folder.mkdir()
    spec = {"name": "flow", "version": "1.0.0", "stages": []}
    (folder / "dxworkflow.json").write_text(json.dumps(spec))
    refused = dx("build", "flow", "--globalworkflow", status=3).stderr
    assert "has no apps, global workflows and remote builds" in refused
    assert uploaded(dx_project) == []


def test_asset_build_is_refused_before_an_upload(dx: Dx, dx_project: str) -> None:
    folder = dx.folder / "asset"
    folder.mkdir()
    asset = {"name": "a", "title": "t", "description": "d", "version": "1", "release": "24.04"}
    (folder / "dxasset.json").write_text(json.dumps(asset))
    assert (
        'asset builds: name the packages in "execDepends"'
        in dx("build_asset", "asset", status=1).stderr
    )
    assert uploaded(dx_project) == []


@pytest.mark.parametrize(
    "asset",
    [{"name": "htslib", "version": "1.15", "project": NOWHERE}, {"id": "record-" + "B" * 24}],
)
def test_missing_asset_is_named_with_how_to_go_on(dx: Dx, dx_project: str, asset: dict) -> None:
    write_source(dx.folder / "source", assetDepends=[asset])
    refused = dx("build", "source", status=3).stderr
    assert 'An asset in "assetDepends" is missing' in refused
    assert asset.get("name", asset.get("id")) in refused
    assert 'name the packages in "execDepends" of dxapp.json' in refused
    assert uploaded(dx_project) == []


def test_login_is_answered_by_a_sentence(dx: Dx) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "dx", "login"],
        env=dx.environment,
        input="somebody\nsecret\n",
        capture_output=True,
        text=True,
        timeout=60,
        # Without a terminal, the password is read from standard input.
        start_new_session=True,
    )
    assert done.returncode != 0
    assert "the variables that it has set are the login already" in done.stderr
    assert "Traceback" not in done.stderr
    assert dx("whoami").stdout == "local\n"


def test_logout_ends_nothing(dx: Dx) -> None:
    said = " ".join(dx("logout").stdout.split())
    assert "this one stays: stop the platform, or unset its variables" in said
    assert dx("whoami").stdout == "local\n"


def test_asset_that_is_here_is_bundled(dx: Dx, dx_project: str) -> None:
    archive = dxpy.upload_string("archive", name="tool.tar.gz", hidden=True, wait_on_close=True)
    asset = dxpy.new_dxrecord(
        name="tool",
        types=["AssetBundle"],
        properties={"version": "1.0"},
        details={"archiveFileId": dxpy.dxlink(archive)},
        close=True,
    )
    write_source(dx.folder / "source", assetDepends=[{"id": asset.get_id()}])
    (dx.folder / "by_name").mkdir()
    named = {"name": "tool", "version": "1.0", "project": dx_project}
    write_source(dx.folder / "by_name" / "other", assetDepends=[named])
    for source in ("source", "by_name/other"):
        applet = json.loads(dx("build", source).stdout)["id"]
        bundles = dxpy.describe(applet)["runSpec"]["bundledDepends"]
        assert {"name": "tool.tar.gz", "id": dxpy.dxlink(archive)} in bundles
