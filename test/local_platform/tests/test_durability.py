"""What is left after the platform was killed at any moment, and started again."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dxpy
import pytest

from local_platform.testing.local import LocalPlatform
from local_platform.testing.project import RELEASE
from platform_fixtures import ended, in_state, until

MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPlatform]:
    """Serve a platform that tests may kill."""
    with LocalPlatform(tmp_path_factory.mktemp("mortal") / "state") as served:
        yield served


@pytest.fixture
def mortal(served: LocalPlatform) -> Iterator[LocalPlatform]:
    """Make a project on a platform that the test may kill."""
    if not served.running:
        served.start()
    with served.new_project("mortal"):
        yield served


@pytest.fixture
def restart(mortal: LocalPlatform) -> Callable[[], None]:
    """Kill the platform and start it on the same state."""

    def restart() -> None:
        mortal.kill()
        mortal.start()
        mortal.use()

    return restart


def run(code: str, inputs: dict | None = None, **run_spec: object) -> dxpy.DXJob:
    """Make an applet from bash code and run it."""
    spec = RELEASE | {"interpreter": "bash", "code": code} | run_spec
    request = {"project": dxpy.WORKSPACE_ID, "name": "a", "dxapi": "1.0.0", "runSpec": spec}
    return dxpy.DXApplet(dxpy.api.applet_new(request)["id"]).run(inputs or {})


def test_closed_file_is_whole(restart: Callable[[], None]) -> None:
    file = dxpy.upload_string("kept", name="kept", wait_on_close=True)
    restart()
    assert dxpy.DXFile(file.get_id()).read() == "kept"


def test_state_of_an_earlier_version_is_opened(mortal: LocalPlatform) -> None:
    record = dxpy.new_dxrecord(name="old")
    assert mortal.stop() == 0
    with contextlib.closing(sqlite3.connect(mortal.state / "platform.sqlite")) as database:
        database.execute("DROP INDEX placement_name")
        database.execute("ALTER TABLE placement DROP COLUMN metadata")
    mortal.start()
    mortal.use()
    record.rename("new")
    assert record.describe()["name"] == "new"


def test_upload_under_way_is_finished(restart: Callable[[], None]) -> None:
    file = dxpy.new_dxfile(name="parts")
    file.upload_part(b"a" * 5 * MEBIBYTE, 1)
    restart()
    file.upload_part(b"b", 2)
    file.close(block=True)
    assert dxpy.DXFile(file.get_id()).read() == "a" * 5 * MEBIBYTE + "b"


def test_running_job_is_failed_and_its_processes_are_gone(
    mortal: LocalPlatform, restart: Callable[[], None]
) -> None:
    job = run("setsid sleep 600 & sleep 600")
    until(mortal.job_processes)
    restart()
    description = ended(job)
    assert (description["state"], description["failureReason"]) == ("failed", "UnresponsiveWorker")
    assert mortal.job_processes() == []


def test_running_job_is_restarted_if_its_policy_says_so(restart: Callable[[], None]) -> None:
    job = run(
        'dx describe "$DX_JOB_ID" --json | grep -q \'"try": 1\' || sleep 600',
        executionPolicy={"restartOn": {"UnresponsiveWorker": 1}},
    )
    in_state(job, "running")
    restart()
    description = ended(job)
    assert (description["state"], description["try"]) == ("done", 1)


def test_waiting_job_goes_on(restart: Callable[[], None]) -> None:
    file = dxpy.new_dxfile(name="late")
    job = run("true", {"file": dxpy.dxlink(file.get_id())})
    in_state(job, "waiting_on_input")
    restart()
    dxpy.api.file_close(file.get_id())
    assert ended(job)["state"] == "done"


def test_upload_goes_on_though_the_platform_is_killed_and_started_again(
    mortal: LocalPlatform, tmp_path: Path
) -> None:
    content = b"".join(number.to_bytes(4, "big") for number in range(16 * MEBIBYTE))
    large = tmp_path / "large"
    large.write_bytes(content)
    context = {"DX_PROJECT_CONTEXT_ID": dxpy.WORKSPACE_ID}
    command = [Path(sys.executable).parent / "dx", "upload", "--brief", "--wait", large]
    environment = os.environ | mortal.environment | context
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as upload:
        until(lambda: list((mortal.state / "parts").glob("*/*")))
        mortal.kill()
        mortal.start(mortal.port)
        file_id = upload.stdout.read().strip()
    assert upload.returncode == 0
    downloaded = tmp_path / "downloaded"
    dxpy.download_dxfile(file_id, str(downloaded))
    assert downloaded.read_bytes() == content


def test_killed_between_changes_the_state_is_whole(restart: Callable[[], None]) -> None:
    made: list[str] = []
    for _ in range(3):
        for _ in range(5):
            name = str(len(made))
            made.append(dxpy.upload_string(name, name=name, wait_on_close=True).get_id())
        dxpy.DXProject(dxpy.WORKSPACE_ID).remove_objects([made.pop()])
        restart()
    found = list(dxpy.find_data_objects(classname="file", state="closed", describe=True))
    assert sorted(file["id"] for file in found) == sorted(made)
    for file in found:
        assert dxpy.DXFile(file["id"]).read() == file["describe"]["name"]


def test_stopped_platform_leaves_no_process(mortal: LocalPlatform) -> None:
    job = run("setsid sleep 600 & sleep 600")
    until(mortal.job_processes)
    assert mortal.stop() == 0
    assert mortal.job_processes() == []
    mortal.start()
    mortal.use()
    assert ended(job)["failureReason"] == "UnresponsiveWorker"


def test_interrupt_stops_the_platform_whatever_a_job_does(
    mortal: LocalPlatform, tmp_path: Path
) -> None:
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "usr" / "bin" / "dx-print-bash-vars").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "usr" / "bin" / "dx-print-bash-vars").chmod(0o755)
    subprocess.run(["tar", "czf", "resources.tar.gz", "usr"], cwd=tmp_path, check=True)
    file = dxpy.upload_local_file(str(tmp_path / "resources.tar.gz"), wait_on_close=True)
    bundle = [{"name": "resources.tar.gz", "id": dxpy.dxlink(file.get_id())}]
    stuck_at_start = run("true", bundledDepends=bundle)
    stubborn = run("trap '' INT TERM HUP; mkfifo job_output.json; sleep 600")
    in_state(stuck_at_start, "running")
    in_state(stubborn, "running")
    assert mortal.stop() == 0
    assert mortal.job_processes() == []
    mortal.start()
    mortal.use()


def test_log_and_description_survive(restart: Callable[[], None]) -> None:
    job = run("echo printed")
    before = ended(job)
    restart()
    assert job.describe() == before
