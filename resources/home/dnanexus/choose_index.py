"""Chooses the index that says where to cut the BAM file: the given one, or a new one."""

from multiprocessing import cpu_count
from pathlib import Path
from tempfile import TemporaryDirectory

import dxpy

from bam_file import Bam, Storage
from bam_index import BamIndexError, ChosenIndex, TruncatedBamError, read_index
from job_log import MORE_DISK, log, log_seconds, warn
from processes import CommandResult, run_cmd
from samtools import explain_failure, get_samtools_version, quote

# Bases; a longer region needs a CSI index ("Sequence Alignment/Map Format Specification", 5).
LONGEST_BAI_REGION = 2**29 - 1


def choose_index(bam: Bam, given: Path | None) -> ChosenIndex:
    """Return the given index if it matches the BAM, else one that samtools builds.

    Raises:
        dxpy.AppError: the index shows that the BAM is truncated, or none can be built.
    """
    problem = ""
    if given:
        try:
            return ChosenIndex(read_index(given, bam), given.name)
        except TruncatedBamError as error:
            raise dxpy.AppError(
                f"{bam.name!r} is truncated: its index {given.name!r} lists {error.listed}. "
                "Upload the file again, or count what is left of it without the index."
            ) from error
        except BamIndexError as error:
            problem = f"{given.name!r} does not match {bam.name!r}: {error}"
            warn(f"The index {problem}. A new index is used instead.")
    log(f"Building an index of {bam.name!r}: samtools index reads the whole file once")
    with bam.fetch([bam.records], "the whole file") as storage, log_seconds("build the index"):
        return _build_index(bam, storage)._replace(
            origin="replaced" if given else "fresh", problem=problem
        )


def explain_mismatch(bam: Bam, index: ChosenIndex | None, mismatch: str) -> dxpy.AppError:
    """Return the error for an index that does not match its BAM; None is one being built."""
    if index and index.origin == "given":
        return dxpy.AppError(
            f"The index {index.name!r} does not match {bam.name!r}: {mismatch}. "
            "Run the applet again without it."
        )
    return dxpy.AppError(
        f"The index that {get_samtools_version()} built does not match {bam.name!r}: {mismatch}. "
        "Rewrite the file with samtools sort."
    )


def _build_index(bam: Bam, storage: Storage) -> ChosenIndex:
    """Build an index of a BAM file, and read it.

    It is a BAI if possible, because a BAI can hold records beyond the end of their region.

    Args:
        bam: the file.
        storage: in which the whole file is readable.

    Raises:
        dxpy.AppError: the file is not sorted or is damaged, or the disk is full.
    """
    kind = "csi" if max(bam.lengths) > LONGEST_BAI_REGION else "bai"
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"fresh.{kind}"
        command = ["samtools", "index", "-c" if kind == "csi" else "-b"]
        # With more than one thread, samtools deadlocks (1.16.1) or fails (1.21) on some files that
        # one thread reads to the end.
        for threads in (cpu_count() - 1, 0):
            options = ["-@", str(threads), "--", str(storage.path), str(path)]
            result = run_cmd([*command, *options], may_stall=threads > 0)
            if not result.exit_code:
                break
            # If the index file exists, samtools takes it for a second BAM file to index.
            path.unlink(missing_ok=True)
        if result.exit_code:
            raise _explain_failed_index(bam, storage, result)
        try:
            return ChosenIndex(read_index(path, bam), path.name, data=path.read_bytes())
        except BamIndexError as error:
            raise explain_mismatch(bam, None, str(error)) from error


def _explain_failed_index(bam: Bam, storage: Storage, result: CommandResult) -> dxpy.AppError:
    if "cannot be stored in a" in result.stderr:
        return dxpy.AppError(
            f"The header of {bam.name!r} does not match its records: one is beyond the end of its "
            f"region ({quote(result)}). Give a file with the header that its reads were aligned to."
        )
    if "failed to create or write index" in result.stderr:
        return dxpy.AppError(
            f"The index of {bam.name!r} could not be written, probably because the disk is full "
            f"({quote(result)}). {MORE_DISK}"
        )
    failure = f"{bam.name!r} could not be indexed"
    return explain_failure(bam, storage, [bam.records], result, failure)
