"""Each fault, as it comes over the wire, and what dxpy makes of it."""

from collections.abc import Callable

import dxpy
import pytest
import urllib3
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from local_platform.testing.faults import CALLS, DOWNLOADS, REASONS, Faults
from local_platform.testing.local import LocalPlatform
from local_platform.testing.project import Job

CONTENT = bytes(range(100))
ASKED = {"Range": "bytes=10-29"}
RANGE = CONTENT[10:30]


@pytest.fixture
def file(dx_project: str) -> dxpy.DXFile:
    """Upload a file of 100 bytes."""
    return dxpy.upload_string(CONTENT, name="ä b.bam", project=dx_project, wait_on_close=True)


@pytest.fixture
def url(file: dxpy.DXFile) -> str:
    """Ask for a URL of the file."""
    return file.get_download_url(preauthenticated=True)[0]


def get(url: str, timeout: float = 20) -> urllib3.BaseHTTPResponse:
    """Ask once for a range."""
    return urllib3.request("GET", url, headers=ASKED, retries=False, timeout=timeout)


def test_every_fault_of_downloads_is_shown_here() -> None:
    shown = {name.removeprefix("test_fault_") for name in globals() if "test_fault_" in name}
    assert shown == set(DOWNLOADS)


def test_fault_cut(url: str, dx_faults: Faults) -> None:
    dx_faults("cut")
    with pytest.raises(ProtocolError, match="10 bytes read, 10 more expected"):
        get(url)
    assert get(url).data == RANGE


def test_fault_early_end(url: str, dx_faults: Faults) -> None:
    dx_faults("early_end")
    reply = get(url)
    assert (reply.status, reply.data) == (206, RANGE[:10])
    assert reply.headers["Content-Range"] == "bytes 10-29/100"


def test_fault_stall(url: str, dx_faults: Faults) -> None:
    dx_faults("stall")
    with pytest.raises(ReadTimeoutError):
        get(url, timeout=1)
    assert get(url).data == RANGE


def test_fault_whole_file(url: str, dx_faults: Faults) -> None:
    dx_faults("whole_file")
    reply = get(url)
    assert (reply.status, reply.data) == (200, CONTENT)
    assert "Content-Range" not in reply.headers


def test_fault_foreign_range(url: str, dx_faults: Faults) -> None:
    dx_faults("foreign_range")
    reply = get(url)
    assert (reply.status, reply.data) == (206, RANGE)
    assert reply.headers["Content-Range"] == "bytes 11-30/100"


def test_fault_wrong_bytes(url: str, dx_faults: Faults) -> None:
    dx_faults("wrong_bytes")
    reply = get(url)
    assert (reply.status, reply.data) == (206, RANGE[:-1] + bytes([255 - RANGE[-1]]))


def test_fault_403(url: str, dx_faults: Faults) -> None:
    met = dx_faults("403", times=None)
    assert [get(url).status for _ in range(3)] == [403, 403, 403]
    assert met() == 3
    dx_faults.clear()
    assert get(url).status == 206


def test_fault_500(url: str, dx_faults: Faults) -> None:
    met = dx_faults("500", times=2, skip=1)
    assert [get(url).status for _ in range(4)] == [206, 500, 500, 206]
    assert met() == 2


def test_fault_503(url: str, dx_faults: Faults) -> None:
    dx_faults("503")
    reply = get(url)
    assert (reply.status, reply.headers["Retry-After"]) == (503, "1")


def test_fault_expired(file: dxpy.DXFile, url: str, dx_faults: Faults) -> None:
    dx_faults("expired")
    assert [get(url).status for _ in range(2)] == [403, 403]
    renewed = dxpy.DXFile(file.get_id()).get_download_url(preauthenticated=True)[0]
    assert get(renewed).data == RANGE
    assert get(url).status == 403


def test_only_files_of_its_name_have_a_fault(
    file: dxpy.DXFile, url: str, dx_faults: Faults
) -> None:
    other = dx_faults("500", file="*.bai", times=None)
    assert get(url).status == 206
    assert other() == 0
    dx_faults.clear()
    for name in ("ä b.*", file.get_id()):
        dx_faults("500", file=name)
        assert get(url).status == 500


def test_faults_follow_one_another(url: str, dx_faults: Faults) -> None:
    dx_faults("500")
    dx_faults("403")
    assert [get(url).status for _ in range(3)] == [500, 403, 206]


def test_unknown_fault_is_refused(dx_faults: Faults) -> None:
    with pytest.raises(ValueError, match="No fault of downloads is called 'Cut': cut, early_end"):
        dx_faults("Cut")


@pytest.mark.parametrize("kind", ["cut", "500", "503"])
def test_dxpy_tries_again(file: dxpy.DXFile, dx_faults: Faults, kind: str) -> None:
    dx_faults(kind)
    assert dxpy.DXFile(file.get_id(), mode="rb").read() == CONTENT


def test_job_meets_faults_too(
    file: dxpy.DXFile, make_applet: Callable[..., dxpy.DXApplet], dx_faults: Faults
) -> None:
    met = dx_faults("403", times=None)
    job = make_applet(f"dx cat {file.get_id()}", "bash").run({"file": dxpy.dxlink(file)})
    with pytest.raises(dxpy.exceptions.DXJobFailureError):
        job.wait_on_done(interval=1)
    assert met() > 0


def test_nothing_counts_downloads_and_lets_other_faults_through(
    url: str, dx_faults: Faults
) -> None:
    asked = dx_faults("nothing", times=None)
    dx_faults("500")
    assert [get(url).status for _ in range(2)] == [500, 206]
    assert asked() == 2


def call(dx_platform: LocalPlatform, path: str) -> urllib3.BaseHTTPResponse:
    """Call a method once."""
    address = f"http://127.0.0.1:{dx_platform.port}{path}"
    headers = {"Authorization": f"Bearer {dx_platform.token}"}
    return urllib3.request("POST", address, json={}, headers=headers, retries=False)


@pytest.mark.parametrize("kind", CALLS)
def test_call_is_answered_with_an_error_of_the_service(
    dx_platform: LocalPlatform, file: dxpy.DXFile, dx_faults: Faults, kind: str
) -> None:
    met = dx_faults(kind, method="file/describe", skip=1)
    path = f"/{file.get_id()}/describe"
    replies = [call(dx_platform, one) for one in (path, "/system/whoami", path, path)]
    assert [reply.status for reply in replies] == [200, 200, int(kind), 200]
    assert replies[2].json()["error"]["type"] == CALLS[kind]
    assert met() == 1


@pytest.mark.parametrize("kind", CALLS)
def test_dxpy_calls_again(file: dxpy.DXFile, dx_faults: Faults, kind: str) -> None:
    dx_faults(kind, method="file/*")
    assert file.describe()["name"] == "ä b.bam"


def test_calls_of_one_job_are_spoiled(
    dx_applet: Callable[..., str], dx_run: Callable[..., Job], dx_faults: Faults
) -> None:
    met = dx_faults("500", method="job/describe", job="that one")
    applet = dx_applet("dx describe $DX_JOB_ID")
    dx_run(applet, name="this one")
    assert met() == 0
    dx_run(applet, name="that one")
    assert met() == 1


@pytest.mark.parametrize("reason", REASONS)
def test_job_fails_for_a_reason_of_its_machine(
    dx_applet: Callable[..., str], dx_run: Callable[..., Job], dx_faults: Faults, reason: str
) -> None:
    dx_faults(reason, job="lost*", method="project/describe")
    code = "echo before; dx describe $DX_PROJECT_CONTEXT_ID; echo after"
    job = dx_run(dx_applet(code), name="lost one", state="failed")
    assert (job.failure_reason, job.failure_message) == (reason, "The test ordered this fault")
    assert "before" in job.log
    assert "after" not in job.log


def test_job_is_restarted_after_an_interruption_as_its_policy_says(
    dx_applet: Callable[..., str], dx_run: Callable[..., Job], dx_faults: Faults
) -> None:
    met = dx_faults("SpotInstanceInterruption", times=2)
    policy = {"executionPolicy": {"restartOn": {"SpotInstanceInterruption": 2}}}
    job = dx_run(dx_applet("echo done", runSpec=policy))
    assert job.description["failureCounts"] == {"SpotInstanceInterruption": 2}
    assert met() == 2


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ({"kind": "cut", "method": "file/describe"}, "No fault of calls is called 'cut'"),
        ({"kind": "429"}, "No fault of downloads is called '429'"),
        ({"kind": "503", "method": "*", "times": None}, "without end: say how many times"),
        ({"kind": "500", "method": "*", "file": "*"}, "or calls of a method or job"),
    ],
)
def test_order_that_makes_no_sense_is_refused(dx_faults: Faults, order: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dx_faults(**order)
