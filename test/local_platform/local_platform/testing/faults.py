"""Faults of downloads, for tests: what the network and the service can do to a range.

A fault is a file in a folder that only the test and the platform it started know. There is no
route to set one, and a platform that was not started for tests has no faults.
"""

import asyncio
import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler

FOLDER_VARIABLE = "LOCAL_PLATFORM_FAULTS"
EXPIRED = "expired"
"""The fault of the first URL that is used: refused for ever, while one asked for anew works."""
RETRY_AFTER = 1
"""Seconds after which the client is told to try again."""


@dataclass(frozen=True)
class Fault:
    """What happens to downloads of files with a name: `skip` are let pass, then `times` fail."""

    kind: str
    file: str
    times: int | None
    skip: int
    met: int = 0
    path: str | None = None
    """The one URL that is refused, once it is known; of a fault that refuses one."""

    def concerns(self, path: str) -> bool:
        """Tell whether a download has this fault: D/EXPIRES/FILE-ID/NAME, as it was sent."""
        *_, file_id, name = path.split("/")
        named = fnmatchcase(unquote(name), self.file) or file_id == self.file
        return named and self.times != 0 and self.path in (None, path)

    def count(self, path: str) -> "Fault":
        """Return what is left of the fault after one download that it concerns."""
        if self.skip:
            return replace(self, skip=self.skip - 1)
        times = None if self.times is None else self.times - 1
        refused = path if self.kind == EXPIRED else None
        return replace(self, times=times, met=self.met + 1, path=refused)


class Faults:
    """The test's side: orders faults, and tells how often each was met."""

    def __init__(self, folder: Path) -> None:
        """Order faults from the platform that looks into a folder."""
        self._folder = folder

    def __call__(
        self, kind: str, file: str = "*", times: int | None = 1, skip: int = 0
    ) -> Callable[[], int]:
        """Spoil downloads to come.

        Args:
            kind: what happens, a key of KINDS.
            file: name of the files concerned, * and ? standing for anything, or a file's ID.
            times: how many downloads are spoiled; None: all.
            skip: how many downloads are let pass before.

        Returns:
            A function that tells how many downloads were spoiled so far.

        Raises:
            ValueError: there is no such kind.
        """
        if kind not in KINDS:
            raise ValueError(f"No fault is called {kind!r}, only: {', '.join(KINDS)}")
        # An expired URL stays expired.
        fault = Fault(kind, file, None if kind == EXPIRED else times, skip)
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{len(list(self._folder.iterdir())):06}"
        _save(path, fault)
        return lambda: _load(path).met

    def unmet(self) -> list[str]:
        """Return the kinds of the faults that no download has met."""
        return [fault.kind for _, fault in _faults(self._folder) if not fault.met]

    def clear(self) -> None:
        """Take every fault back."""
        for path, _ in _faults(self._folder):
            path.unlink()


class Injector:
    """The platform's side: a middleware that spoils the downloads for which a fault was ordered."""

    def __init__(self, folder: Path) -> None:
        """Look for faults in a folder."""
        self._folder = folder
        self._pass = secrets.token_hex(16)

    @web.middleware
    async def spoil(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a download as its fault wants it, anything else as usual."""
        path = request.rel_url.raw_path.removeprefix("/F/")
        if (
            request.method != "GET"
            or not path.startswith("D/")
            or request.headers.get("X-Pass") == self._pass
        ):
            return await handler(request)
        for file, fault in _faults(self._folder):
            if fault.concerns(path):
                left = fault.count(path)
                _save(file, left)
                if left.met > fault.met:
                    return await KINDS[fault.kind](request, self._pass)
        return await handler(request)


@dataclass(frozen=True)
class Answer:
    """What the platform would have answered."""

    status: int
    headers: dict[str, str]
    body: bytes


async def _genuine(request: web.Request, passing: str, whole: bool = False) -> Answer:
    """Ask the platform itself for what was asked for, or for the whole file."""
    headers = {
        name: value for name, value in request.headers.items() if name != "Range" or not whole
    }
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(request.url, headers=headers | {"X-Pass": passing}) as reply,
    ):
        kept = ("Accept-Ranges", "Content-Range", "Content-Type")
        return Answer(
            reply.status,
            {name: reply.headers[name] for name in kept if name in reply.headers},
            await reply.read(),
        )


async def _begin(request: web.Request, answer: Answer) -> web.StreamResponse:
    """Announce an answer in full length, and send half of it."""
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    return response


async def _cut(request: web.Request, passing: str) -> web.StreamResponse:
    """Half of the bytes, then the connection is closed."""
    response = await _begin(request, await _genuine(request, passing))
    if request.transport:
        request.transport.close()
    return response


async def _stall(request: web.Request, passing: str) -> web.StreamResponse:
    """Half of the bytes, then nothing until the client gives up."""
    response = await _begin(request, await _genuine(request, passing))
    while request.transport and not request.transport.is_closing():
        await asyncio.sleep(0.1)
    return response


async def _early_end(request: web.Request, passing: str) -> web.StreamResponse:
    """Half of the bytes, ended properly, as if they were all."""
    answer = await _genuine(request, passing)
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    await response.write_eof()
    return response


async def _whole_file(request: web.Request, passing: str) -> web.StreamResponse:
    """Status 200 and the whole file, whatever range was asked for."""
    answer = await _genuine(request, passing, whole=True)
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


async def _foreign_range(request: web.Request, passing: str) -> web.StreamResponse:
    """As many bytes as were asked for, said to be those one further on."""
    answer = await _genuine(request, passing)
    headers = dict(answer.headers)
    if "Content-Range" in headers:
        ends, total = headers["Content-Range"].removeprefix("bytes ").split("/")
        begin, end = (int(number) + 1 for number in ends.split("-"))
        headers["Content-Range"] = f"bytes {begin}-{end}/{total}"
    return web.Response(status=answer.status, headers=headers, body=answer.body)


async def _wrong_bytes(request: web.Request, passing: str) -> web.StreamResponse:
    """As many bytes as were asked for, the last of them changed."""
    answer = await _genuine(request, passing)
    body = answer.body[:-1] + bytes(255 - byte for byte in answer.body[-1:])
    return web.Response(status=answer.status, headers=answer.headers, body=body)


async def _server_error(request: web.Request, passing: str) -> web.StreamResponse:
    """Status 500, which clients try again."""
    del request, passing
    return web.Response(status=500)


async def _unavailable(request: web.Request, passing: str) -> web.StreamResponse:
    """Status 503 with Retry-After, which clients wait for and try again."""
    del request, passing
    return web.Response(status=503, headers={"Retry-After": str(RETRY_AFTER)})


async def _refused(request: web.Request, passing: str) -> web.StreamResponse:
    """Status 403, as storage answers."""
    del request, passing
    return web.Response(status=403)


KINDS: dict[str, Callable[[web.Request, str], Awaitable[web.StreamResponse]]] = {
    "cut": _cut,
    "early_end": _early_end,
    "stall": _stall,
    "whole_file": _whole_file,
    "foreign_range": _foreign_range,
    "wrong_bytes": _wrong_bytes,
    "403": _refused,
    "500": _server_error,
    "503": _unavailable,
    EXPIRED: _refused,
}


def _faults(folder: Path) -> Iterator[tuple[Path, Fault]]:
    """Yield the faults in a folder with their files, in the order in which they were given."""
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(folder.glob("*[0-9]")):
            yield path, _load(path)


def _load(path: Path) -> Fault:
    """Read a fault."""
    return Fault(**json.loads(path.read_text()))


def _save(path: Path, fault: Fault) -> None:
    """Write a fault so that nobody reads half of it."""
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(asdict(fault)))
    temporary.replace(path)
