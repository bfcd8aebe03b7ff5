"""Verifies BAM files with samtools, and turns its messages into errors.

The exit status of samtools is not enough: for a region it does not know, or finds ambiguous,
`samtools view -c` prints 0 and exits with 0, and only stderr tells (`find_errors`).
"""

import re
import signal
import subprocess
from collections.abc import Sequence
from functools import partial

import dxpy

from bam_file import (
    Bam,
    BamFormatError,
    Chunk,
    DamagedBamError,
    Storage,
    copy_chunks,
    find_second_header,
    open_bam,
)
from job_log import MORE_MEMORY, log
from processes import CommandResult, run_cmd

# Lines of htslib that are not errors: warnings, notes, traces.
NOTE = re.compile(r"\[[A-DF-Z]::")
WARNING_SIGN = "[W::"

# What marks a line as an error, even if the exit status is 0. Unknown lines are not errors:
# otherwise a new message of a later samtools version would fail every job.
ERROR_SIGN = re.compile(
    r"\[E::|error|fail|invalid|unknown|ambiguous|corrupt|truncated|cannot|could not|unable", re.I
)

# What samtools says about a file that is not sorted.
UNSORTED_SIGNS = (
    "Unsorted positions",
    "not continuous",
    "NO_COOR reads not in a single block",
    "not position sorted",
)

UPLOAD_AGAIN = "Upload it again, from a copy that samtools view -c reads to its end."

# In a file's name, htslib takes what follows this as the name of the index.
INDEX_SEPARATOR = "##idx##"


def get_samtools_version() -> str:
    """Return the first line of samtools --version, such as `samtools 1.19.2`."""
    return run_cmd(["samtools", "--version"]).stdout.partition("\n")[0]


def verify_bam(storage: Storage) -> Bam:
    """Verify that a file is a BAM file, with a readable header and an end-of-file block.

    Raises:
        dxpy.AppError: the file has another format or is truncated, or samtools misreads its name.
    """
    name = storage.path.name
    if INDEX_SEPARATOR in name:
        raise dxpy.AppError(
            f"{name!r}: samtools takes what follows {INDEX_SEPARATOR} in a file's name for the "
            "name of its index. Rename the file."
        )
    try:
        bam = open_bam(storage)
    except DamagedBamError as error:
        raise dxpy.AppError(f"{name!r} could not be read: {error}. {UPLOAD_AGAIN}") from error
    except BamFormatError as error:
        raise dxpy.AppError(
            f"{name!r} {error}. Give a complete BAM file; samtools sort writes one from SAM or "
            "CRAM."
        ) from error
    result = run_cmd(["samtools", "quickcheck", "-u", "--", str(storage.path)])
    verify_not_killed(result, f"{name!r} could not be checked")
    if result.exit_code:
        raise dxpy.AppError(
            f"{name!r} is truncated or damaged ({quote(result)}). "
            "Upload it again, from a copy that passes samtools quickcheck."
        )
    return bam


def find_errors(result: CommandResult) -> list[str]:
    """Return the lines of stderr that are errors, whatever the exit status."""
    return [line for line in _split_messages(result) if ERROR_SIGN.search(line)]


def find_warnings(result: CommandResult) -> list[str]:
    """Return the lines of stderr that are warnings of htslib."""
    return [line for line in result.stderr.split("\n") if line.startswith(WARNING_SIGN)]


def _split_messages(result: CommandResult) -> list[str]:
    """Return the lines of stderr that are not notes.

    samtools idxstats says that what it reads from a pipe has no index, and then counts without one.
    """
    is_idxstats = result.name == "samtools idxstats"
    return [
        line.strip().removeprefix(f"{result.name}: ")
        for line in result.stderr.split("\n")
        if line.strip() and not NOTE.match(line) and not (is_idxstats and "index" in line)
    ]


def quote(result: CommandResult) -> str:
    """Return the first message of a command, which is the cause; the others are effects."""
    for message in _split_messages(result):
        # What follows is of an earlier error of the system, or a place in a pipe.
        words = re.sub(r"(: No such file or directory|: Numerical .*| at offset \d+)$", "", message)
        return f'{result.name}: "{words.removesuffix(".")}"'
    return f"{result.name} exits with status {result.exit_code}"


def verify_not_killed(result: CommandResult, failure: str) -> None:
    """Verify that a command ended by itself.

    Raises:
        dxpy.AppError: a signal ended it; the message begins with `failure`.
    """
    if result.exit_code == -signal.SIGKILL:
        raise dxpy.AppError(
            f"{failure}: samtools was killed, probably because it ran out of memory. {MORE_MEMORY}"
        )
    if result.exit_code < 0:
        raise dxpy.AppError(
            f"{failure}: {get_samtools_version()} crashed (signal {-result.exit_code}). "
            "Check that samtools view -c reads the file to its end."
        )


def explain_failure(
    bam: Bam, storage: Storage, chunks: Sequence[Chunk], result: CommandResult, failure: str
) -> dxpy.AppError:
    """Return the error for a samtools command that failed on some chunks of a BAM.

    Args:
        bam: the file.
        storage: in which these chunks are readable.
        chunks: what samtools read.
        result: of the command.
        failure: what failed, as the beginning of a sentence.
    """
    verify_not_killed(result, failure)
    if any(sign in result.stderr for sign in UNSORTED_SIGNS):
        return dxpy.AppError(
            f"{bam.name!r} is not sorted by coordinate ({quote(result)}). "
            "Sort it with samtools sort."
        )
    log(f"{failure}. Reading it again to find the damage")
    with storage.open() as file:
        headers = [find_second_header(file, chunk) for chunk in chunks]
    for address in filter(None, headers):
        return dxpy.AppError(
            f"{failure}: a second BAM header follows at byte {address:,} ({quote(result)}). "
            "Join BAM files with samtools merge or samtools cat, not with cat."
        )
    if damage := _find_damage(bam, storage, chunks):
        return dxpy.AppError(f"{failure}: {damage} ({quote(result)}). {UPLOAD_AGAIN}")
    return dxpy.AppError(
        f"{failure}, although {get_samtools_version()} can read every record ({quote(result)}). "
        "Run the applet again; if it fails again, rewrite the file with samtools sort."
    )


def _find_damage(bam: Bam, storage: Storage, chunks: Sequence[Chunk]) -> str | None:
    """Read chunks as far as samtools can, and say where that ends; None if at their end."""
    with subprocess.Popen(
        ["tail", "-n", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as tail:
        assert tail.stdin
        try:
            feed = partial(copy_chunks, bam, storage, chunks)
            result = run_cmd(["samtools", "view", "-"], feed, stdout=tail.stdin)
        except DamagedBamError as error:
            return str(error)
        last_line = tail.communicate()[0].decode(errors="backslashreplace")
    if not result.exit_code:
        return None
    fields = last_line.split("\t")
    # The last line is incomplete, so it does not say where.
    if len(fields) < 11 or not last_line.endswith("\n"):
        return "it is damaged"
    if fields[2] == "*":
        return "it is damaged after an unplaced read"
    return f"it is damaged after a record of region {fields[2]!r} at position {int(fields[3]):,}"
