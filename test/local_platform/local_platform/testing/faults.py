"""Faults, for tests: what the network, the service and its machines can do to a request.

A fault meets requests: downloads of files, or calls of the API, of one job if need be. Tests order
faults through the standard input of the platform that they started; no route orders one.
"""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler

from local_platform.access import Caller
from local_platform.errors import ApiError
from local_platform.platform import Platform
from local_platform.store import entities
from local_platform.strict_json import Hash

NOTHING = "nothing"
"""The fault that spoils nothing, and so counts requests."""
EXPIRED = "expired"
"""The fault of the first URL that is used: it is always refused, a new one works."""
RETRY_AFTER = {"Retry-After": "1"}
"""Tells the client when to try again, in seconds."""
CALLS = {"429": "RateLimitConditional", "500": "InternalError", "503": "ServiceUnavailable"}
"""Faults of calls: their statuses, and the types of their errors."""
REASONS = ("SpotInstanceInterruption", "UnresponsiveWorker", "AppInsufficientResourceError")
"""Faults of machines: the reasons for which a job fails in the middle of a call."""


Download = Callable[[web.Request, str], Awaitable[web.StreamResponse]]
"""Answers a request for bytes; also given the mark of requests that no fault spoils."""


@dataclass
class Fault:
    """What happens to some requests: `skip` of them pass, then `times` are spoiled."""

    kind: str
    file: str | None
    """Name or ID of the files whose downloads are concerned; None: calls are."""
    method: str
    job: str | None
    """Name or ID of the jobs whose calls are concerned; None: anybody's."""
    times: int | None
    skip: int
    met: int = 0
    path: str | None = None
    """The one URL that is refused, once it is known; of a fault that refuses one."""

    def count(self, path: str) -> bool:
        """Count a request that the fault concerns, and tell whether it is spoiled."""
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        if self.kind == EXPIRED:
            self.path = path
        self.met += 1
        return self.kind != NOTHING


class Faults:
    """The test's side: orders faults, and tells how often each was met."""

    def __init__(self, order: Callable[[object], list[Hash]]) -> None:
        """Order faults through a function that has an Injector obey."""
        self._order = order

    def __call__(
        self,
        kind: str,
        file: str | None = None,
        times: int | None = 1,
        skip: int = 0,
        *,
        method: str | None = None,
        job: str | None = None,
    ) -> Callable[[], int]:
        """Spoil requests to come: calls if a method or a job is named, else downloads.

        Args:
            kind: what happens: one of DOWNLOADS, CALLS or REASONS, or nothing, which just counts.
            file: name of the files, * and ? standing for anything, or a file's ID.
            times: how many requests are spoiled; None: all.
            skip: how many requests pass before.
            method: name of the calls, such as file/describe, * and ? standing for anything.
            job: name of the jobs that call, * and ? standing for anything, or a job's ID.

        Returns:
            A function that returns how many requests were spoiled so far.

        Raises:
            ValueError: there is no such fault, or its end would never come.
        """
        of_calls = method is not None or job is not None or kind in REASONS
        known = (*CALLS, *REASONS, NOTHING) if of_calls else (*DOWNLOADS, NOTHING)
        if kind not in known:
            concerned = "calls" if of_calls else "downloads"
            raise ValueError(f"No fault of {concerned} is called {kind!r}: {', '.join(known)}")
        if of_calls and file is not None:
            raise ValueError("A fault concerns downloads of a file, or calls of a method or job")
        if of_calls and kind in ("429", "503") and times is None:
            raise ValueError(f"dxpy repeats a call after {kind} without end: say how many times")
        fault = Fault(
            kind,
            file=None if of_calls else file or "*",
            method=method or "*",
            job=job or ("*" if kind in REASONS else None),
            # An expired URL stays expired.
            times=None if kind == EXPIRED else times,
            skip=skip,
        )
        number = len(self._order(asdict(fault))) - 1
        return lambda: int(self._order(None)[number]["met"])

    def unmet(self) -> list[str]:
        """Return the kinds of the faults that no request has met."""
        return [fault["kind"] for fault in self._order(None) if not fault["met"]]

    def clear(self) -> None:
        """Take every fault back."""
        self._order([])


class Injector:
    """The platform's side: a middleware that spoils the requests for which a fault was ordered."""

    platform: Platform

    def __init__(self) -> None:
        """Begin without faults."""
        self._faults: list[Fault] = []
        self._pass = secrets.token_hex(16)

    def obey(self, order: Any) -> list[Hash]:
        """Add a fault, or take all back ([]), or do nothing (null); return those that there are."""
        if order == []:
            self._faults = []
        elif order:
            self._faults.append(Fault(**order))
        return [asdict(fault) for fault in self._faults]

    @web.middleware
    async def spoil(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request as its fault wants it, anything else as usual."""
        if request.headers.get("X-Pass") == self._pass:
            return await handler(request)
        for fault in self._faults:
            concerned = fault.times != 0 and self._concerns(fault, request)
            if not concerned or not fault.count(request.rel_url.raw_path):
                continue
            if fault.file is not None:
                return await DOWNLOADS[fault.kind](request, self._pass)
            if fault.kind in REASONS:
                return self._fail_job(request, fault.kind)
            return _error(int(fault.kind), CALLS[fault.kind])
        return await handler(request)

    def _concerns(self, fault: Fault, request: web.Request) -> bool:
        """Tell whether a request is one that a fault may spoil."""
        path = request.rel_url.raw_path
        if fault.file is not None:
            # /F/D/EXPIRES/FILE-ID/NAME, as it was sent
            if request.method != "GET" or not path.startswith("/F/D/"):
                return False
            *_, file_id, name = path.split("/")
            return _matches(fault.file, unquote(name), file_id) and fault.path in (None, path)
        # /CLASS/METHOD or /ID/METHOD
        method = re.sub(r"-\w+/", "/", path[1:])
        if request.method != "POST" or not fnmatchcase(method, fault.method):
            return False
        if fault.job is None:
            return True
        job = self._calling_job(request)
        return job is not None and _matches(fault.job, job["name"], job["id"])

    def _calling_job(self, request: web.Request) -> Hash | None:
        """Return the job that calls, if a job does."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            job_id = Caller.with_token(self.platform.store, scheme, token).job_id
        except ApiError:
            return None
        return entities.get(self.platform.store, job_id) if job_id else None

    def _fail_job(self, request: web.Request, reason: str) -> web.Response:
        """End the job that calls, as if its machine had failed it."""
        if job := self._calling_job(request):
            self.platform.scheduler.fail(job["id"], reason, "The test ordered this fault")
        # The job's processes are killed before they can ask again.
        return _error(503, CALLS["503"])


def _matches(pattern: str, name: str, object_id: str) -> bool:
    """Tell whether a pattern stands for something with a name and an ID."""
    return fnmatchcase(name, pattern) or pattern == object_id


def _error(status: int, kind: str) -> web.Response:
    """Return an error as the service sends it; after 429 and 503 clients wait as they are told."""
    body = {"error": {"type": kind, "message": "The test ordered this fault"}}
    return web.json_response(body, status=status, headers=RETRY_AFTER if status != 500 else {})


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


def _status(status: int, headers: Mapping[str, str] | None = None) -> Download:
    """Return what answers with a status and no bytes."""

    async def answer(_request: web.Request, _passing: str) -> web.StreamResponse:
        return web.Response(status=status, headers=headers)

    return answer


DOWNLOADS: dict[str, Download] = {
    "cut": _cut,
    "early_end": _early_end,
    "stall": _stall,
    "whole_file": _whole_file,
    "foreign_range": _foreign_range,
    "wrong_bytes": _wrong_bytes,
    "403": _status(403),
    "500": _status(500),
    "503": _status(503, RETRY_AFTER),
    EXPIRED: _status(403),
}
