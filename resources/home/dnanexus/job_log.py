"""What a job tells its user: lines in its log, how far it is, and which limit it has met."""

import errno
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import active_children
from typing import Any, TypeVar

import dxpy

MORE_DISK = "Run the applet on an instance type with more storage."
MORE_MEMORY = "Run the applet on an instance type with more memory."

PROGRESS_SECONDS = 5

# What the operating system refuses if the machine is too small, and what helps.
LIMITS = {
    errno.ENOSPC: ("No space left on the disk", MORE_DISK),
    errno.ENOMEM: ("No memory left", MORE_MEMORY),
    errno.EAGAIN: ("No more processes can be started", MORE_MEMORY),
    errno.EMFILE: ("Too many files are open", "Run the applet where ulimit -n is larger."),
    errno.ENFILE: ("Too many files are open", "Run the applet where ulimit -n is larger."),
}

Result = TypeVar("Result")


@contextmanager
def explain_limits(what: str) -> Iterator[None]:
    """Turn an error of a machine that is too small into one for the user.

    Args:
        what: cannot be done then, as in `No space left on the disk for the output files`.

    Raises:
        dxpy.AppError: the disk is full, or another limit is met.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in LIMITS:
            raise
        limit, remedy = LIMITS[error.errno]
        raise dxpy.AppError(f"{limit} for {what}. {remedy}") from error


def log(message: str) -> None:
    """Print one line to the job's log, at once; what the log cannot show is escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    line = message.encode(encoding, errors="backslashreplace").decode(encoding)
    print(line, flush=True)


@contextmanager
def log_seconds(what: str) -> Iterator[None]:
    """Log how long something took, once it is done."""
    started = time.monotonic()
    yield
    log(f"Seconds to {what}: {time.monotonic() - started:.1f}")


def follow_progress(pending: Any, work: Sequence[int]) -> Iterator[Any]:
    """Yield a pool's results as they come, and log every few seconds how far it is.

    Args:
        pending: what Pool.imap returns.
        work: how much of the file each call reads, in bytes.

    Raises:
        dxpy.AppError: a process of the pool was killed; its result would never come.
    """
    workers = {process.pid for process in active_children()}
    done = 0
    logged = time.monotonic()
    for number, part in enumerate(work):
        while True:
            try:
                result = pending.next(timeout=PROGRESS_SECONDS)
                break
            except multiprocessing.TimeoutError:
                if {process.pid for process in active_children()} != workers:
                    raise dxpy.AppError(
                        f"A counting process was killed, perhaps for want of memory. {MORE_MEMORY}"
                    ) from None
            if time.monotonic() - logged >= PROGRESS_SECONDS:
                logged = time.monotonic()
                share = done / (sum(work) or 1)
                log(f"{number:,} of {len(work):,} calls done, {share:.0%} of the file")
        done += part
        yield result
