"""How a job's program ended: with an output, or for a reason."""

import signal
from dataclasses import dataclass, field
from pathlib import Path

from local_platform.strict_json import LARGEST_TEXT, Hash, parse
from local_platform.worker import private_root
from local_platform.worker.namespace import HOME
from local_platform.worker.private_root import UnsafeError

LONGEST_REASON = 1000


@dataclass(frozen=True)
class Outcome:
    """An output, or the reason of a failure."""

    output: Hash = field(default_factory=dict)
    reason: str | None = None
    message: str = ""


def of_program(root: Path, status: int, last_words: str) -> Outcome:
    """Return what a program left; `job_error.json` counts only if the program failed.

    Args:
        root: the job's root.
        status: exit status of the program.
        last_words: the last line of its standard error.
    """
    try:
        if status == 0:
            return Outcome(output=_read_json(root, "job_output.json") or {})
        error = (_read_json(root, "job_error.json") or {}).get("error")
    except (ValueError, UnsafeError) as problem:
        return Outcome(reason="OutputError", message=str(problem))
    message = f"The program ended with {_ending(status)}{why(last_words)}"
    if not isinstance(error, dict):
        return Outcome(reason="AppInternalError", message=message)
    reason = "AppError" if error.get("type") == "AppError" else "AppInternalError"
    return Outcome(reason=reason, message=str(error.get("message", message)))


def _ending(status: int) -> str:
    """Return an exit status in words; as in a shell, those from 128 on stand for signals."""
    try:
        return f"exit status {status} ({signal.Signals(status - 128).name})"
    except ValueError:
        return f"exit status {status}"


def why(last_words: str) -> str:
    """Return the end of a sentence on a program that failed."""
    words = last_words.strip()[:LONGEST_REASON]
    return f": {words}" if words else ", and wrote nothing to standard error; see its log"


def _read_json(root: Path, name: str) -> Hash | None:
    """Return the hash that a file in the home folder holds, or None without the file.

    Raises:
        UnsafeError: it is not a regular file.
        ValueError: it does not hold a hash.
    """
    text = private_root.read(root, f"{HOME}/{name}", LARGEST_TEXT)
    if text is None:
        return None
    try:
        content = parse(text)
    except ValueError as error:
        raise ValueError(f"{name} is not JSON that can be kept: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{name} is not a hash")
    return content
