#!/usr/bin/env python3
"""Count the alignment records of each region of a BAM file, in parallel, with samtools view -c.

The steps, which main() shows in order:

1. Download the BAM file and, if one is given, its index.
2. Read the regions from the BAM's header: the SN field of every @SQ line.
3. Plan the calls of samtools view -c: the index says where in the file each region lies.
4. Fan the calls out over a multiprocessing.Pool of one process for each CPU.
5. Verify every exit status and every total, merge the counts, write the files, and upload them.

The index is a hint and the BAM is the truth: an index that does not describe the BAM, or that
counting shows to be wrong, is replaced by a fresh one.
"""

import errno
import multiprocessing
import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from multiprocessing import Pool, active_children, cpu_count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dxpy

from bam_index import (
    UNPLACED,
    BamFormatError,
    BamHeader,
    BamIndexError,
    check_index,
    read_header,
    read_index,
    unplaced_stretch,
    write_slice_index,
)
from call_plan import (
    Call,
    describe_call,
    merge_counts,
    merge_filtered_counts,
    plan_calls,
    read_counts,
)
from count_report import (
    CountSummary,
    RegionCount,
    write_count_report,
    write_count_table,
    write_multiqc_section,
)
from filters import Filters, read_filters
from samtools import (
    MORE_DISK,
    CommandResult,
    build_index,
    find_errors,
    find_warnings,
    get_samtools_version,
    quote_stderr,
    run_cmd,
    run_pipeline,
)

VERSION = "1.0.0"  # as in dxapp.json

PROGRESS_SECONDS = 5

# The output files: the name of each is a prefix and this. The prefix is the BAM file's name less
# `.bam` and what tells the filters, unless one is given.
SUFFIXES = {
    "count_file": "_count.txt",
    "count_table": "_count.tsv",
    "multiqc_section": "_count_mqc.tsv",
    "count_report": "_count.html",
}


@dxpy.entry_point("main")
def main(
    mappings_sorted_bam: dict[str, Any],  # noqa: ARG001 - download_all_inputs asks for the inputs
    mappings_sorted_bai: dict[str, Any] | None = None,  # noqa: ARG001
    min_mapping_quality: int = 0,
    require_flags: str = "",
    exclude_flags: str = "",
    count_from_index: bool = False,
    output_prefix: str = "",
) -> dict[str, Any]:
    """Count the records of each region; the parameters are the inputs declared in dxapp.json.

    Returns:
        A link to the file of each output, by the names declared in dxapp.json.

    Raises:
        dxpy.AppError: something the user can mend; the message says what and how.
    """
    filters = read_filters(min_mapping_quality, require_flags, exclude_flags)
    verify_output_prefix(output_prefix)
    if count_from_index and filters.options:
        raise dxpy.AppError(
            "An index has no counts of filtered records. Leave out count_from_index or the filters."
        )
    log(f"{get_samtools_version()}, {cpu_count()} CPUs")
    if filters.contradiction:
        log(f"WARNING: {filters.contradiction}")

    bam, given_index = download_inputs()

    header = verify_bam(bam)
    regions = parse_sam_header_for_region(bam)
    verify_regions(bam, header, regions)

    with TemporaryDirectory() as folder:
        work_folder = Path(folder)
        if count_from_index:
            counts = read_index_counts(bam, header, given_index)
        else:
            counts = count_regions(bam, header, given_index, filters, work_folder)
        log_unplaced(counts, filters)

        sample, prefix = name_outputs(bam, filters, output_prefix)
        summary = summarize(sample, header, counts, filters, count_from_index)
        files = write_outputs(work_folder, summary)
        return upload_outputs(files, prefix, summary, filters)


def verify_output_prefix(prefix: str) -> None:
    """Verify that a prefix can begin the name of a file.

    Raises:
        dxpy.AppError: it cannot.
    """
    if "/" in prefix:
        raise dxpy.AppError(
            f"output_prefix is {prefix!r}, and a file's name has no '/'. Leave that out; the "
            "folder of the outputs is chosen where the job is started (dx run --destination)."
        )


def download_inputs() -> tuple[Path, Path | None]:
    """Download the job's input files; return the paths of the BAM and of the index, if given."""
    log("Downloading the inputs")
    with explain_full_disk("the input files"):
        inputs = dxpy.download_all_inputs()
    indexes = inputs.get("mappings_sorted_bai_path")
    return Path(inputs["mappings_sorted_bam_path"][0]), Path(indexes[0]) if indexes else None


def verify_bam(bam: Path) -> BamHeader:
    """Verify that a file is a BAM file, and whole as far as its two ends show.

    Returns:
        Its header.

    Raises:
        dxpy.AppError: it is something else, or is cut off.
    """
    try:
        header = read_header(bam)
    except BamFormatError as error:
        raise dxpy.AppError(
            f"{bam.name!r} {error}. Give a BAM file sorted by coordinate; samtools sort makes one "
            "of SAM, BAM or CRAM."
        ) from error
    result = run_cmd(["samtools", "quickcheck", "-u", "-vv", "--", str(bam)])
    if result.exit_code:
        raise dxpy.AppError(
            f"{bam.name!r} is cut off or damaged. {quote_stderr(result)}. "
            "Upload it again, from a copy that passes samtools quickcheck."
        )
    return header


def parse_sam_header_for_region(bamfile_path: Path) -> list[str]:
    """Return the names of a BAM file's regions, in the order of its header.

    Raises:
        dxpy.AppError: samtools cannot read the header, or it has no @SQ line.
    """
    result = run_cmd(["samtools", "view", "-H", "--", str(bamfile_path)])
    if result.exit_code:
        raise dxpy.AppError(
            f"The header of {bamfile_path.name!r} cannot be read. {quote_stderr(result)}. "
            "Mend it with samtools reheader."
        )
    regions = regions_from_header(result.stdout)
    if not regions:
        raise dxpy.AppError(
            f"The header of {bamfile_path.name!r} has no @SQ line, so there are no regions to "
            "count. Give a BAM file of aligned reads."
        )
    log(f"Regions in the header of {bamfile_path.name!r}: {len(regions):,}")
    return regions


def regions_from_header(header: str) -> list[str]:
    """Return the SN field of each @SQ line of a SAM header, in order."""
    return [
        field.removeprefix("SN:")
        for line in header.split("\n")
        if line.startswith("@SQ\t")
        for field in line.split("\t")
        if field.startswith("SN:")
    ]


def verify_regions(bam: Path, header: BamHeader, regions: Sequence[str]) -> None:
    """Verify that the text and the binary part of a BAM's header name the same regions.

    Raises:
        dxpy.AppError: they do not, so that numbers could be taken for those of another region.
    """
    if header.contigs != regions:
        raise dxpy.AppError(
            f"The header of {bam.name!r} contradicts itself: its @SQ lines and its list of "
            "reference sequences differ. Write the file anew with samtools reheader."
        )


def read_index_counts(bam: Path, header: BamHeader, given_index: Path | None) -> Counter[int]:
    """Take the number of records of every region from the given index; read none of them.

    Returns:
        Counts as of `count_regions`.

    Raises:
        dxpy.AppError: there is no index, it does not describe the BAM, or it has no numbers.
    """
    if given_index is None:
        raise dxpy.AppError(
            f"There is no index to take the counts of {bam.name!r} from. "
            "Give mappings_sorted_bai, or leave count_from_index off."
        )
    try:
        index = read_index(given_index)
        check_index(index, header, bam)
        counts = read_counts(header.contigs, index)
    except BamIndexError as error:
        raise dxpy.AppError(
            f"The index {given_index.name!r} does not give the counts of {bam.name!r}: {error}. "
            "Make it anew with samtools index, or leave count_from_index off."
        ) from error
    log(f"The counts are those in the index {given_index.name!r}; no record was read")
    return counts


def count_regions(
    bam: Path,
    header: BamHeader,
    given_index: Path | None,
    filters: Filters,
    work_folder: Path,
) -> Counter[int]:
    """Count the records of every region by the given index if it is right, else by a fresh one.

    Args:
        bam: a file that passes `verify_bam`.
        header: its header.
        given_index: the user's index file, of any name; None if there is none.
        filters: which records to count.
        work_folder: for temporary files.

    Returns:
        Number of records by number of the region, from 0; that of UNPLACED is the unplaced reads.

    Raises:
        dxpy.AppError: the file cannot be counted.
    """
    started = time.monotonic()
    counts = None
    if given_index:
        try:
            counts = count_by_index(bam, header, given_index, filters, work_folder)
        except (BamIndexError, dxpy.AppError) as error:
            log(f"WARNING: the index {given_index.name!r} is not used: {error}")
    if counts is None:
        log(f"Building an index of {bam.name!r}; samtools index reads the whole file once")
        fresh_index = build_index(bam, header, work_folder)
        try:
            counts = count_by_index(bam, header, fresh_index, filters, work_folder)
        except BamIndexError as error:
            raise dxpy.AppError(
                f"{bam.name!r} and the index that samtools makes of it disagree: {error}. "
                "Sort the file anew with samtools sort."
            ) from error
    log(f"Seconds to count: {time.monotonic() - started:.1f}")
    return counts


def count_by_index(
    bam: Path, header: BamHeader, path: Path, filters: Filters, work_folder: Path
) -> Counter[int]:
    """Plan the calls by an index, run them, verify and merge what they counted.

    Raises:
        BamIndexError: the index is of no use, or promises other numbers than samtools counts.
        dxpy.AppError: a call failed.
    """
    index = read_index(path)
    check_index(index, header, bam)
    unplaced = unplaced_stretch(index, header, bam)
    calls = plan_calls(header.contigs, index, unplaced, cpu_count())
    results = run_calls(bam, header.contigs, calls, filters, work_folder)
    verify_pool_status(bam, [describe_call(header.contigs, call) for call in calls], results)
    if filters.options:
        return merge_filtered_counts(header.contigs, index, calls, [r.stdout for r in results])
    return merge_counts(header.contigs, index, calls, [int(result.stdout) for result in results])


def create_region_view_cmd(
    bam: Path, index: Path, regions: Iterable[str], options: Sequence[str] = ("-c",)
) -> list[str]:
    """Return the command that counts the records of some regions together.

    Args:
        bam: the BAM file.
        index: an index of it, or of a part of it; -X lets it lie anywhere.
        regions: their names, or `*` for the unplaced reads. In braces a name is what it is:
            without them HLA-A*01:01 could also be read as base 1 of a region HLA-A*01.
        options: what samtools view is to do with them.
    """
    quoted = [region if region == "*" else f"{{{region}}}" for region in regions]
    return ["samtools", "view", *options, "-X", "--", str(bam), str(index), *quoted]


def run_calls(
    bam: Path, regions: Sequence[str], calls: Sequence[Call], filters: Filters, work_folder: Path
) -> list[CommandResult]:
    """Run the calls in a pool of one process for each CPU; return their results, in order.

    Each call gets an index of its own that shows samtools just its slices: loading the whole one
    would take most of a small call's time.
    """
    log(f"Calls of {describe_command(filters)}: {len(calls):,}")
    pipelines = []
    for number, call in enumerate(calls):
        index = work_folder / f"slice_{number}.csi"
        with explain_full_disk(f"the index of a slice of {bam.name!r}"):
            write_slice_index(index, {part.contig: part.stretch for part in call.slices})
        names = ["*" if part.contig == UNPLACED else regions[part.contig] for part in call.slices]
        # With -@ samtools leaves decompression to that many threads.
        threads = ["-@", str(call.threads)] if call.threads > 1 else []
        if filters.options and len(names) > 1:
            # Of filtered records no total is known, so each region needs its own number.
            view_cmd = create_region_view_cmd(bam, index, names, ["-u", *threads, *filters.options])
            pipelines.append([view_cmd, ["samtools", "idxstats", "-"]])
        else:
            view_cmd = create_region_view_cmd(bam, index, names, ["-c", *threads, *filters.options])
            pipelines.append([view_cmd])
    with Pool(cpu_count()) as pool:
        return list(follow_progress(pool.imap(run_pipeline, pipelines), calls))


def describe_command(filters: Filters) -> str:
    """Return the command that counts, as a person would type it for any BAM file and region."""
    options = ["-c", *filters.options]
    return shlex.join(create_region_view_cmd(Path("BAM"), Path("INDEX"), ["REGION"], options))


def follow_progress(pending: Any, calls: Sequence[Call]) -> Iterator[CommandResult]:
    """Yield the pool's results as they come, and log every few seconds how far it is.

    Raises:
        dxpy.AppError: a process of the pool was killed; its result would never come.
    """
    workers = {process.pid for process in active_children()}
    everything = sum(call.work for call in calls)
    done = 0
    logged = time.monotonic()
    for number, call in enumerate(calls):
        result = None
        while result is None:
            try:
                result = pending.next(timeout=PROGRESS_SECONDS)
            except multiprocessing.TimeoutError:
                if {process.pid for process in active_children()} != workers:
                    raise dxpy.AppError(
                        "A counting process was killed, perhaps for want of memory. "
                        "Run the applet on an instance type with more memory."
                    ) from None
            if time.monotonic() - logged >= PROGRESS_SECONDS:
                logged = time.monotonic()
                log(f"{number:,} of {len(calls):,} calls done, {done / everything:.0%} of the file")
        done += call.work
        yield result


def verify_pool_status(bam: Path, names: Sequence[str], results: Sequence[CommandResult]) -> None:
    """Verify that every call succeeded.

    The exit status is not enough: for a region it does not know, or finds ambiguous, samtools
    view -c prints 0 and exits with 0, and only stderr tells.

    Args:
        bam: the file counted.
        names: what each call counted, as a message names it.
        results: what each call left behind.

    Raises:
        dxpy.AppError: a call failed; the message has samtools' own words.
    """
    failed = [
        (name, result)
        for name, result in zip(names, results, strict=True)
        if result.exit_code or find_errors(result) or not result.stdout.strip()
    ]
    if failed:
        name, result = failed[0]
        others = f", as {len(failed) - 1:,} more calls" if len(failed) > 1 else ""
        raise dxpy.AppError(
            f"{bam.name!r} could not be counted in {name}{others}. {quote_stderr(result)}. "
            "Check the whole file with samtools view -c."
        )
    for warning in sorted({line for result in results for line in find_warnings(result)}):
        log(f"samtools: {warning}")


def name_outputs(bam: Path, filters: Filters, output_prefix: str) -> tuple[str, str]:
    """Return what the counts are called in reports, and what the names of their files begin with.

    Filtered counts are the same sample, in files that must not be taken for those of all records.
    """
    sample = output_prefix or bam.name.removesuffix(".bam")
    return sample, output_prefix or f"{sample}{filters.name}"


def summarize(
    sample: str, header: BamHeader, counts: Counter[int], filters: Filters, count_from_index: bool
) -> CountSummary:
    """Put together what the output files say.

    Args:
        sample: what the counts are called in reports.
        header: of the file counted.
        counts: as of `count_regions`.
        filters: which records were counted.
        count_from_index: whether the counts are those of the index.
    """
    regions = [
        RegionCount(name, length, counts[number])
        for number, (name, length) in enumerate(zip(header.contigs, header.lengths, strict=True))
    ]
    if count_from_index:
        note = "The counts are those in the index; no record was read."
    elif filters.options:
        note = "Of all records and unplaced reads, those that pass the filters are counted."
    else:
        note = "Every record of the file was read."
    return CountSummary(
        sample=sample,
        command="none" if count_from_index else describe_command(filters),
        regions=regions,
        unplaced=counts[UNPLACED],
        samtools_version=get_samtools_version(),
        applet_version=VERSION,
        date=f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC",
        note=note,
    )


def write_outputs(folder: Path, summary: CountSummary) -> dict[str, Path]:
    """Write all output files into a folder; return their paths by the names of the outputs.

    Raises:
        dxpy.AppError: the disk is full.
    """
    writers = {
        "count_file": write_counts,
        "count_table": write_count_table,
        "multiqc_section": write_multiqc_section,
        "count_report": write_count_report,
    }
    with explain_full_disk("the output files"):
        return {name: write(folder / SUFFIXES[name], summary) for name, write in writers.items()}


def write_counts(path: Path, summary: CountSummary) -> Path:
    """Write the count file, the tutorial's byte for byte: no line end after the total."""
    lines = [f"Region {region.name}: {region.records}\n" for region in summary.regions]
    path.write_bytes(os.fsencode(f"{''.join(lines)}Total reads: {summary.whole.records}"))
    return path


def upload_outputs(
    files: dict[str, Path], prefix: str, summary: CountSummary, filters: Filters
) -> dict[str, Any]:
    """Upload the output files under names that begin with a prefix; return a link to each.

    Properties show in the web UI and in dx describe what was counted.
    """
    properties = {
        "command": summary.command,
        "filters": " ".join(filters.options) or "none",
        "total_records": str(summary.whole.records),
        "unplaced_reads": str(summary.unplaced),
        "samtools_version": summary.samtools_version.removeprefix("samtools "),
    }
    return {
        name: dxpy.dxlink(
            dxpy.upload_local_file(
                str(path),
                name=f"{prefix}{SUFFIXES[name]}",
                media_type="text/html" if name == "count_report" else None,
                properties=properties,
            )
        )
        for name, path in files.items()
    }


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


def log_unplaced(counts: Counter[int], filters: Filters) -> None:
    """Log the number of reads that are in no region."""
    which = " that pass the filters" if filters.options else ""
    log(f"Unplaced reads{which}, in no region and not in the total: {counts[UNPLACED]:,}")


if __name__ == "__main__":
    try:
        dxpy.run()
    except dxpy.AppError as error:
        # In a job dxpy.run() has saved the message; a traceback would bury it in the log.
        sys.exit(f"AppError: {error}")
