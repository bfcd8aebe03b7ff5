"""The log stream of `dx watch`: one JSON text frame per line, then END_LOG."""

import asyncio
import json

from aiohttp import WSMsgType, web

from local_platform.api.job import FINAL, subtree
from local_platform.call import Call
from local_platform.errors import ApiError
from local_platform.store import Store, now

# How often a live log is looked at again, in seconds.
INTERVAL = 0.1
# WebSocket close code for "policy violation"; the reason holds the API's error.
REFUSED = 1008


async def stream(socket: web.WebSocketResponse, call: Call) -> None:
    """Send a job's log to a client that has named its wishes in the call's body."""
    try:
        call.job(call.object_id)
    except ApiError as error:
        await socket.close(code=REFUSED, message=json.dumps(error.body()["error"]).encode())
        return
    # The client sends nothing more, but its pings and its close come in through here.
    closed = asyncio.create_task(_until_closed(socket))
    sending = asyncio.create_task(_send(socket, call))
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


async def _send(socket: web.WebSocketResponse, call: Call) -> None:
    """Send every line there is; with "tail", go on until the job has ended."""
    last = 0
    while True:
        jobs = _jobs(call.store, call.object_id, call.body)
        # Asked before the lines are read: what a job wrote before its end is then among them.
        ended = all(job["state"] in FINAL for job in jobs)
        lines = call.store.log_after([job["id"] for job in jobs], last)
        for _, frame in lines:
            if _wanted(frame, call.body):
                await socket.send_json(frame)
        if lines:
            last = lines[-1][0]
            continue
        if ended or not call.body.get("tail", True):
            break
        await asyncio.sleep(INTERVAL)
    await socket.send_json(
        {
            "timestamp": now(),
            "source": "SYSTEM",
            "level": "INFO",
            "job": call.object_id,
            "msg": "END_LOG",
        }
    )


def _jobs(store: Store, job_id: str, options: dict) -> list[dict]:
    """Return the jobs whose lines are wanted: one, or also those below it."""
    job = store.get(job_id)
    return subtree(store, job) if options.get("recurseJobs") else [job]


def _wanted(frame: dict, options: dict) -> bool:
    """Apply the filters that the client leaves to the server."""
    levels, attempt = options.get("levels"), options.get("try")
    return (not levels or frame["level"] in levels) and attempt in (None, frame["jobTry"])
