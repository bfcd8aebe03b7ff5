"""Bytes and logs: what is sent and received piece by piece, in bounded memory."""

import asyncio
import contextlib
import hashlib
import json
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from aiohttp import WSMsgType, web

from local_platform import files, page
from local_platform.call import Call, Caller
from local_platform.errors import ApiError, InvalidInput
from local_platform.fields import hash_of
from local_platform.jobs.log import Reader
from local_platform.store import Store, now

CHUNK = 2**20
# How often a live log is looked at again, in seconds.
INTERVAL = 0.1
# WebSocket close code for "policy violation"; the reason holds the API's error.
REFUSED = 1008
LOG = logging.getLogger("local_platform")


class DamageError(Exception):
    """The bytes of a part are not all there."""

    def __init__(self, path: Path) -> None:
        """Name the part whose bytes should lie at a path."""
        self.file_id = path.parent.name
        super().__init__(f"part {path.name} of {self.file_id} is damaged: bytes of it are missing")


async def receive_part(store: Store, request: web.Request) -> web.Response:
    """Receive one part and keep it if it is what was declared."""
    path, signature = _signed(request)
    part = files.expected_part(store, path, signature)
    async with _temporary_file(store.incoming) as received:
        digest, size = hashlib.md5(usedforsecurity=False), 0
        with received.open("wb") as target:
            async for chunk in _content(request):
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
        with store.transaction():
            files.keep_part(store, part, received)
    return web.Response()


async def send_bytes(store: Store, request: web.Request) -> web.StreamResponse:
    """Send a file or a range of it."""
    path, signature = _signed(request)
    parts = files.readable_parts(store, path, signature)
    total = sum(size for _, size in parts)
    begin, end = _range(request, total)
    headers = page.file_headers(files.media_type(store, path), "inline" in request.query)
    response = web.StreamResponse(headers=headers | {"Accept-Ranges": "bytes"})
    response.content_length = end - begin
    if "Range" in request.headers:
        response.set_status(206)
        response.headers["Content-Range"] = f"bytes {begin}-{end - 1}/{total}"
    await response.prepare(request)
    if request.method == "GET":
        try:
            for chunk in _chunks(parts, begin, end):
                await response.write(chunk)
        except DamageError as error:
            if store.find(error.file_id):
                LOG.error("%s", error)
            raise ConnectionAbortedError(str(error)) from None
    await response.write_eof()
    return response


async def _content(request: web.Request) -> AsyncIterator[bytes]:
    """Yield what a client sends, in chunks."""
    try:
        async for chunk in request.content.iter_chunked(CHUNK):
            yield chunk
    except web.RequestPayloadError:
        raise ConnectionResetError("The client broke off") from None


def _range(request: web.Request, total: int) -> tuple[int, int]:
    """Return where the bytes asked for begin and end."""
    try:
        begin, end, _ = request.http_range.indices(total)
    except ValueError as error:
        raise InvalidInput(f"The range {request.headers['Range']}: {error}") from None
    if begin >= end and "Range" in request.headers:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{total}"})
    return begin, end


def _chunks(parts: list[tuple[Path, int]], begin: int, end: int) -> Iterator[bytes]:
    """Yield the bytes [begin, end) of parts that follow one another."""
    offset = 0
    for path, size in parts:
        here, stop = max(begin - offset, 0), min(end - offset, size)
        offset += size
        if here >= stop:
            continue
        try:
            source = path.open("rb")
        except FileNotFoundError:
            raise DamageError(path) from None
        with source:
            source.seek(here)
            while here < stop:
                chunk = source.read(min(CHUNK, stop - here))
                if not chunk:
                    raise DamageError(path)
                here += len(chunk)
                yield chunk


def _signed(request: web.Request) -> tuple[str, str]:
    """Return the signed path of a request for bytes, as it was sent, and its signature."""
    path = request.rel_url.raw_path.removeprefix("/F/")
    header = request.headers.get(files.SIGNATURE_HEADER, "")
    return path, request.query.get("signature", header)


@contextlib.asynccontextmanager
async def _temporary_file(folder: Path) -> AsyncIterator[Path]:
    """Give a fresh file that is gone afterwards, unless it was moved away."""
    path = folder / secrets.token_hex(16)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


async def stream_log(store: Store, request: web.Request) -> web.WebSocketResponse:
    """Send a log: one JSON text frame for each line, then END_LOG.

    The client's first frame authenticates it and says what it wants.
    """
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    job_id = request.match_info["job"]
    first = await socket.receive()
    try:
        wishes = hash_of(str(first.data or "").encode())
        caller = Caller.with_token(store, wishes.get("token_type"), wishes.get("access_token"))
        caller.job(job_id)
    except ApiError as error:
        await socket.close(code=REFUSED, message=json.dumps(error.body()["error"]).encode())
        return socket
    call = Call(store, caller.job_id, object_id=job_id, body=wishes, base_url="")
    # The client sends nothing more, but its pings and its close come in through here.
    closed = asyncio.create_task(_until_closed(socket))
    sending = asyncio.create_task(_send_log(socket, Reader(call)))
    try:
        done, _ = await asyncio.wait((closed, sending), return_when=asyncio.FIRST_COMPLETED)
        if sending in done:
            sending.result()
            # The client closes after END_LOG; closing first would make it lose the end.
            await closed
    finally:
        closed.cancel()
        sending.cancel()
    return socket


async def _until_closed(socket: web.WebSocketResponse) -> None:
    """Read until the client closes."""
    async for message in socket:
        if message.type in (WSMsgType.CLOSE, WSMsgType.ERROR):
            return


async def _send_log(socket: web.WebSocketResponse, reader: Reader) -> None:
    """Send what there is, and what comes until the reader has all it wishes."""
    while not reader.complete:
        before = reader.last
        for frame in reader.read():
            await socket.send_json(frame)
        if reader.last == before and not reader.complete:
            await asyncio.sleep(INTERVAL)
    end = {"timestamp": now(), "source": "SYSTEM", "level": "INFO", "msg": "END_LOG"}
    await socket.send_json(end | {"job": reader.call.object_id})
