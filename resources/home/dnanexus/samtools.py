"""Runs samtools, and understands what it says.

The exit status of samtools is not enough: for a region it does not know, or finds ambiguous,
`samtools view -c` prints 0 and exits with 0, and only stderr tells (`find_errors`).
"""

import os
import signal
import subprocess
from collections import deque
from collections.abc import Sequence
from multiprocessing import cpu_count
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import dxpy

from bam_file import BamHeader

# Lines on stderr that are no errors: htslib's warnings; what quickcheck -vv begins with; and that
# idxstats finds no index of a stream, which it then reads as it should.
HARMLESS = (
    "[W::",
    "verbosity set",
    "[E::idx_find_and_load] Could not retrieve index file for '-'",
    'samtools idxstats: fail to load index for "-", reverting to slow method',
)

# What samtools index says of a file that is not sorted, and of an index that cannot be written.
UNSORTED_SIGNS = ("Unsorted positions", "not continuous", "NO_COOR reads not in a single block")
UNWRITTEN_SIGN = "failed to create or write index"

# Bases; a longer contig needs a CSI index ("Sequence Alignment/Map Format Specification", 5).
LONGEST_BAI_CONTIG = 2**29 - 1

MORE_DISK = "Run the applet on an instance type with more storage."


class CommandResult(NamedTuple):
    """What a finished command left behind."""

    stdout: str
    """Bytes that are not UTF-8 are surrogates, as in file names."""
    stderr: str
    exit_code: int


def run_cmd(cmd_arr: Sequence[str]) -> CommandResult:
    """Run a command, given as a list of arguments, and return its output and exit status.

    Raises:
        dxpy.AppError: there is no such program.
    """
    try:
        done = subprocess.run(cmd_arr, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise dxpy.AppError(
            f"{cmd_arr[0]} is not installed or not on PATH. On the platform runSpec.execDepends "
            f"installs it; on your own machine, apt-get install {cmd_arr[0]} does."
        ) from error
    return _make_result(done.stdout, done.stderr, done.returncode)


def run_pipeline(commands: Sequence[Sequence[str]]) -> CommandResult:
    """Run one command, or two of which the second reads what the first one writes.

    Returns:
        The last one's output, what all wrote to stderr, and the first exit status that is not 0.
    """
    if len(commands) == 1:
        return run_cmd(commands[0])
    writer, reader = commands
    # A file, because a pipe that nobody empties would stop the writer when it is full.
    with (
        TemporaryFile() as stderr,
        subprocess.Popen(
            writer, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr
        ) as writing,
    ):
        assert writing.stdout
        done = subprocess.run(reader, stdin=writing.stdout, capture_output=True, check=False)
        writing.stdout.close()
        writing.wait()
        stderr.seek(0)
        return _make_result(
            done.stdout, stderr.read() + done.stderr, writing.returncode or done.returncode
        )


def _make_result(stdout: bytes, stderr: bytes, exit_code: int) -> CommandResult:
    return CommandResult(os.fsdecode(stdout), stderr.decode(errors="backslashreplace"), exit_code)


def find_errors(result: CommandResult) -> list[str]:
    """Return the lines of stderr that tell of an error."""
    lines = [line.strip() for line in result.stderr.splitlines()]
    return [line for line in lines if line and not line.startswith(HARMLESS)]


def find_warnings(result: CommandResult) -> list[str]:
    """Return the lines of stderr that are warnings of htslib."""
    return [line for line in result.stderr.splitlines() if line.startswith("[W::")]


def quote_stderr(result: CommandResult) -> str:
    """Return the first thing a failed samtools said: the cause, where the rest are effects."""
    if result.exit_code < 0:
        return f"samtools was killed by {signal.Signals(-result.exit_code).name}"
    errors = find_errors(result)
    if not errors:
        return f"samtools exits with status {result.exit_code}"
    return f'samtools says: "{errors[0].removesuffix(".")}"'


def get_samtools_version() -> str:
    """Return the first line of samtools --version, such as `samtools 1.19.2`."""
    return run_cmd(["samtools", "--version"]).stdout.partition("\n")[0]


def build_index(bam: Path, header: BamHeader, folder: Path) -> Path:
    """Write a fresh index of the BAM file into a folder; return its path.

    BAI where it will do, because it takes records beyond the end of their contig, too.

    Raises:
        dxpy.AppError: the file is not sorted or is damaged, or the disk is full.
    """
    kind = "csi" if max(header.lengths) > LONGEST_BAI_CONTIG else "bai"
    index = folder / f"fresh.{kind}"
    options = ["-c" if kind == "csi" else "-b", "-@", str(cpu_count() - 1)]
    result = run_cmd(["samtools", "index", *options, "--", str(bam), str(index)])
    if not result.exit_code:
        return index
    said = f"{quote_stderr(result)}."
    if any(sign in result.stderr for sign in UNSORTED_SIGNS):
        raise dxpy.AppError(
            f"{bam.name!r} is not sorted by coordinate. {said} Sort it with samtools sort."
        )
    if result.exit_code < 0:
        raise dxpy.AppError(f"{bam.name!r} could not be indexed. {said} Run the applet again.")
    if UNWRITTEN_SIGN in result.stderr:
        raise dxpy.AppError(
            f"No space left on the disk for the index of {bam.name!r}? {said} {MORE_DISK}"
        )
    raise dxpy.AppError(
        f"{bam.name!r} could not be indexed: {describe_damage(bam)}. {said} "
        "Upload it again, from a copy that samtools view -c reads to its end."
    )


def describe_damage(bam: Path) -> str:
    """Read a BAM file as far as samtools can, and say where that is."""
    command = ["samtools", "view", "-@", str(cpu_count() - 1), "--", str(bam)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as samtools:
        assert samtools.stdout
        last_record = deque(samtools.stdout, maxlen=1)
    if not samtools.returncode:
        return "its records can be read"
    if not last_record:
        return "it is damaged before its first record"
    _, _, region, position, *_ = os.fsdecode(last_record[0]).split("\t")
    return f"it is damaged after a record of region {region!r} at position {int(position):,}"
