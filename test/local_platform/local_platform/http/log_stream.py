"""The log of a job as a stream, while it grows."""

import asyncio
import json
from collections.abc import Callable
from functools import partial

from aiohttp import WSMsgType, web

from local_platform.access import Caller
from local_platform.errors import ApiError, InvalidInput
from local_platform.jobs.log import Reader
from local_platform.rules.fields import Fields, hash_of
from local_platform.store.database import Store, now

# How often a live log is looked at again, in seconds.
INTERVAL = 0.1
# How long the first frame of a client is waited for, in seconds.
LONGEST_SILENCE = 30
# WebSocket close code for "policy violation"; the reason holds the API's error.
REFUSED = 1008


async def stream_log(store: Store, request: web.Request) -> web.WebSocketResponse:
    """Send a log: one JSON text frame for each line, then END_LOG.

    The client's first frame authenticates it and says what it wants.
    """
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    try:
        wishes = hash_of(await _first_frame(socket))
        token = (wishes.get("token_type"), wishes.get("access_token"))
        authenticate = partial(Caller.with_token, store, *token)
        reader = Reader(authenticate(), request.match_info["job"], Fields(body=wishes))
        await _send_until_closed(socket, reader, authenticate)
    except ApiError as error:
        await socket.close(code=REFUSED, message=json.dumps(error.body()["error"]).encode())
    return socket


async def _first_frame(socket: web.WebSocketResponse) -> bytes:
    """Return what a client sends first."""
    try:
        first = await socket.receive(timeout=LONGEST_SILENCE)
    except asyncio.TimeoutError:
        raise InvalidInput("The first frame, with the token, did not come") from None
    return str(first.data or "").encode()


async def _send_until_closed(
    socket: web.WebSocketResponse, reader: Reader, authenticate: Callable[[], Caller]
) -> None:
    """Send a log, and wait for the client to close.

    Raises:
        ApiError: the caller may not read it, or no longer.
    """
    # The client sends nothing more, but its pings and its close come in through here.
    closed = asyncio.create_task(_until_closed(socket))
    sending = asyncio.create_task(_send_log(socket, reader, authenticate))
    try:
        done, _ = await asyncio.wait((closed, sending), return_when=asyncio.FIRST_COMPLETED)
        if sending in done:
            sending.result()
            # The client closes after END_LOG; closing first would make it lose the end.
            await closed
    finally:
        closed.cancel()
        sending.cancel()


async def _until_closed(socket: web.WebSocketResponse) -> None:
    """Read until the client closes."""
    async for message in socket:
        if message.type in (WSMsgType.CLOSE, WSMsgType.ERROR):
            return


async def _send_log(
    socket: web.WebSocketResponse, reader: Reader, authenticate: Callable[[], Caller]
) -> None:
    """Send what there is, and what comes until the reader has all it wishes."""
    while not reader.complete:
        authenticate()
        before = reader.last
        for frame in reader.read():
            await socket.send_json(frame)
        if reader.last == before and not reader.complete:
            await asyncio.sleep(INTERVAL)
    end = {"timestamp": now(), "source": "SYSTEM", "level": "INFO", "msg": "END_LOG"}
    await socket.send_json(end | {"job": reader.job_id})
