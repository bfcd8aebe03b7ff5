"""Fetches byte ranges of a file on the platform, and checks each response.

    file = RemoteFile(link)
    data = file.fetch(0, 65_536)

A server that sends other bytes than requested must not cause a wrong count. So the status, range
and length of each response are checked, and after a wrong response the request is repeated.

dxpy's own requests are not used for the bytes. They share a connection with forked processes, so
one process can get the bytes of another. They log the URL, which is a key to the file. And after
status 503 they retry forever.
"""

import os
import time
from typing import Any

import certifi
import dxpy
import urllib3
from dxpy.utils.file_load_utils import make_unix_filename

RANGE_SIZE = 4 << 20  # bytes; the latency of a request is then a tenth of its transfer

# A server that sends nothing for this long has stalled.
TIMEOUT_SECONDS = 60
TRIES = 7
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds; each pause is twice the one before

# How long a URL should be valid. dxpy asks for a new one a minute before it expires.
URL_SECONDS = 6 * 60 * 60


class _FetchError(Exception):
    """One response was wrong; the message says how."""


class RemoteFile:
    """A closed file of the platform."""

    def __init__(self, link: dict[str, Any]) -> None:
        """Ask the platform for the name and the size of a file."""
        self.link = link
        self._handle = dxpy.DXFile(link)
        described = self._handle.describe()
        self.name: str = make_unix_filename(described["name"])
        self.size: int = described["size"]  # in bytes
        self._process: int | None = None
        self._connections: urllib3.PoolManager

    def fetch(self, begin: int, end: int, what: str = "") -> bytes:
        """Fetch the bytes from `begin` up to `end`.

        Args:
            begin: the first byte.
            end: the byte after the last one.
            what: their name in error messages, such as `region 'chr1'`.

        Raises:
            dxpy.AppError: all tries failed.
        """
        pause = FIRST_PAUSE
        for tries_left in reversed(range(TRIES)):
            try:
                return self._fetch_once(begin, end)
            except _FetchError as error:  # noqa: PERF203
                if not tries_left:
                    raise dxpy.AppError(
                        f"Downloading bytes {begin:,}-{end - 1:,} of {self.name!r}"
                        f"{f' ({what})' if what else ''} failed {TRIES} times: {error}. "
                        "Run the applet again."
                    ) from None
                # A new handle requests a new URL.
                self._handle = dxpy.DXFile(self.link)
                time.sleep(min(pause, LONGEST_PAUSE))
                pause *= 2
        raise AssertionError

    def _fetch_once(self, begin: int, end: int) -> bytes:
        """Request a range once.

        Raises:
            _FetchError: the response is wrong.
        """
        # With verify= dxpy makes a connection of its own for this call, and without a hint it makes
        # no other call. Without filename= the name would be a part of the URL.
        url, headers = self._handle.get_download_url(
            preauthenticated=True,
            duration=URL_SECONDS,
            filename="part",
            project=dxpy.DXFile.NO_PROJECT_HINT,
            verify=certifi.where(),
        )
        response = None
        # The errors of urllib3 contain the URL, so none of them may get into the log.
        try:
            response = self._connect().request(
                "GET",
                url,
                headers=headers | {"Range": f"bytes={begin}-{end - 1}"},
                timeout=TIMEOUT_SECONDS,
                retries=urllib3.Retry(connect=0, read=0, other=0, status=0, redirect=3),
                preload_content=False,
            )
            if response.status != 206:
                raise _FetchError(f"the server answered with status {response.status}")
            if response.headers.get("Content-Range") != f"bytes {begin}-{end - 1}/{self.size}":
                raise _FetchError("the server sent another range")
            data = response.read(end - begin + 1, decode_content=False)
        except urllib3.exceptions.TimeoutError:
            raise _FetchError(f"the server sent nothing for {TIMEOUT_SECONDS:g} seconds") from None
        except (urllib3.exceptions.HTTPError, OSError):
            raise _FetchError("connection lost") from None
        finally:
            if response is not None:
                response.close()
        if len(data) != end - begin:
            raise _FetchError(f"the server sent only {len(data):,} bytes")
        return bytes(data)

    def _connect(self) -> urllib3.PoolManager:
        """Return the connections of this process; two processes must never share one."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._connections = urllib3.PoolManager(
                cert_reqs="CERT_REQUIRED", ca_certs=certifi.where()
            )
        return self._connections
