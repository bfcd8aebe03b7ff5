"""An applet's life with the real dx: project, upload, build, run, watch, download."""

import json
from pathlib import Path

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


@pytest.fixture
def built(dx: Dx) -> Dx:
    """Upload a text, and build the applet that repeats it."""
    applet = dx.folder / "repeat"
    (applet / "src").mkdir(parents=True)
    (applet / "dxapp.json").write_text(json.dumps(DXAPP))
    (applet / "src" / "repeat.py").write_text(CODE)
    dx("build", "repeat")
    (dx.folder / "words.txt").write_text("word\n")
    dx("upload", "words.txt", "--wait")
    return dx


def test_run_watches_live_and_the_output_is_downloaded(built: Dx) -> None:
    watched = built("run", "repeat", "-itext=words.txt", "-y", "--watch").stdout
    assert "STDOUT repeating 2 times" in watched
    assert "Output: repeated = file-" in watched
    assert "repeated.txt" in built("ls").stdout
    built("download", "repeated.txt")
    assert (built.folder / "repeated.txt").read_text() == "word\nword\n"


def test_failing_run_ends_with_the_sentence_of_the_error(built: Dx) -> None:
    (built.folder / "empty.txt").touch()
    built("upload", "empty.txt", "--wait")
    watched = built("run", "repeat", "-itext=empty.txt", "--watch", "-y", "--brief", status=3)
    assert "AppError: The text is empty. Give one with words." in watched.stdout
    job = watched.stdout.split()[0]
    described = built("describe", job).stdout
    assert "AppError" in described
    assert "The text is empty. Give one with words." in described
    assert "repeated.txt" not in built("ls").stdout


def test_wait_reports_the_failure(built: Dx) -> None:
    (built.folder / "empty.txt").touch()
    built("upload", "empty.txt", "--wait")
    job = built("run", "repeat", "-itext=empty.txt", "-y", "--brief").stdout.strip()
    assert "The text is empty" in built("wait", job, status=3).stderr


def test_output_goes_to_the_destination_folder(built: Dx) -> None:
    built("mkdir", "-p", "/results/first")
    built("run", "repeat", "-itext=words.txt", "-y", "--watch", "--destination", "/results/first")
    assert built("ls", "/results/first").stdout == "repeated.txt\n"


def test_building_again_needs_and_honours_force(built: Dx) -> None:
    assert "An applet already exists" in built("build", "repeat", status=3).stderr
    first = json.loads(built("describe", "repeat", "--json").stdout)["id"]
    built("build", "-f", "repeat")
    assert json.loads(built("describe", "repeat", "--json").stdout)["id"] != first


def test_archiving_the_old_applet(built: Dx) -> None:
    built("build", "-a", "repeat")
    assert "repeat" in built("ls", "/.Applet_archive").stdout


def test_applet_can_be_got_back(built: Dx) -> None:
    resources = built.folder / "repeat" / "resources" / "usr" / "bin"
    resources.mkdir(parents=True)
    (resources / "tool").write_text("tool\n")
    needed = {"*": {"instanceType": "mem1_ssd1_v2_x2"}}
    regions = {"aws:us-east-1": {"systemRequirements": needed}}
    (built.folder / "repeat" / "dxapp.json").write_text(
        json.dumps(DXAPP | {"regionalOptions": regions, "treeTurnaroundTimeThreshold": 60})
    )
    built("build", "-f", "repeat")
    built("get", "repeat", "-o", "copy")
    assert (built.folder / "copy" / "src" / "code.py").read_text() == CODE
    assert (built.folder / "copy" / "resources" / "usr" / "bin" / "tool").read_text() == "tool\n"
    got = json.loads((built.folder / "copy" / "dxapp.json").read_text())
    usual = {"headJobOnDemand": False, "inheritParentRestartOnPolicy": False}
    run_spec = usual | DXAPP["runSpec"] | {"file": "src/code.py"}
    wanted = DXAPP | {"runSpec": run_spec, "regionalOptions": regions}
    assert got == wanted | {"treeTurnaroundTimeThreshold": 60}
    assert json.loads(built("build", "-f", "copy").stdout)["id"].startswith("applet-")


def test_help_of_an_applet_lists_its_inputs(built: Dx) -> None:
    help_text = built("run", "repeat", "-h").stdout
    assert "-itext=(file)" in help_text
    assert "default=2" in help_text


def test_file_with_a_hostile_name_makes_the_round_trip(built: Dx) -> None:
    name = "ä [x] $(touch y); *'\".txt"
    (built.folder / name).write_text("x")
    file_id = built("upload", name, "--wait", "--brief").stdout.strip()
    built("run", "repeat", f"-itext={file_id}", "-y", "--watch")
    built("download", file_id, "-o", "back")
    assert (built.folder / "back").read_text() == "x"
    assert not Path(built.folder / "y").exists()


def test_clone_runs_a_job_again(built: Dx) -> None:
    options = ["-itext=words.txt", "-itimes=3", "--instance-type", "mem1_ssd1_v2_x2"]
    options += ["--tag", "t", "--property", "k=1", "--folder", "/again"]
    job = built("run", "repeat", *options, "-y", "--brief").stdout.strip()
    built("wait", job)
    again = built("run", "repeat", "--clone", job, "-y", "--brief", "--watch").stdout.split()[0]
    description = json.loads(built("describe", again, "--json").stdout)
    assert description["input"]["times"] == 3
    assert description["systemRequirements"] == {"*": {"instanceType": "mem1_ssd1_v2_x2"}}
    assert description["instanceType"] == "mem1_ssd1_v2_x2"
    assert (description["tags"], description["properties"]) == (["t"], {"k": "1"})
    assert description["folder"] == "/again"
    assert description["details"]["clonedFrom"]["id"] == job
