"""Runs a command, and kills it if it deadlocks."""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple

import dxpy

# A process that uses less than this share of CPU time for this many seconds is deadlocked.
STALL_SECONDS = 30.0
STALL_SHARE = 0.005


class CommandResult(NamedTuple):
    """The output and exit status of a command."""

    name: str
    """Program and subcommand, such as `samtools view`."""
    stdout: str
    """Bytes that are not UTF-8 become surrogates, as in file names."""
    stderr: str
    exit_code: int
    """As in subprocess: a negative number is the signal that killed the command."""


def run_cmd(
    cmd_arr: Sequence[str],
    feed: Callable[[BinaryIO], None] | None = None,
    stdout: int | IO[bytes] = subprocess.PIPE,
    may_stall: bool = False,
) -> CommandResult:
    """Run a command, given as a list of arguments, and return its output and exit status.

    Args:
        cmd_arr: the program and its arguments.
        feed: writes the command's standard input; by default the command reads nothing.
        stdout: where the command writes; by default into the result.
        may_stall: whether the command is killed if it uses no CPU time for a while.

    Raises:
        dxpy.AppError: the program is not installed.
        Exception: whatever `feed` raises, apart from a pipe that the command has closed.
    """
    stdin = subprocess.PIPE if feed else subprocess.DEVNULL
    try:
        process = subprocess.Popen(cmd_arr, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)
    except FileNotFoundError as error:
        raise dxpy.AppError(
            f"{cmd_arr[0]} is not installed or not on PATH. On the platform runSpec.execDepends "
            f"installs it; on your own machine, apt-get install {cmd_arr[0]} does."
        ) from error
    with process, ThreadPoolExecutor(1) as executor:
        target, process.stdin = process.stdin, None
        feeding = executor.submit(_feed, feed, target) if feed else None
        output, errors = _communicate(process, STALL_SECONDS if may_stall else None)
        if feeding:
            feeding.result()
    text = errors.decode(errors="backslashreplace")
    # Users know their files by name, not by the job's folders.
    for path in (word for word in cmd_arr if word.startswith("/")):
        text = text.replace(path, Path(path).name)
    return CommandResult(" ".join(cmd_arr[:2]), os.fsdecode(output), text, process.returncode)


def _feed(feed: Callable[[BinaryIO], None], target: Any) -> None:
    """Feed a process. If it ends before it has read everything, its exit status says why."""
    with suppress(BrokenPipeError), target:
        feed(target)


def _communicate(process: "subprocess.Popen[bytes]", patience: float | None) -> tuple[bytes, bytes]:
    """Return what a process writes to stdout and stderr; kill it if it stalls.

    Args:
        process: a running process.
        patience: seconds without CPU time after which the process is killed; None means never.
    """
    used = 0.0
    while True:
        try:
            output, errors = process.communicate(timeout=patience)
            return output or b"", errors
        except subprocess.TimeoutExpired as stall:  # noqa: PERF203
            before, used = used, _read_cpu_seconds(process.pid)
            if used - before < stall.timeout * STALL_SHARE:
                process.kill()


def _read_cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process; without /proc, pretend that it is busy."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return time.monotonic()
