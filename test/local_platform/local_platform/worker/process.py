"""The processes of jobs: started with their output in the log, and ended with all they started."""

import codecs
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

Log = Callable[[str, str, list[str]], None]
"""Given a source (APP, SYSTEM), a level (STDOUT, INFO, ...) and lines; called from any thread."""

LONGEST_LINE = 8000
SUPERVISE = Path(__file__).with_name("supervise.py")
# How often a running process is looked at for a stop or its time limit, in seconds.
INTERVAL = 0.1
# How long the end of a job's processes, and the rest of their output, are waited for, in seconds.
PATIENCE = 10


class OverError(Exception):
    """The job was stopped, or has used up its time."""


class Span:
    """The time that a job may run, in seconds: it can be stopped before."""

    def __init__(self, seconds: float) -> None:
        """Begin now."""
        self._end = time.monotonic() + seconds
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End it now; called from any thread."""
        self._stopped.set()

    def check(self) -> None:
        """Raise OverError once it is over."""
        if self._stopped.is_set() or time.monotonic() > self._end:
            raise OverError


def supervised(command: list[str], plan: Path | None = None) -> list[str]:
    """Return a command that runs another one so that it leaves no process behind."""
    own = [sys.executable, "-I", "-S", str(SUPERVISE), str(os.getpid())]
    return [*own, str(plan) if plan else "", *command]


def run(command: list[str], environment: dict[str, str], folder: Path, log: Log, span: Span) -> int:
    """Run a supervised command to its end, and return its exit status (from 128 on: a signal).

    Raises:
        OverError: it was ended before.
    """
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    pumps = [
        threading.Thread(target=_pump, args=(stream, level, log), daemon=True)
        for stream, level in ((process.stdout, "STDOUT"), (process.stderr, "STDERR"))
    ]
    for pump in pumps:
        pump.start()
    try:
        while True:
            span.check()
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(INTERVAL)
    finally:
        for end in (process.terminate, process.kill):
            end()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
        # Without /proc, the supervisor does not find what the command left behind.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        for pump in pumps:
            # Without namespaces, a job can kill its supervisor, and go on.
            pump.join(PATIENCE)


def _pump(stream: BinaryIO, level: str, log: Log) -> None:
    """Send a stream to the log line by line, in bounded memory."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    with stream:
        while chunk := os.read(stream.fileno(), 65536):
            *lines, rest = (rest + decoder.decode(chunk)).split("\n")
            if len(rest) > LONGEST_LINE:
                lines, rest = [*lines, rest], ""
            if lines:
                log("APP", level, [line[:LONGEST_LINE].rstrip("\r") for line in lines])
    if rest:
        log("APP", level, [rest])
