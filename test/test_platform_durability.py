"""What is left after the platform was killed at any moment, and started again."""

from collections.abc import Callable, Iterator

import dxpy
import pytest
from platform_fixtures import Platform, ended, in_state, until

MEBIBYTE = 2**20
RUN_SPEC = {"distribution": "Ubuntu", "release": "24.04", "version": "0"}


@pytest.fixture
def mortal(tmp_path_factory: pytest.TempPathFactory, platform: Platform) -> Iterator[Platform]:
    """Serve a platform that the test may kill."""
    mortal = Platform(tmp_path_factory.mktemp("mortal") / "state")
    mortal.start()
    mortal.use()
    project = dxpy.api.project_new({"name": "mortal"})["id"]
    dxpy.set_workspace_id(project)
    dxpy.set_project_context(project)
    yield mortal
    assert mortal.stop() == 0
    assert mortal.complaints() == ""
    platform.use()


@pytest.fixture
def restart(mortal: Platform) -> Callable[[], None]:
    """Kill the platform and start it on the same state."""

    def restart() -> None:
        mortal.kill()
        mortal.start()
        mortal.use()

    return restart


def run(code: str, **run_spec: object) -> dxpy.DXJob:
    """Make an applet from bash code and run it."""
    spec = RUN_SPEC | {"interpreter": "bash", "code": code} | run_spec
    request = {"project": dxpy.WORKSPACE_ID, "name": "a", "dxapi": "1.0.0", "runSpec": spec}
    return dxpy.DXApplet(dxpy.api.applet_new(request)["id"]).run({})


def test_closed_file_is_whole(restart: Callable[[], None]) -> None:
    file = dxpy.upload_string("kept", name="kept", wait_on_close=True)
    restart()
    assert dxpy.DXFile(file.get_id()).read() == "kept"


def test_upload_under_way_is_finished(restart: Callable[[], None]) -> None:
    file = dxpy.new_dxfile(name="parts")
    file.upload_part(b"a" * 5 * MEBIBYTE, 1)
    restart()
    file.upload_part(b"b", 2)
    file.close(block=True)
    assert dxpy.DXFile(file.get_id()).read() == "a" * 5 * MEBIBYTE + "b"


def test_running_job_is_failed_and_its_processes_are_gone(
    mortal: Platform, restart: Callable[[], None]
) -> None:
    job = run("setsid sleep 600 & sleep 600")
    until(mortal.job_processes)
    port = mortal.port
    restart()
    description = ended(job)
    assert (description["state"], description["failureReason"]) == ("failed", "UnresponsiveWorker")
    assert mortal.job_processes(port) == []


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
    spec = RUN_SPEC | {"interpreter": "bash", "code": "true"}
    request = {"project": dxpy.WORKSPACE_ID, "name": "a", "dxapi": "1.0.0", "runSpec": spec}
    applet = dxpy.DXApplet(dxpy.api.applet_new(request)["id"])
    job = applet.run({"file": dxpy.dxlink(file.get_id())})
    in_state(job, "waiting_on_input")
    restart()
    dxpy.api.file_close(file.get_id())
    assert ended(job)["state"] == "done"


def test_killed_at_any_moment_of_an_upload_the_state_opens(
    mortal: Platform, restart: Callable[[], None]
) -> None:
    names = []
    for round_number in range(3):
        for number in range(10):
            name = f"{round_number}-{number}"
            dxpy.upload_string(name, name=name)
            names.append(name)
        restart()
    found = list(dxpy.find_data_objects(classname="file", state="closed", describe=True))
    assert sorted(file["describe"]["name"] for file in found) == sorted(names)
    for file in found:
        assert dxpy.DXFile(file["id"]).read() == file["describe"]["name"]
    assert mortal.complaints() == ""


def test_stopped_platform_leaves_no_process(mortal: Platform) -> None:
    job = run("setsid sleep 600 & sleep 600")
    until(mortal.job_processes)
    assert mortal.stop() == 0
    assert mortal.job_processes() == []
    mortal.start()
    mortal.use()
    assert ended(job)["failureReason"] == "UnresponsiveWorker"


def test_log_and_description_survive(restart: Callable[[], None]) -> None:
    job = run("echo printed")
    before = ended(job)
    restart()
    assert job.describe() == before
