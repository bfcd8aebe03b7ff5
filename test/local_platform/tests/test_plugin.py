"""The pytest plugin in the hands of somebody else: what a suite of theirs sees."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dxpy
import pytest

from local_platform.testing.local import LocalPlatform
from local_platform.testing.project import Dx, Job, Project
from platform_fixtures import until, write_applet

PROJECT = Path(__file__).parents[1]
EXAMPLE = PROJECT / "example"


def run_pytest(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run pytest with the plugin in a folder; return its exit status and what it printed."""
    plugin = ["-p", "local_platform.pytest_plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugin, "-W", "error", *arguments],
        env=os.environ | {"PYTHONPATH": str(PROJECT)} | environment,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def run_suite(folder: Path, code: str, script: str = "true", **environment: str) -> tuple[int, str]:
    """Run a suite of one file, beside an applet in bash."""
    write_applet(folder / "small", script)
    (folder / "test_small.py").write_text(code)
    return run_pytest(folder, **environment)


FAILING = f"""
import dxpy
import pytest


def test_job(dx_build_applet, dx_run):
    dx_run(dx_build_applet("small"))


def test_input(dx_build_applet, dx_run):
    dx_run(dx_build_applet("{EXAMPLE}/count_lines"), {{"text": 5}})


def test_absent(dx_build_applet):
    dx_build_applet("absent")


def test_fault(dx_faults):
    dx_faults("cut")


def test_fault_and_more(dx_faults):
    dx_faults("cut")
    assert False


def test_endless(dx_applet, dx_run):
    dx_run(dx_applet("echo working; sleep 600"), timeout=2)


def test_dx(dx):
    dx("ls", "/no where")


def test_unserved(dx_project):
    with pytest.raises(dxpy.exceptions.ResourceNotFound):
        dxpy.DXHTTPRequest("/system/noSuchThing", {{}})
"""
SMALL = "echo what it printed; dx-jobutil-report-error 'It is empty.' AppError; exit 1"


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Run tests that fail, each in its own way; return what is printed of each."""
    status, printed = run_suite(tmp_path_factory.mktemp("failing"), FAILING, SMALL)
    assert status == 1
    # In front of the name there may be: ERROR at teardown of
    _, *parts = re.split(r"^_+ .*?(test_\w+) _+$", printed, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_failing_test_of_a_suite_is_shown(failures: dict[str, str]) -> None:
    assert sorted(failures) == sorted(re.findall(r"def (test_\w+)", FAILING))


def test_failing_job_is_shown_with_its_message_and_its_log(failures: dict[str, str]) -> None:
    shown = failures["test_job"]
    assert re.search(r'^> +dx_run\(dx_build_applet\("small"\)\)$', shown, re.MULTILINE)
    assert "of small is failed: AppError: It is empty." in shown
    assert "what it printed" in shown
    assert "testing/project.py" not in shown


def test_refused_input_is_one_sentence_and_no_source_of_dxpy(failures: dict[str, str]) -> None:
    assert 'InvalidInput: the input "text" is not of class file' in failures["test_input"]
    assert "def DXHTTPRequest" not in failures["test_input"]


def test_folder_without_an_applet_is_named(failures: dict[str, str]) -> None:
    assert re.search(r"There is no dxapp.json in '/.*/absent'", failures["test_absent"])


def test_fault_that_nothing_met_is_told_unless_the_test_has_failed(
    failures: dict[str, str],
) -> None:
    assert "No request met the fault: cut" in failures["test_fault"]
    assert "No request met the fault: cut" not in failures["test_fault_and_more"]


def test_job_that_does_not_end_is_terminated(failures: dict[str, str]) -> None:
    assert "Not ended after 2 seconds: job-" in failures["test_endless"]
    assert "working" in failures["test_endless"]


def test_failing_dx_is_shown_in_its_own_words(failures: dict[str, str]) -> None:
    assert "dx ls '/no where' ended with exit status 3, not 0." in failures["test_dx"]
    assert 'Unable to resolve "no where"' in failures["test_dx"]


def test_what_the_platform_does_not_serve_fails_the_test(failures: dict[str, str]) -> None:
    assert "unknown route /system/noSuchThing" in failures["test_unserved"]


def test_login_is_set_aside_for_a_suite_that_uses_a_fixture(tmp_path: Path) -> None:
    login = tmp_path / "login"
    login.mkdir()
    (login / "environment.json").write_text(json.dumps({"DX_APISERVER_HOST": "read.invalid"}))
    code = """
import os

import dxpy


def test_before():
    assert dxpy.APISERVER_HOST == "ask-for-a-dx-fixture.invalid"
    assert dxpy.SECURITY_CONTEXT is None


def test_inside(dx, dx_project):
    assert dxpy.APISERVER_HOST == "127.0.0.1"
    assert dx("env", "--bash").stdout.count(dx_project)
    dx("new", "project", "other", "--select")
    assert "other:/" in dx("pwd").stdout


def test_after():
    assert dxpy.APISERVER_HOST == "ask-for-a-dx-fixture.invalid"
    assert dxpy.SECURITY_CONTEXT is None
    left = {name for name in os.environ if name.startswith("DX_")}
    assert left == {"DX_USER_CONF_DIR", "DX_APISERVER_HOST"}
"""
    environment = {
        "DX_USER_CONF_DIR": str(login),
        "DX_SECURITY_CONTEXT": '{"auth_token": "mine", "auth_token_type": "Bearer"}',
    }
    status, printed = run_suite(tmp_path, code, **environment)
    assert status == 0, printed
    assert [path.name for path in login.rglob("*")] == ["environment.json"]


def test_suite_that_uses_no_fixture_keeps_its_login(tmp_path: Path) -> None:
    code = """
import os

import dxpy


def test_it():
    assert dxpy.APISERVER_HOST == os.environ["DX_APISERVER_HOST"] == "mine.invalid"
    assert dxpy.SECURITY_CONTEXT["auth_token"] == "mine"
    assert os.environ["https_proxy"] == "http://proxy.invalid:1"
"""
    environment = {
        "DX_APISERVER_HOST": "mine.invalid",
        "DX_SECURITY_CONTEXT": '{"auth_token": "mine", "auth_token_type": "Bearer"}',
        "https_proxy": "http://proxy.invalid:1",
    }
    status, printed = run_suite(tmp_path, code, **environment)
    assert status == 0, printed
    assert "DNAnexus" not in printed


def test_fixtures_of_the_suite_do_not_get_in_the_way(tmp_path: Path) -> None:
    code = """
import pytest


@pytest.fixture(params=["linux", "darwin"])
def platform(request):
    return request.param


@pytest.fixture
def project():
    return {"name": "mine"}


@pytest.fixture
def run(project, platform):
    return lambda: (project["name"], platform)


def test_theirs(run, dx, tmp_path):
    assert list(tmp_path.iterdir()) == []
    assert run() in [("mine", "linux"), ("mine", "darwin")]
    assert dx("whoami").stdout == "local\\n"
"""
    status, printed = run_suite(tmp_path, code)
    assert status == 0, printed


def test_applet_is_made_of_a_string_and_run_with_options(
    dx: Dx, dx_applet: Callable[..., str], dx_run: Callable[..., Job]
) -> None:
    code = "dx-jobutil-add-output number $((number + 1))"
    spec = [{"name": "number", "class": "int"}]
    job = dx_run(
        dx_applet(code, inputSpec=spec, outputSpec=spec),
        {"number": 1},
        name="addition",
        instance_type="mem2_ssd1_v2_x4",
        properties={"kind": "trial"},
        folder="results",
    )
    assert job.output == {"number": 2}
    described = json.loads(dx("describe", job.id, "--json").stdout)
    assert described["name"] == "addition"
    assert described["instanceType"] == "mem2_ssd1_v2_x4"
    assert described["properties"] == {"kind": "trial"}
    assert described["folder"] == "/results"


def test_python_applet_is_made_of_a_string(
    dx_applet: Callable[..., str], dx_run: Callable[..., Job]
) -> None:
    code = "@dxpy.entry_point('main')\ndef main():\n    print('hi')\n"
    assert "hi\n" in dx_run(dx_applet(code, "python3", name="greeter")).log


def test_started_job_is_not_waited_for(
    dx_applet: Callable[..., str], dx_start: Callable[..., Job]
) -> None:
    search = "dx find data --name go --brief --project $DX_PROJECT_CONTEXT_ID"
    first = dx_start(dx_applet(f"echo working; until {search} | grep file; do sleep 1; done"))
    second = dx_start(dx_applet("true"), depends_on=[first])
    until(lambda: "working\n" in first.log)
    assert (first.state, first.output) == ("running", {})
    assert second.state in ("idle", "waiting_on_input")
    dxpy.upload_string("", name="go", wait_on_close=True)
    assert first.wait(timeout=60) is first
    assert second.wait(timeout=60).state == "done"


def test_option_that_a_run_does_not_have_is_refused(
    dx_applet: Callable[..., str], dx_start: Callable[..., Job]
) -> None:
    with pytest.raises(TypeError, match="No option for a run is called nmae"):
        dx_start(dx_applet("true"), nmae="typed wrongly")


def test_files_of_an_array_are_downloaded_each(
    dx_applet: Callable[..., str], dx_run: Callable[..., Job]
) -> None:
    code = """
for content in one two; do
    dx-jobutil-add-output texts "$(echo $content | dx upload - --path same.txt --brief)" --array
done
dx-jobutil-add-output text "$(echo three | dx upload - --path same.txt --brief)"
"""
    spec = [{"name": "texts", "class": "array:file"}, {"name": "text", "class": "file"}]
    job = dx_run(dx_applet(code, outputSpec=spec))
    assert [path.read_text() for path in job.download("texts")] == ["one\n", "two\n"]
    assert job.download("text").read_text() == "three\n"
    assert job.download("text").name == "same.txt"


def test_folder_is_uploaded_as_it_is(
    dx: Dx, dx_upload_folder: Callable[..., dict[str, str]], dx_project: str, tmp_path: Path
) -> None:
    (tmp_path / "data" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "data" / "a.txt").write_text("a")
    (tmp_path / "data" / "deep" / "er" / "ä b.txt").write_text("b")
    uploaded = dx_upload_folder(tmp_path / "data")
    assert sorted(uploaded) == ["a.txt", "deep/er/ä b.txt"]
    assert dx("cat", uploaded["a.txt"]).stdout == "a"
    assert dx("cat", f"{dx_project}:/deep/er/ä b.txt").stdout == "b"


def test_project_of_a_test_is_made_after_its_platform_was_emptied(
    dx_project: str, dx_empty_platform: LocalPlatform, dx: Dx
) -> None:
    assert dx_empty_platform.running
    assert dx("find", "projects", "--brief").stdout.split() == [dx_project]


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPlatform]:
    """Serve a platform apart from the one that all tests share."""
    with LocalPlatform(tmp_path_factory.mktemp("another") / "state") as platform:
        yield platform


def test_platform_is_used_without_pytest(tmp_path: Path) -> None:
    script = """
import sys

sys.modules["pytest"] = None
from local_platform.testing import UnexpectedEndError
from local_platform.testing.local import LocalPlatform

with LocalPlatform() as platform, platform.new_project("trial") as project:
    print(project.run(project.build_applet("small")).log)
    try:
        project.run(project.applet("exit 3", name="three"))
    except UnexpectedEndError as error:
        print(error)
print(platform.running, platform.state.exists())
"""
    write_applet(tmp_path / "small", "echo hi")
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    hi, *_, last = done.stdout.splitlines()
    assert hi == "hi"
    assert (
        "of three is failed: AppInternalError: The program ended with exit status 3" in done.stdout
    )
    assert last == "False False"


def test_what_a_library_prints_is_no_complaint(tmp_path: Path) -> None:
    warning = 'echo "library.py:1: DeprecationWarning: do not" >&2; exec "$@"'
    with LocalPlatform(tmp_path / "state", ["sh", "-c", warning, "sh"]) as platform:
        assert platform.complaints() == ""


def test_reset_forgets_everything(another: LocalPlatform, tmp_path: Path) -> None:
    with another.new_project("before", tmp_path) as before:
        before.dx("new", "project", "left")
    another.reset()
    with another.new_project("after", tmp_path) as after:
        assert after.dx("find", "projects", "--brief").stdout.split() == [after.id]


def test_project_and_files_of_a_test_do_not_outlive_it(
    another: LocalPlatform, tmp_path: Path
) -> None:
    with another.new_project("first", tmp_path) as first:
        (first.dx.folder / "text").write_text("text")
        first.dx("upload", "text", "--wait")
    with another.new_project("second", tmp_path) as second:
        assert second.dx("find", "projects", "--brief").stdout.split() == [second.id]
    assert list((another.state / "parts").iterdir()) == []


def test_job_that_a_test_leaves_running_is_ended(another: LocalPlatform, tmp_path: Path) -> None:
    with another.new_project("left", tmp_path) as project:
        write_applet(project.dx.folder / "small", "sleep 600")
        project.dx("build", "small")
        project.dx("run", "small", "-y")
        until(another.job_processes)
    assert until(lambda: not another.job_processes())


def test_platform_ends_with_the_tests_that_started_it(tmp_path: Path) -> None:
    code = """
import os


def test_it(dx_platform):
    print(dx_platform.pid, flush=True)
    os.abort()
"""
    (tmp_path / "test_small.py").write_text(code)
    status, printed = run_pytest(tmp_path, "-s", "-p", "no:faulthandler")
    pid = next(word for word in printed.split() if word.isdecimal() and int(word) > 99)
    assert status == -6
    until(lambda: not Path("/proc", pid).exists())


@pytest.fixture
def logged_in(another: LocalPlatform, tmp_path: Path) -> Iterator[Project]:
    """Log a person in to another platform, in place of the service."""
    with another.new_project("service", tmp_path) as project:
        yield project


def test_the_same_suite_runs_where_a_person_is_logged_in(logged_in: Project) -> None:
    (logged_in.dx.folder / "precious.txt").write_text("precious")
    logged_in.dx("upload", "precious.txt", "--wait")
    option = ["--dx-project", logged_in.id]
    status, printed = run_pytest(EXAMPLE, *option, "-rs")
    assert status == 0, printed
    assert "3 passed, 2 skipped" in printed
    assert "needs the local platform: run it without --dx-project" in printed
    assert logged_in.dx("ls").stdout == "precious.txt\n"
    assert len(logged_in.dx("find", "jobs", "--brief").stdout.split()) == 3
    assert len(logged_in.dx("find", "projects", "--brief").stdout.split()) == 1


def test_project_that_cannot_be_reached_is_named(logged_in: Project) -> None:
    absent = "project-" + "B" * 24
    status, printed = run_pytest(EXAMPLE, "--dx-project", absent, "-x")
    assert status == 1
    assert f"--dx-project {absent}: " in printed
    assert "Log in with: dx login" in printed
    assert logged_in
