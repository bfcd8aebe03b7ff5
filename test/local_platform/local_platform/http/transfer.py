"""The bytes of files, sent and received piece by piece, in bounded memory."""

import hashlib
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import unquote

from aiohttp import web

from local_platform.errors import InvalidInput
from local_platform.http import browser
from local_platform.store import entities, files
from local_platform.store.database import Store

CHUNK = 2**20
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
    received = store.incoming / secrets.token_hex(16)
    try:
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
    finally:
        # It is not there any more once it is kept.
        received.unlink(missing_ok=True)
    return web.Response()


async def send_bytes(store: Store, request: web.Request) -> web.StreamResponse:
    """Send a file or a range of it."""
    path, signature = _signed(request)
    parts = files.readable_parts(store, path, signature)
    if browser.is_shown(request, "document"):
        return browser.send_frame(request, unquote(path.rpartition("/")[2]))
    total = sum(size for _, size in parts)
    begin, end = _range(request, total)
    headers = browser.file_headers(
        files.media_type(store, path), browser.is_shown(request, "iframe")
    )
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
            if entities.find(store, error.file_id):
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
    path, signature = files.split_signature(request.rel_url.raw_path.removeprefix("/F/"))
    return path, signature or request.headers.get(files.SIGNATURE_HEADER, "")
