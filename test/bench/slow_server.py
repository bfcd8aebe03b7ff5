"""A server between a client and a local platform that stands for the service: slow, as it is told.

    with SlowServer(platform.port, latency=0.02, rate=100e6) as server:
        dxpy.set_api_server_info(host="127.0.0.1", port=server.port, protocol="http")
        ...
        server.ranges()

Calls of the API are passed on, and the URLs of files lead back here. The server is a process of its
own, because a program that forks should have one thread only.
"""

import http.client
import json
import multiprocessing
import os
import re
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CHUNK = 1 << 18  # bytes that are sent between two looks at the clock
BURST = 0.02  # seconds


class SlowServer:
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

    def __enter__(self) -> "SlowServer":
        """Return the server."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.terminate()
        self._process.join()

    def ranges(self) -> list[tuple[str, int, int]]:
        """Return what was sent: ID of the file, first byte and size of each range."""
        connection = http.client.HTTPConnection("127.0.0.1", int(self.port))
        connection.request("GET", "/_ranges")
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return [tuple(one) for one in answer]


class _Server(ThreadingHTTPServer):
    """What the handlers share."""

    daemon_threads = True

    def __init__(self, upstream: int, latency: float, rate: float, files: dict[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.latency, self.rate, self.files = upstream, latency, rate, files
        self.ranges: list[tuple[str, int, int]] = []
        self._lock = threading.Lock()
        self._free_at = 0.0

    def wait_for_turn(self, size: int) -> None:
        """Wait until so many bytes may be sent."""
        if not self.rate:
            return
        with self._lock:
            # A thread that wakes up late makes up for the lost time.
            self._free_at = max(self._free_at, time.monotonic() - BURST) + size / self.rate
            pause = self._free_at - time.monotonic()
        time.sleep(max(0, pause))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        if self.path == "/_ranges":
            self._answer(200, {}, json.dumps(self.server.ranges).encode())
            return
        time.sleep(self.server.latency)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        found = re.search(r"/(file-\w+)/", self.path)
        file_id = found[1] if found else ""
        if file_id in self.server.files:
            self._send_file(file_id, wanted)
            return
        status, headers, body = self._pass_on()
        if wanted and status == 206:
            self.server.ranges.append((file_id, int(wanted[1]), len(body)))
        self._answer(status, headers, body)

    def do_POST(self) -> None:
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

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self._send_head(status, headers, len(body))
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
