"""Writes the job's log: lines, warnings and times; explains a full disk or memory."""

import errno
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dxpy

MORE_DISK = "Run the applet on an instance type with more storage."
MORE_MEMORY = "Run the applet on an instance type with more memory."

LIMITS = {
    errno.ENOSPC: ("No space left on the disk", MORE_DISK),
    errno.ENOMEM: ("No memory left", MORE_MEMORY),
}

_warnings: list[str] = []


def log(message: str) -> None:
    """Print a line to the job's log at once; escape characters that the log cannot show."""
    encoding = sys.stdout.encoding or "utf-8"
    line = message.encode(encoding, errors="backslashreplace").decode(encoding)
    print(line, flush=True)


def warn(message: str) -> None:
    """Log a warning; `log_job` repeats it at the end of the log."""
    _warnings.append(f"WARNING: {message}")
    log(_warnings[-1])


@contextmanager
def log_job() -> Iterator[None]:
    """At the end of a job, where people look, repeat its warnings, and log its time."""
    started = time.monotonic()
    _warnings.clear()
    try:
        yield
    finally:
        for warning in _warnings:
            log(warning)
        log(f"Seconds in total: {time.monotonic() - started:.1f}")


@contextmanager
def log_seconds(what: str) -> Iterator[None]:
    """Log how long something took, unless it fails."""
    started = time.monotonic()
    yield
    log(f"Seconds to {what}: {time.monotonic() - started:.1f}")


@contextmanager
def explain_limits(what: str) -> Iterator[None]:
    """Turn the error of a full disk or memory into an AppError.

    Args:
        what: what failed, as in `No space left on the disk for the output files`.

    Raises:
        dxpy.AppError: the disk or the memory is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in LIMITS:
            raise
        limit, advice = LIMITS[error.errno]
        raise dxpy.AppError(f"{limit} for {what}. {advice}") from error


def plural(number: int, noun: str) -> str:
    """Return a number with its noun: `1 record`, `2,000 records`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
