"""A server between a client and a local platform, which is slow and fails as it is told.

    with FaultyServer(platform.port, latency=0.02) as server:
        dxpy.set_api_server_info(host="127.0.0.1", port=server.port, protocol="http")
        server.inject("cut", "500")
        ...
        server.ranges()

Calls of the API are passed on, and the URLs of files lead back here. Faults meet only GETs of
ranges on URLs that need no header, which are the applet's own; each is used up by one of them.
The server is a process of its own, because a test that forks should have one thread only.
"""

import http.client
import json
import multiprocessing
import os
import re
import threading
import time
from collections import deque
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FAULTS = ("cut", "early end", "200", "foreign range", "500", "503", "403", "stall", "wrong bytes")
FOR_EVER = 10_000

CHUNK = 1 << 18  # bytes that are sent between two looks at the clock
BURST = 0.02  # seconds


class FaultyServer:
    """Starts the server, and tells it what to do."""

    def __init__(
        self,
        upstream: str,
        latency: float = 0,
        rate: float = 0,
        files: dict[str, Path] | None = None,
    ) -> None:
        """Prepare a server.

        Args:
            upstream: port of the platform.
            latency: of each answer, in seconds.
            rate: bytes a second that all answers share; 0 for no limit.
            files: by ID, those that are read here, which costs less than passing them on.
        """
        receiver, sender = multiprocessing.Pipe(duplex=False)
        options = (sender, int(upstream), latency, rate, files or {})
        self._process = multiprocessing.Process(target=_serve, args=options, daemon=True)
        self._process.start()
        self.port = str(receiver.recv())

    def __enter__(self) -> "FaultyServer":
        """Return the server."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.terminate()
        self._process.join()

    def inject(self, *faults: str) -> None:
        """Add faults, each for one of the next GETs of a range."""
        self._control("POST", json.dumps(faults))

    def ranges(self) -> list[tuple[str, int, int]]:
        """Return what was sent: ID of the file, first byte and size of each range."""
        return [tuple(one) for one in json.loads(self._control("GET"))]

    def url_requests(self) -> int:
        """Return how often the URL of a file was asked for."""
        return int(self._control("GET", path="/_urls"))

    def _control(self, method: str, body: str = "", path: str = "/_control") -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", int(self.port))
        connection.request(method, path, body)
        answer = connection.getresponse().read()
        connection.close()
        return answer


class _Server(ThreadingHTTPServer):
    """What the handlers share."""

    daemon_threads = True

    def __init__(self, upstream: int, latency: float, rate: float, files: dict[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.latency, self.rate, self.files = upstream, latency, rate, files
        self.faults: deque[str] = deque()
        self.ranges: list[tuple[str, int, int]] = []
        self.url_requests = 0
        self._lock = threading.Lock()
        self._free_at = 0.0

    def wait_for_turn(self, size: int) -> None:
        """Wait until so many bytes may be sent."""
        if not self.rate:
            return
        with self._lock:
            # Whoever wakes up late makes up for it.
            self._free_at = max(self._free_at, time.monotonic() - BURST) + size / self.rate
            pause = self._free_at - time.monotonic()
        time.sleep(max(0, pause))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        if self.path == "/_control":
            self._answer(200, {}, json.dumps(self.server.ranges).encode())
            return
        if self.path == "/_urls":
            self._answer(200, {}, str(self.server.url_requests).encode())
            return
        time.sleep(self.server.latency)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        found = re.search(r"/(file-\w+)/", self.path)
        file_id = found[1] if found else ""
        if file_id in self.server.files:
            self._send_file(file_id, wanted)
            return
        # dxpy's own downloads ask with a header in place of the signature.
        to_spoil = wanted and "X-DX-Signature" not in self.headers and self.server.faults
        fault = self.server.faults.popleft() if to_spoil else ""
        status, headers, body = self._pass_on()
        if wanted and status == 206:
            self.server.ranges.append((file_id, int(wanted[1]), len(body)))
        self._spoil(fault, status, headers, body)

    def do_POST(self) -> None:
        if self.path == "/_control":
            length = int(self.headers["Content-Length"])
            self.server.faults.extend(json.loads(self.rfile.read(length)))
            self._answer(200, {}, b"{}")
            return
        if re.fullmatch(r"/file-\w+/download", self.path):
            self.server.url_requests += 1
        time.sleep(self.server.latency)
        self._answer(*self._pass_on())

    do_PUT = do_POST  # noqa: N815 - http.server wants this name

    def log_message(self, *_: Any) -> None:
        """Log nothing."""

    def _pass_on(self) -> tuple[int, dict[str, str], bytes]:
        """Ask the platform, and have the URLs that it answers with lead back here."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        upstream = f"127.0.0.1:{self.server.upstream}"
        connection = http.client.HTTPConnection(upstream)
        sent = dict(self.headers) | {"Host": upstream}
        connection.request(self.command, self.path, body, sent)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        if self.command == "POST":
            own = f"127.0.0.1:{self.server.server_port}"
            answer = answer.replace(upstream.encode(), own.encode())
        kept = ("Content-Type", "Content-Range", "Accept-Ranges")
        headers = {name: response.headers[name] for name in kept if name in response.headers}
        return response.status, headers, answer

    def _spoil(self, fault: str, status: int, headers: dict[str, str], body: bytes) -> None:
        """Answer with a fault, or well if there is none."""
        half = body[: len(body) // 2]
        if fault == "early end":
            body = half
        elif fault == "200":
            status, headers = 200, {}
        elif fault == "foreign range":
            begin, rest = re.fullmatch(r"bytes (\d+)-(.*)", headers["Content-Range"]).groups()
            headers["Content-Range"] = f"bytes {int(begin) + 1}-{rest}"
        elif fault == "wrong bytes":
            body = body[: len(body) // 2] + bytes(8) + body[len(body) // 2 + 8 :]
        elif fault.isdigit():
            status, headers, body = int(fault), {"Retry-After": "0"}, b"it fails"
        if fault not in ("cut", "stall"):
            self._answer(status, headers, body)
            return
        self._answer(status, headers, half, len(body))
        if fault == "stall":
            time.sleep(60)
        self.close_connection = True

    def _answer(
        self, status: int, headers: dict[str, str], body: bytes, length: int | None = None
    ) -> None:
        self._send_head(status, headers, len(body) if length is None else length)
        with suppress(ConnectionError):
            self.wfile.write(body)

    def _send_head(self, status: int, headers: dict[str, str], length: int) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(length)}).items():
            self.send_header(name, value)
        self.end_headers()

    def _send_file(self, file_id: str, wanted: re.Match[str] | None) -> None:
        """Send a file of this machine or a range of it, no faster than the rate."""
        path = self.server.files[file_id]
        size = path.stat().st_size
        begin, end = (int(wanted[1]), min(int(wanted[2]) + 1, size)) if wanted else (0, size)
        content_range = {"Content-Range": f"bytes {begin}-{end - 1}/{size}"} if wanted else {}
        self._send_head(206 if wanted else 200, content_range, end - begin)
        self.wfile.flush()
        self.server.ranges.append((file_id, begin, end - begin))
        with path.open("rb") as file:
            at = begin
            while at < end:
                part = min(CHUNK, end - at)
                self.server.wait_for_turn(part)
                at += os.sendfile(self.connection.fileno(), file.fileno(), at, part)


def _serve(sender: Any, *options: Any) -> None:
    """Serve until the process is ended; say the port first."""
    server = _Server(*options)
    sender.send(server.server_port)
    server.serve_forever()
