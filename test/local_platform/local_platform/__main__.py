"""Command line: `dx-local-platform [--state DIR] [--port N] [--web] [-- COMMAND ...]`.

`python -m local_platform` is the same.
"""

import signal

# Until there is something to end in order, an interrupt ends this at once: no traceback greets who
# presses Ctrl-C while the libraries are loaded.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import asyncio
import contextlib
import logging
import os
import shlex
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from local_platform import __version__
from local_platform.address import open_in_browser
from local_platform.environment import is_foreign
from local_platform.platform import report_on_stderr, serving
from local_platform.store import stand_ins
from local_platform.worker import enter

PATIENCE = 10
"""Seconds that a command may take to end when the platform can no longer serve it."""


async def serve(state: Path, options: argparse.Namespace) -> int:
    """Serve until the command ends, or without one until interrupted; return an exit status."""
    async with serving(
        state, options.port, keep_failed=options.keep_failed, stand_ins=options.stand_in
    ) as platform:
        if not options.command:
            print_exports(platform.environment)
        if options.web:
            print(f"# In a browser: {platform.page}", flush=True)
            open_in_browser(platform.page)
        if options.command:
            return await platform.until(run(options.command, platform.environment))
        ready = partial(print, "# Serving until interrupted.", flush=True)
        await platform.until(until_signalled(ready))
        return 0


async def run(command: list[str], variables: dict[str, str]) -> int:
    """Run a command against the platform and return its exit status."""
    kept = {name: value for name, value in os.environ.items() if not is_foreign(name)}
    # Where nothing else is called dx, it is the one that was installed with the platform.
    path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{Path(sys.executable).parent}"
    process = await asyncio.create_subprocess_exec(*command, env=kept | variables | {"PATH": path})
    loop = asyncio.get_running_loop()
    # An interrupt from the terminal reaches the command too: it decides what to do.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, process.send_signal, number)
    try:
        status = await process.wait()
    except asyncio.CancelledError:
        process.terminate()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), PATIENCE)
        if process.returncode is None:
            process.kill()
        raise
    return status if status >= 0 else 128 - status


def print_exports(variables: dict[str, str]) -> None:
    """Print what to paste into a shell."""
    for name in filter(is_foreign, sorted(os.environ)):
        print(f"unset {name}")
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")


async def until_signalled(ready: Callable[[], None]) -> None:
    """Wait for a signal to end, once everything is ready for it."""
    signalled = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, signalled.set)
    ready()
    await signalled.wait()


def main() -> int:
    """Read the command line, and do what it says; return an exit status."""
    if sys.argv[1:2] == ["enter"]:
        return enter.main(sys.argv[2:])
    parser = argparse.ArgumentParser(
        prog="dx-local-platform",
        description="DNAnexus on 127.0.0.1, for the real dx and dxpy.",
        epilog="With a command, serves until it ends; without one, prints the variables to set."
        " `dx-local-platform enter JOB` looks into a failed job.",
    )
    parser.add_argument("--state", type=Path, help="folder to keep everything in (default: none)")
    parser.add_argument(
        "--port", type=int, default=0, help="port (default: that of last time, or a free one)"
    )
    parser.add_argument("--web", action="store_true", help="open the platform's page in a browser")
    parser.add_argument(
        "--keep-failed", action="store_true", help="keep the folders of failed jobs, to enter them"
    )
    parser.add_argument(
        "--stand-in",
        metavar="'ID = PATH'",
        action="append",
        default=[],
        help="use this local file for file-xxxx, record-xxxx (an asset) or project-xxxx:/name;"
        " without a path, nothing",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("command", nargs="*", help="command to run, after --")
    options = parser.parse_args()
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # The command itself reports what it could not do.
    report_on_stderr(logging.ERROR if options.command else logging.WARNING)
    with contextlib.ExitStack() as stack:
        state = options.state
        if state is None:
            state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="local_platform_")))
        try:
            return asyncio.run(serve(state.expanduser().absolute(), options))
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
        except BlockingIOError:
            parser.error(f"{state} is in use by another local platform")
        except (OSError, stand_ins.LineError) as error:
            parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
