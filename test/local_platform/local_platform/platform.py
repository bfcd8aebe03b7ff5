"""The platform: a store, the scheduler of its jobs, and the server of its API, as one thing."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from aiohttp.typedefs import Middleware

from local_platform.address import HOST, page_address
from local_platform.environment import client_environment
from local_platform.http.server import Server
from local_platform.jobs.scheduler import Scheduler
from local_platform.store import tokens
from local_platform.store.database import Store
from local_platform.store.stand_ins import add, read, read_file

Result = TypeVar("Result")


@dataclass(frozen=True)
class Platform:
    """A platform that is being served."""

    store: Store
    scheduler: Scheduler
    environment: dict[str, str]
    """The variables that point dx and dxpy here."""
    page: str
    """Address of its page, which holds the token."""
    _advancing: asyncio.Task[None]

    async def until(self, end: Coroutine[Any, Any, Result]) -> Result:
        """Wait for something while jobs run.

        Returns:
            What it returns.

        Raises:
            Exception: what ended the scheduler, without which no job would ever end.
        """
        waiting = asyncio.create_task(end)
        await asyncio.wait({waiting, self._advancing}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            await asyncio.wait({waiting})
            self._advancing.result()
        return waiting.result()


@contextlib.asynccontextmanager
async def serving(
    state: Path,
    port: int = 0,
    *,
    middlewares: Iterable[Middleware] = (),
    keep_failed: bool = False,
    stand_ins: Iterable[str] = (),
) -> AsyncIterator[Platform]:
    """Serve a platform in a block.

    Args:
        state: folder that it keeps everything in; made if it is not there.
        port: port to listen on; 0: that of last time, or a free one.
        middlewares: see each request before it is answered.
        keep_failed: whether the folders of failed jobs stay, to be entered.
        stand_ins: lines that say which local files stand in for objects of the service.

    Raises:
        BlockingIOError: another platform uses the folder.
        OSError: the folder, the port or a stand-in cannot be used.
        LineError: a line does not have the form of a stand-in.
    """
    async with contextlib.AsyncExitStack() as stack:
        store = Store(state)
        stack.callback(store.close)
        for stand_in in [*read_file(store), *(read(line, Path.cwd()) for line in stand_ins)]:
            add(store, stand_in)
        token = store.setting("user_token")
        tokens.add(store, token)
        configuration = state / "dnanexus_config"
        configuration.mkdir(exist_ok=True)
        scheduler = Scheduler(store, keep_failed)
        server = Server(store, after_change=scheduler.wake, middlewares=middlewares)
        await server.start(port)
        stack.push_async_callback(server.stop)
        advancing = asyncio.create_task(scheduler.serve(HOST, server.port))
        stack.push_async_callback(scheduler.close)
        stack.callback(advancing.cancel)
        yield Platform(
            store,
            scheduler,
            client_environment(HOST, server.port, token, configuration),
            page_address(HOST, server.port, token),
            advancing,
        )


def report_on_stderr(level: int) -> None:
    """Print what the platform reports, from a level on: unknown routes, and its own defects."""
    logging.basicConfig(format="local_platform: %(message)s", level=level)
    # aiohttp answers what is not HTTP, and would log a traceback with it.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
