"""HTTP and WebSocket: authentication, JSON calls, file bytes. Knows no domain.

How calls and errors look: https://documentation.dnanexus.com/developer/api/protocols
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from aiohttp import web

from local_platform import routes
from local_platform.api import file
from local_platform.call import Call
from local_platform.errors import (
    ApiError,
    InvalidAuthentication,
    InvalidInput,
    MalformedJSON,
    PermissionDenied,
    ResourceNotFound,
)
from local_platform.jobs import log
from local_platform.jobs.scheduler import Scheduler
from local_platform.store import Store, sha256

HOST = "127.0.0.1"
CHUNK = 2**20
LARGEST_JSON = 64 * 2**20
LONGEST_NONCE = 128
LOG = logging.getLogger("local_platform")


class Server:
    """Serves one store on one port of the loopback interface."""

    def __init__(self, store: Store) -> None:
        """Prepare a server; `start` opens the port."""
        self._store = store
        self._scheduler: Scheduler | None = None
        self._runner: web.AppRunner | None = None
        self._serving: asyncio.Task | None = None
        self.port = 0

    async def start(self, port: int) -> None:
        """Listen on a port (0: any free one) and take up the jobs that were under way."""
        app = web.Application(middlewares=[self._guard], client_max_size=LARGEST_JSON)
        app.router.add_get("/{job}/getLog/websocket", self._log_stream)
        app.router.add_get("/F/{path:.+}", self._get_bytes)
        app.router.add_put("/F/{path:.+}", self._put_bytes)
        app.router.add_post("/{path:.+}", self._call)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._scheduler = Scheduler(self._store, self.port)
        self._serving = asyncio.create_task(self._scheduler.serve())

    async def stop(self) -> None:
        """Kill the running jobs and close the port."""
        self._serving.cancel()
        await self._scheduler.close()
        await self._runner.cleanup()

    @web.middleware
    async def _guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Refuse foreign hosts, and turn every exception into an error that clients understand."""
        try:
            # A web page could reach this port under a name of its own, but not under ours.
            if request.host not in (f"{HOST}:{self.port}", f"localhost:{self.port}"):
                raise PermissionDenied(f"This platform is not {request.host}")
            return await handler(request)
        except ApiError as error:
            return web.json_response(error.body(), status=error.status)
        except web.HTTPException as error:
            refusal = ResourceNotFound(f"{request.method} {request.path}: {error.reason}")
            return web.json_response(refusal.body(), status=error.status)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            # Clients retry a 5xx for a minute; a defect of ours shall show at once.
            LOG.exception("%s %s", request.method, request.path)
            refusal = InvalidInput(f"The local platform failed: {type(error).__name__}: {error}")
            return web.json_response(refusal.body(), status=refusal.status)

    async def _call(self, request: web.Request) -> web.Response:
        """Answer one JSON call; all it writes is kept, or nothing."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        job_id = self._authenticate(scheme, token)
        try:
            body = json.loads(await request.read() or b"{}")
        except ValueError as error:
            raise MalformedJSON(f"The body is not JSON: {error}") from None
        if not isinstance(body, dict):
            raise MalformedJSON("The body is not a JSON object")
        found = routes.find(request.path)
        if found is None:
            LOG.error("unknown route %s", request.path)
            raise ResourceNotFound(f"The local platform does not serve {request.path}")
        handler, object_id = found
        call = Call(self._store, object_id, body, job_id, f"http://{HOST}:{self.port}")
        with self._store.transaction():
            reply = self._once(request.path, handler, call)
        self._scheduler.wake()
        return web.json_response(reply)

    def _once(self, path: str, handler: routes.Handler, call: Call) -> dict:
        """Answer a call with a nonce once: the same request gets the same answer again."""
        nonce = call.field("nonce", str, None)
        if nonce is None:
            return handler(call)
        if len(nonce) > LONGEST_NONCE:
            raise InvalidInput(f'Expected the field "nonce" to have up to {LONGEST_NONCE} bytes')
        key = f"{path} {call.job_id} {nonce}"
        request = sha256(json.dumps(call.body, sort_keys=True))
        before = self._store.nonce_reply(key)
        if before is None:
            reply = handler(call)
            self._store.save_nonce(key, request, reply)
            return reply
        if before[0] != request:
            raise InvalidInput('The field "nonce" was used before for another request')
        return before[1]

    def _authenticate(self, scheme: str, token: str) -> str | None:
        """Return the job that a token belongs to, or None for the user's own."""
        known, job_id = self._store.token_holder(token)
        if scheme != "Bearer" or not known:
            raise InvalidAuthentication("The token could not be found")
        return job_id

    async def _log_stream(self, request: web.Request) -> web.WebSocketResponse:
        """Open a log stream; its first frame authenticates and says what is wanted."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        body = await socket.receive_json()
        try:
            job_id = self._authenticate(body.get("token_type"), body.get("access_token", ""))
        except ApiError as error:
            reason = json.dumps(error.body()["error"]).encode()
            await socket.close(code=log.REFUSED, message=reason)
            return socket
        await log.stream(socket, Call(self._store, request.match_info["job"], body, job_id))
        return socket

    async def _put_bytes(self, request: web.Request) -> web.Response:
        """Receive one part, in bounded memory, and keep it if it is what was declared."""
        path, signature = self._signed(request)
        part = file.expected_part(self._store, path, signature)
        async with _temporary_file(self._store.incoming) as received:
            digest, size = hashlib.md5(usedforsecurity=False), 0
            with received.open("wb") as target:
                async for chunk in request.content.iter_chunked(CHUNK):
                    size += len(chunk)
                    if size > part.size:
                        break
                    digest.update(chunk)
                    target.write(chunk)
            if (size, digest.hexdigest()) != (part.size, part.md5):
                raise InvalidInput(
                    f"Part {part.number} of {part.file} is not the declared one:"
                    f" {part.size} bytes with MD5 {part.md5}"
                )
            with self._store.transaction():
                file.keep_part(self._store, part, received)
        return web.Response()

    async def _get_bytes(self, request: web.Request) -> web.StreamResponse:
        """Send a file or a range of it, in bounded memory."""
        path, signature = self._signed(request)
        parts = file.readable_parts(self._store, path, signature)
        total = sum(size for _, size in parts)
        first, last = _range(request.headers.get("Range"), total)
        response = web.StreamResponse(
            status=206 if "Range" in request.headers else 200,
            headers={
                "Accept-Ranges": "bytes",
                "Content-Length": str(last - first + 1),
                "Content-Type": "application/octet-stream",
            },
        )
        if response.status == 206:
            response.headers["Content-Range"] = f"bytes {first}-{last}/{total}"
        await response.prepare(request)
        if request.method == "GET":
            for chunk in _chunks(parts, first, last + 1):
                await response.write(chunk)
        await response.write_eof()
        return response

    def _signed(self, request: web.Request) -> tuple[str, str]:
        """Return the signed path of a request for bytes, as it was sent, and its signature."""
        path = request.rel_url.raw_path.removeprefix("/F/")
        header = request.headers.get(file.SIGNATURE_HEADER, "")
        return path, request.query.get("signature", header)


@contextlib.asynccontextmanager
async def _temporary_file(folder: Path) -> AsyncIterator[Path]:
    """Give a fresh file that is gone afterwards, unless it was moved away."""
    path = folder / secrets.token_hex(16)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _range(header: str | None, total: int) -> tuple[int, int]:
    """Return the first and last byte asked for: `bytes=a-b`, `bytes=a-` or `bytes=-n`."""
    if header is None:
        return 0, total - 1
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header)
    if not match or match[0] == "bytes=-":
        raise InvalidInput(f"The range {header} is not understood")
    if not match[1]:
        return max(0, total - int(match[2])), total - 1
    first, last = int(match[1]), min(int(match[2] or total), total - 1)
    if first > last:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{total}"})
    return first, last


def _chunks(parts: list[tuple[Path, int]], begin: int, end: int):
    """Yield the bytes [begin, end) of parts that follow one another."""
    offset = 0
    for path, size in parts:
        here, stop = max(begin - offset, 0), min(end - offset, size)
        offset += size
        if here >= stop:
            continue
        with path.open("rb") as source:
            source.seek(here)
            while here < stop:
                chunk = source.read(min(CHUNK, stop - here))
                here += len(chunk)
                yield chunk
