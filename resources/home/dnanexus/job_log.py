"""What a job tells its user: lines in its log, and the full disk."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import dxpy

MORE_DISK = "Run the applet on an instance type with more storage."


@contextmanager
def explain_full_disk(what: str) -> Iterator[None]:
    """Turn the error of writing to a full disk into one for the user.

    Raises:
        dxpy.AppError: the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise dxpy.AppError(f"No space left on the disk for {what}. {MORE_DISK}") from error


def log(message: str) -> None:
    """Print one line to the job's log, at once."""
    print(message, flush=True)
