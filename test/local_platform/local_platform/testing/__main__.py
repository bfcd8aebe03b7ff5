"""`python -m local_platform.testing STATE PORT`: a platform for tests, with faults on request.

It answers each line of its standard input with one on its standard output, and ends with its input:
so it ends with the process that started it, even when that is killed.
"""

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path

from local_platform.platform import Platform, report_on_stderr, serving
from local_platform.store import stand_ins
from local_platform.testing import COMPLAINT
from local_platform.testing.faults import Injector


class Complaints(logging.Formatter):
    """Marks what the platform reports: standard error also has warnings of Python, for example."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        return COMPLAINT + json.dumps(super().format(record))


async def serve(state: Path, port: int) -> None:
    """Serve until standard input ends."""
    injector = Injector()
    async with serving(state, port, middlewares=[injector.spoil]) as platform:
        injector.platform = platform
        await platform.until(obey(platform, injector))


async def obey(platform: Platform, injector: Injector) -> None:
    """Say how to reach the platform, then carry out one order after the other."""
    loop, orders = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    print(json.dumps(platform.environment), flush=True)
    while line := await orders.readline():
        order = json.loads(line)
        if isinstance(order, str):
            stand_ins.add(platform.store, stand_ins.read(order, Path.cwd()))
            print("null", flush=True)
        else:
            print(json.dumps(injector.obey(order)), flush=True)


if __name__ == "__main__":
    # An interrupt is for the tests, which then end their platform.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    report_on_stderr(logging.WARNING)
    logging.getLogger().handlers[0].setFormatter(Complaints())
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
