"""Runs samtools, and understands what it says.

The exit status of samtools is not enough: for a region it does not know, or finds ambiguous,
`samtools view -c` prints 0 and exits with 0, and only stderr tells (`find_errors`).
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, NamedTuple

import dxpy

from bam_file import Bam, BamFormatError, Stretch, copy_stretches, open_bam
from bam_index import BamCutError, BamIndex, BamIndexError, read_index
from job_log import MORE_DISK, MORE_MEMORY, log, log_seconds
from partial_bam import BamFile, hold_whole

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

# Bases; a longer region needs a CSI index ("Sequence Alignment/Map Format Specification", 5).
LONGEST_BAI_REGION = 2**29 - 1

# On some files, most of them damaged, samtools index -@ waits for itself for ever (1.16.1). A
# process that uses less CPU time than this share of so many seconds is taken for one that does.
STALL_SECONDS = 30
STALL_SHARE = 0.005

# htslib takes what follows this in a name for the name of an index.
INDEX_SEPARATOR = "##idx##"


class CommandResult(NamedTuple):
    """What a finished command left behind."""

    stdout: str
    """Bytes that are not UTF-8 are surrogates, as in file names."""
    stderr: str
    exit_code: int
    stalled: bool = False
    """Whether it was killed because it made no progress."""


def run_cmd(cmd_arr: Sequence[str]) -> CommandResult:
    """Run a command, given as a list of arguments, and return its output and exit status.

    Raises:
        dxpy.AppError: there is no such program.
    """
    return run_pipeline([cmd_arr])


def run_pipeline(
    commands: Sequence[Sequence[str]], feed: Callable[[BinaryIO], None] | None = None
) -> CommandResult:
    """Run commands of which each reads what the one before writes.

    Args:
        commands: lists of arguments.
        feed: writes what the first command reads; by default it reads nothing.

    Returns:
        The last one's output, what all wrote to stderr, and the first exit status that is not 0.

    Raises:
        dxpy.AppError: there is no such program.
    """
    processes: list[subprocess.Popen[bytes]] = []
    source: Any = subprocess.PIPE if feed else subprocess.DEVNULL
    said_end, target = os.pipe()
    # Each pipe has a thread of its own, because one that nobody empties stops a command.
    with os.fdopen(said_end, "rb") as said, ThreadPoolExecutor(3) as executor:
        with os.fdopen(target, "wb") as stderr:
            for command in commands:
                processes.append(_start(command, source, stderr))
                if len(processes) > 1:
                    source.close()
                source = processes[-1].stdout
        with source:
            reading = [executor.submit(pipe.read) for pipe in (source, said)]
            feeding = executor.submit(_feed, feed, processes[0].stdin) if feed else None
            stalled = _wait(processes, reading)
            stdout, stderr_text = (future.result() for future in reading)
    exit_code = next((one.returncode for one in processes if one.returncode), 0)
    if feeding and (damage := feeding.exception()):
        exit_code, stderr_text = exit_code or 1, f"{damage}\n".encode() + stderr_text
    text = stderr_text.decode(errors="backslashreplace")
    # People know their files by name, not by where the job keeps them.
    for path in (word for command in commands for word in command if word.startswith("/")):
        text = text.replace(path, Path(path).name)
    return CommandResult(os.fsdecode(stdout), text, exit_code, stalled)


def _start(command: Sequence[str], stdin: Any, stderr: BinaryIO) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr)
    except FileNotFoundError as error:
        raise dxpy.AppError(
            f"{command[0]} is not installed or not on PATH. On the platform runSpec.execDepends "
            f"installs it; on your own machine, apt-get install {command[0]} does."
        ) from error


def _feed(feed: Callable[[BinaryIO], None], target: Any) -> None:
    """Feed a process. If it ends before it has all, its exit status says why."""
    with suppress(BrokenPipeError), target:
        feed(target)


def _wait(processes: Sequence[subprocess.Popen[bytes]], reading: Sequence[Future[bytes]]) -> bool:
    """Wait for processes to end, and kill them if none makes progress; return whether they were."""
    before: dict[int, float] = {}
    least = STALL_SECONDS * STALL_SHARE
    while not _end_in_time(processes, reading):
        running = [process.pid for process in processes if process.poll() is None]
        used = {pid: _read_cpu_seconds(pid) for pid in running}
        if used.keys() == before.keys() and all(used[pid] - before[pid] < least for pid in used):
            for process in processes:
                process.kill()
                process.wait()
            return True
        before = used
    return False


def _end_in_time(
    processes: Sequence[subprocess.Popen[bytes]], reading: Sequence[Future[bytes]]
) -> bool:
    """Wait for processes, but not for ever; return whether they have ended.

    The end of their output comes first: waiting for a process with a time limit means to ask now
    and then, up to 50 ms late, which many short calls would feel.
    """
    if wait(reading, timeout=STALL_SECONDS).not_done:
        return False
    try:
        for process in processes:
            process.wait(timeout=STALL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _read_cpu_seconds(pid: int) -> float:
    """Return the CPU time a process has used; where the system does not say, it seems busy."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return time.monotonic()


def find_errors(result: CommandResult) -> list[str]:
    """Return the lines of stderr that tell of an error."""
    lines = [line.strip() for line in result.stderr.split("\n")]
    return [line for line in lines if line and not line.startswith(HARMLESS)]


def find_warnings(result: CommandResult) -> list[str]:
    """Return the lines of stderr that are warnings of htslib."""
    return [line for line in result.stderr.split("\n") if line.startswith("[W::")]


def is_killed(result: CommandResult) -> bool:
    """Tell whether a command did not end by itself."""
    return result.stalled or result.exit_code < 0


def quote_stderr(result: CommandResult) -> str:
    """Return the first thing a failed samtools said: the cause, where the rest are effects."""
    if result.stalled:
        return f"samtools made no progress for {STALL_SECONDS:g} seconds"
    if result.exit_code < 0:
        number = -result.exit_code
        known = number in set(signal.Signals)
        return (
            f"samtools was killed by {signal.Signals(number).name if known else f'signal {number}'}"
        )
    errors = find_errors(result)
    if not errors:
        return f"samtools exits with status {result.exit_code}"
    return f'samtools says: "{errors[0].removesuffix(".")}"'


def get_samtools_version() -> str:
    """Return the first line of samtools --version, such as `samtools 1.19.2`."""
    return run_cmd(["samtools", "--version"]).stdout.partition("\n")[0]


def verify_bam(file: BamFile) -> Bam:
    """Verify that a file is a BAM file, and whole as far as its two ends show.

    Raises:
        dxpy.AppError: it is something else, or is cut off.
    """
    path, source = (file, None) if isinstance(file, Path) else (file.path, file)
    try:
        bam = open_bam(hide_separator(path), source)._replace(name=path.name)
    except BamFormatError as error:
        raise dxpy.AppError(
            f"{path.name!r} {error}. Give a BAM file sorted by coordinate; samtools sort makes one "
            "of SAM, BAM or CRAM."
        ) from error
    result = run_cmd(["samtools", "quickcheck", "-u", "-vv", "--", str(bam.path)])
    if result.exit_code:
        raise dxpy.AppError(
            f"{bam.name!r} is cut off or damaged. {quote_stderr(result)}. "
            "Upload it again, from a copy that passes samtools quickcheck."
        )
    return bam


def hide_separator(path: Path) -> Path:
    """Return a path of the same file that htslib takes as it is, whatever the file is called."""
    if INDEX_SEPARATOR not in path.name:
        return path
    safe = path.with_name(path.name.replace(INDEX_SEPARATOR, "__idx__"))
    if not safe.exists():
        safe.symlink_to(path.name)
    return safe


def choose_index(bam: Bam, path: Path | None, cpus: int) -> BamIndex:
    """Return what the given index says if it describes the BAM, else what a fresh one says.

    Raises:
        dxpy.AppError: the index shows that the BAM was cut off, or none can be made.
    """
    reason = "none was given"
    if path:
        try:
            return read_index(path, bam)
        except BamCutError as error:
            raise dxpy.AppError(
                f"{bam.name!r} was cut off: it is as its index {path.name!r} says up to its end, "
                f"but {error}. Upload it again, or count what is there without the index."
            ) from error
        except BamIndexError as error:
            reason = f"{path.name!r} is not used: {error}"
            log(f"WARNING: the index {reason}")
    log(f"Building an index of {bam.name!r}; samtools index reads the whole file once")
    with hold_whole(bam) as whole, log_seconds("build the index"):
        return build_index(whole, f"fresh, because {reason}", cpus)


def build_index(bam: Bam, origin: str, cpus: int) -> BamIndex:
    """Have samtools make an index of a BAM file, and read it.

    BAI where it will do, because it takes records beyond the end of their region, too.

    Args:
        bam: the file.
        origin: why it is made.
        cpus: how many threads may be used.

    Raises:
        dxpy.AppError: the file is not sorted or is damaged, or the disk is full.
    """
    kind = "csi" if max(bam.lengths) > LONGEST_BAI_REGION else "bai"
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"fresh.{kind}"
        for threads in (cpus - 1, 0):
            options = ["-c" if kind == "csi" else "-b", "-@", str(threads)]
            result = run_cmd(["samtools", "index", *options, "--", str(bam.path), str(path)])
            if not result.stalled:
                break
        if result.exit_code:
            raise _explain_failed_index(bam, result)
        try:
            return read_index(path, bam)._replace(origin=origin, data=path.read_bytes())
        except BamIndexError as error:
            raise dxpy.AppError(
                f"{bam.name!r} and the index that samtools makes of it disagree: {error}. "
                "Sort the file anew with samtools sort."
            ) from error


def _explain_failed_index(bam: Bam, result: CommandResult) -> dxpy.AppError:
    said = f"{quote_stderr(result)}."
    if any(sign in result.stderr for sign in UNSORTED_SIGNS):
        return dxpy.AppError(
            f"{bam.name!r} is not sorted by coordinate. {said} Sort it with samtools sort."
        )
    if is_killed(result):
        return dxpy.AppError(f"{bam.name!r} could not be indexed. {said} {MORE_MEMORY}")
    if UNWRITTEN_SIGN in result.stderr:
        return dxpy.AppError(
            f"No space left on the disk for the index of {bam.name!r}? {said} {MORE_DISK}"
        )
    damage = find_damage(bam, [Stretch(bam.first_record, bam.size << 16)])
    return dxpy.AppError(
        f"{bam.name!r} could not be indexed: {damage}. {said} "
        "Upload it again, from a copy that samtools view -c reads to its end."
    )


def explain_failed_call(
    bam: Bam, what: str, stretches: Sequence[Stretch], result: CommandResult
) -> dxpy.AppError:
    """Return the error for a call that failed.

    Args:
        bam: the file counted.
        what: the call counted, as a message names it.
        stretches: the parts of the file that it read.
        result: what it left behind.
    """
    failure = f"{bam.name!r} could not be counted in {what}"
    said = f"{quote_stderr(result)}."
    if is_killed(result):
        return dxpy.AppError(f"{failure}. {said} {MORE_MEMORY}")
    return dxpy.AppError(
        f"{failure}: {find_damage(bam, stretches)}. {said} "
        "Upload it again, from a copy that samtools view -c reads to its end."
    )


def find_damage(bam: Bam, stretches: Sequence[Stretch]) -> str:
    """Read parts of a BAM file as far as samtools can, and say where that is."""
    result = run_pipeline(
        [["samtools", "view", "-"], ["tail", "-n", "1"]],
        feed=partial(copy_stretches, bam, stretches),
    )
    if not result.exit_code:
        return "its records can be read"
    if not result.stdout:
        return "it is damaged before its first record"
    _, _, region, position, *_ = result.stdout.split("\t")
    return f"it is damaged after a record of region {region!r} at position {int(position):,}"
