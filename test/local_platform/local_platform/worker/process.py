"""The processes of jobs: started with their output in the log, and killed with all they started."""

import codecs
import contextlib
import math
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

Log = Callable[[str, str, list[str]], None]
"""Given a source (APP, SYSTEM), a level (STDOUT, INFO, ...) and lines; called from any thread."""

LONGEST_LINE = 8000
# How often a running process is looked at for a stop or its time limit, in seconds.
INTERVAL = 0.1
# How long the rest of a dead job's output is waited for, in seconds.
PATIENCE = 10


def run(
    command: list[str],
    environment: dict[str, str],
    folder: Path,
    log: Log,
    stopped: threading.Event,
    timeout: float = math.inf,
) -> int:
    """Run a job's command to its end; return its exit status (negative: the signal).

    The environment must hold DX_JOB_ID, by which the processes are found again.

    Raises:
        subprocess.TimeoutExpired: it was stopped, or ran longer than the timeout, in seconds.
    """
    end = time.monotonic() + timeout
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
        while not stopped.is_set() and time.monotonic() < end:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(INTERVAL)
        raise subprocess.TimeoutExpired(command, timeout)
    finally:
        # A child that was left behind would hold the pipes open, and outlive the job.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        kill_job(environment["DX_JOB_ID"])
        process.wait()
        for pump in pumps:
            # A process that hid its environment too may hold the pipe for ever.
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


def kill_job(job_id: str) -> None:
    """Kill every process of a job, also those that made a session of their own.

    They are known by their environment, so that those left by a killed platform are found too.
    """
    mark = f"DX_JOB_ID={job_id}".encode()
    while found := [process for process in Path("/proc").glob("[0-9]*") if _has(process, mark)]:
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)


def _has(process: Path, mark: bytes) -> bool:
    """Tell whether a variable stands in a process's environment."""
    try:
        return mark in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
