"""An applet's life with the real dx: project, upload, build, run, watch, download."""

import json
from collections.abc import Callable

import dxpy
import pytest

from local_platform.testing.project import RELEASE, Dx

CODE = """
import time
import dxpy

@dxpy.entry_point("main")
def main(text, times):
    name = dxpy.download_all_inputs()["text_path"][0]
    content = open(name).read()
    if not content:
        raise dxpy.AppError("The text is empty. Give one with words.")
    print("repeating", times, "times")
    with open("repeated.txt", "w") as repeated:
        repeated.write(content * times)
    return {"repeated": dxpy.dxlink(dxpy.upload_local_file("repeated.txt"))}

dxpy.run()
"""
DXAPP = {
    "name": "repeat",
    "dxapi": "1.0.0",
    "inputSpec": [
        {"name": "text", "class": "file"},
        {"name": "times", "class": "int", "default": 2},
    ],
    "outputSpec": [{"name": "repeated", "class": "file"}],
    "runSpec": {"interpreter": "python3", "file": "src/repeat.py", **RELEASE},
}


def upload(name: str, content: str) -> str:
    """Upload a small file and return its ID."""
    return dxpy.upload_string(content, name=name, wait_on_close=True).get_id()


@pytest.fixture
def source(dx: Dx) -> Dx:
    """Write the source of the applet that repeats a text."""
    applet = dx.folder / "repeat"
    (applet / "src").mkdir(parents=True)
    (applet / "dxapp.json").write_text(json.dumps(DXAPP))
    (applet / "src" / "repeat.py").write_text(CODE)
    return dx


@pytest.fixture
def applet(dx: Dx, dx_applet: Callable[..., str]) -> Dx:
    """Make the applet that repeats a text."""
    specs = {name: DXAPP[name] for name in ("name", "inputSpec", "outputSpec")}
    dx_applet(CODE, "python3", **specs)
    return dx


def test_run_watches_live_and_the_output_is_downloaded(source: Dx) -> None:
    source("build", "repeat")
    (source.folder / "words.txt").write_text("word\n")
    source("upload", "words.txt", "--wait")
    watched = source("run", "repeat", "-itext=words.txt", "-y", "--watch").stdout
    assert "STDOUT repeating 2 times" in watched
    assert "Output: repeated = file-" in watched
    assert "repeated.txt" in source("ls").stdout
    source("download", "repeated.txt")
    assert (source.folder / "repeated.txt").read_text() == "word\nword\n"


def test_failing_run_ends_with_the_sentence_of_the_error(applet: Dx) -> None:
    upload("empty.txt", "")
    watched = applet("run", "repeat", "-itext=empty.txt", "--watch", "-y", "--brief", status=3)
    assert "AppError: The text is empty. Give one with words." in watched.stdout
    job = watched.stdout.split()[0]
    described = applet("describe", job).stdout
    assert "AppError" in described
    assert "The text is empty. Give one with words." in described
    assert "The text is empty" in applet("wait", job, status=3).stderr
    assert "repeated.txt" not in applet("ls").stdout


def test_applet_built_again_replaces_or_archives_the_first(source: Dx, dx_project: str) -> None:
    first = json.loads(source("build", "repeat").stdout)["id"]
    assert "An applet already exists" in source("build", "repeat", status=3).stderr
    second = json.loads(source("build", "-f", "repeat").stdout)["id"]
    assert dxpy.DXProject(dx_project).list_folder()["objects"] == [{"id": second}]
    assert first != second
    source("build", "-a", "repeat")
    assert "repeat" in source("ls", "/.Applet_archive").stdout


def test_applet_can_be_fetched(source: Dx) -> None:
    resources = source.folder / "repeat" / "resources" / "usr" / "bin"
    resources.mkdir(parents=True)
    (resources / "tool").write_text("tool\n")
    needed = {"*": {"instanceType": "mem1_ssd1_v2_x2"}}
    regions = {"aws:us-east-1": {"systemRequirements": needed}}
    (source.folder / "repeat" / "dxapp.json").write_text(
        json.dumps(DXAPP | {"regionalOptions": regions, "treeTurnaroundTimeThreshold": 60})
    )
    source("build", "repeat")
    source("get", "repeat", "-o", "copy")
    assert (source.folder / "copy" / "src" / "code.py").read_text() == CODE
    assert (source.folder / "copy" / "resources" / "usr" / "bin" / "tool").read_text() == "tool\n"
    got = json.loads((source.folder / "copy" / "dxapp.json").read_text())
    usual = {"headJobOnDemand": False, "inheritParentRestartOnPolicy": False}
    run_spec = usual | DXAPP["runSpec"] | {"file": "src/code.py"}
    wanted = DXAPP | {"runSpec": run_spec, "regionalOptions": regions}
    assert got == wanted | {"treeTurnaroundTimeThreshold": 60}
    assert json.loads(source("build", "-f", "copy").stdout)["id"].startswith("applet-")


def test_help_of_an_applet_lists_its_inputs(applet: Dx) -> None:
    help_text = applet("run", "repeat", "-h").stdout
    assert "-itext=(file)" in help_text
    assert "default=2" in help_text


def test_file_with_a_hostile_name_makes_the_round_trip(applet: Dx) -> None:
    name = "ä [x] $(touch y); *'\".txt"
    (applet.folder / name).write_text("x")
    file_id = applet("upload", name, "--wait", "--brief").stdout.strip()
    applet("run", "repeat", f"-itext={file_id}", "-y", "--watch")
    applet("download", file_id, "-o", "back")
    assert (applet.folder / "back").read_text() == "x"
    assert not (applet.folder / "y").exists()


def test_clone_runs_a_job_again(applet: Dx) -> None:
    upload("words.txt", "word\n")
    options = ["-itext=words.txt", "-itimes=3", "--instance-type", "mem1_ssd1_v2_x2"]
    options += ["--tag", "t", "--property", "k=1", "--folder", "/again"]
    job = applet("run", "repeat", *options, "-y", "--brief", "--wait").stdout.strip()
    assert applet("ls", "/again").stdout == "repeated.txt\n"
    again = applet("run", "repeat", "--clone", job, "-y", "--brief").stdout.strip()
    description = json.loads(applet("describe", again, "--json").stdout)
    assert description["input"]["times"] == 3
    assert description["systemRequirements"] == {"*": {"instanceType": "mem1_ssd1_v2_x2"}}
    assert description["instanceType"] == "mem1_ssd1_v2_x2"
    assert (description["tags"], description["properties"]) == (["t"], {"k": "1"})
    assert description["folder"] == "/again"
    assert description["details"]["clonedFrom"]["id"] == job
