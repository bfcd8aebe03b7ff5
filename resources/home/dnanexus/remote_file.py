"""Ranges of a file of the platform, fetched where they are needed and checked one by one.

    file = find_remote_file(link)
    data = fetch_range(file, 0, 65_536)

A server that answers with other bytes than it was asked for must not become a wrong number: of each
answer the status, the range and the length are checked, and it is asked for again if one is wrong.

dxpy's own requests are not used for the bytes. They share a connection with the processes that are
forked (of which one then got the bytes of another one's range), write the URL, which is a key to
the file, to the log, and after a status of 503 try again for ever.
"""

import multiprocessing
import os
import time
from typing import Any, NamedTuple

import certifi
import dxpy
import urllib3
from dxpy.utils.file_load_utils import make_unix_filename

RANGE_SIZE = 4 << 20  # bytes; the latency of a request is then a tenth of its transfer

# Kept connections of a process at most.
CONNECTIONS = 8

# A server that sends nothing for so long has stalled.
TIMEOUT_SECONDS = 60
TRIES = 7
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds; each pause is twice the one before

# How long a URL is asked to be valid. dxpy asks for a new one a minute before it ends.
URL_SECONDS = 6 * 60 * 60


class RemoteFile(NamedTuple):
    """A closed file of the platform."""

    link: dict[str, Any]
    name: str
    """As a file on the disk can be called."""
    size: int
    """In bytes."""
    part: str = ""
    """How an error names the part that is fetched, as in ` in region 'chr1'`."""


class _Fault(Exception):  # noqa: N818 - one is no error yet
    """What was wrong with one answer."""

    def __init__(self, what: str, status: int = 0, pause: float = 0) -> None:
        super().__init__(what)
        self.status = status
        self.pause = pause


# A connection must never be used by two processes, so what this process has is forgotten in those
# that it forks. A URL may be shared.
_connections: urllib3.PoolManager | None = None
_handles: dict[str, dxpy.DXFile] = {}

_fetched = multiprocessing.Value("q")


def find_remote_file(link: dict[str, Any]) -> RemoteFile:
    """Ask the platform for the name and the size of a file."""
    described = dxpy.DXFile(link).describe()
    return RemoteFile(link, make_unix_filename(described["name"]), described["size"])


def get_fetched_size() -> int:
    """Return how many bytes this job has fetched with `fetch_range`, in all its processes."""
    return int(_fetched.value)


def fetch_range(file: RemoteFile, begin: int, end: int) -> bytes:
    """Fetch the bytes from `begin` up to `end`.

    Raises:
        dxpy.AppError: they were asked for several times, and never came as they should.
    """
    pause = FIRST_PAUSE
    for tries_left in reversed(range(TRIES)):
        try:
            data = _try_range(file, begin, end)
            break
        except _Fault as fault:
            if not tries_left:
                raise dxpy.AppError(
                    f"{file.name!r} could not be fetched{file.part}: of bytes {begin:,} to "
                    f"{end - 1:,}, asked for {TRIES} times, {fault}. Run the applet again."
                ) from None
            if fault.status in (401, 403):
                _handles.pop(dxpy.DXFile(file.link).get_id(), None)
            time.sleep(min(max(pause, fault.pause), LONGEST_PAUSE))
            pause *= 2
    with _fetched.get_lock():
        _fetched.value += len(data)
    return data


def _try_range(file: RemoteFile, begin: int, end: int) -> bytes:
    """Ask once for a range.

    Raises:
        _Fault: the answer is not as it should be.
    """
    url, headers = _get_url(file)
    response = None
    # The errors of urllib3 name the URL, so none of them may go further.
    try:
        response = _connect().request(
            "GET",
            url,
            headers=headers | {"Range": f"bytes={begin}-{end - 1}"},
            timeout=TIMEOUT_SECONDS,
            retries=urllib3.Retry(connect=0, read=0, other=0, status=0, redirect=3),
            preload_content=False,
        )
        _check_head(response, f"bytes {begin}-{end - 1}/{file.size}")
        data = response.read(end - begin + 1, decode_content=False)
    except urllib3.exceptions.TimeoutError:
        raise _Fault(f"nothing came for {TIMEOUT_SECONDS:g} seconds") from None
    except (urllib3.exceptions.HTTPError, OSError):
        raise _Fault("the connection was cut") from None
    finally:
        if response is not None:
            response.close()
    if len(data) != end - begin:
        raise _Fault(f"{len(data):,} bytes came")
    return bytes(data)


def _check_head(response: urllib3.BaseHTTPResponse, content_range: str) -> None:
    """Check what an answer says of itself, before any of its bytes are read.

    Raises:
        _Fault: it is not the range that was asked for.
    """
    if response.status != 206:
        pause = response.headers.get("Retry-After", "")
        raise _Fault(
            f"the server answered with status {response.status}",
            response.status,
            float(pause) if pause.isdigit() else 0,
        )
    if response.headers.get("Content-Range") != content_range:
        raise _Fault("the server sent another range")


def _get_url(file: RemoteFile) -> tuple[str, dict[str, str]]:
    """Return a URL that is still valid for a minute, and the headers that it wants."""
    handle = dxpy.DXFile(file.link)
    handle = _handles.setdefault(handle.get_id(), handle)
    # With verify= dxpy makes a connection of its own for this one call. Without filename= the name
    # would be a part of the URL, whatever letters it has.
    url, headers = handle.get_download_url(
        preauthenticated=True, duration=URL_SECONDS, filename="part", verify=certifi.where()
    )
    return url, headers


def _connect() -> urllib3.PoolManager:
    """Return this process's connections: one, but for what several threads ask for."""
    global _connections
    if _connections is None:
        _connections = urllib3.PoolManager(
            maxsize=CONNECTIONS, cert_reqs="CERT_REQUIRED", ca_certs=certifi.where()
        )
    return _connections


def _forget_connections() -> None:
    global _connections
    _connections = None


os.register_at_fork(after_in_child=_forget_connections)
