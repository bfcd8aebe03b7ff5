"""Each fault of a download, as it comes over the wire, and what dxpy makes of it."""

from collections.abc import Callable

import dxpy
import pytest
import urllib3
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from local_platform.testing.faults import KINDS, Faults

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


def test_every_fault_is_shown_here() -> None:
    shown = {name.removeprefix("test_fault_") for name in globals() if "test_fault_" in name}
    assert shown == set(KINDS)


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
    with pytest.raises(ValueError, match="No fault is called 'Cut', only: cut, early_end"):
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
