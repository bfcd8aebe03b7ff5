#!/usr/bin/env python3
"""Count the alignment records of each region of a BAM file, in parallel, with samtools view -c.

The steps are those of the tutorial, and main() shows them in order:

1. Download the BAM file and, if one is given, its index.
2. Read the regions from the BAM's header: the SN field of every @SQ line.
3. Split the workload into calls of samtools: the index says where in the file each region lies.
4. Fan the calls out over a multiprocessing.Pool of one process for each CPU.
5. Verify every exit status, merge the counts, write the files, and upload them.

The index is a hint and the BAM is the truth: the index only says where to cut. Every number is
counted by samtools, and if the index then says another one, the job fails and says so.
"""

import sys
import time
from collections.abc import Sequence
from functools import partial
from multiprocessing import Pool, cpu_count
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any

import dxpy
from dxpy.utils.describe import get_size_str

from bam_file import Bam, copy_stretches
from bam_index import BamIndex
from counts import add_counts, explain_failures, log_unplaced, merge_counts, take_counts_from_index
from filters import Filters, read_filters, verify_inputs
from job_log import explain_limits, follow_progress, log, log_seconds
from machines import count_on_machines, prepare_part, write_part
from outputs import upload_outputs, write_outputs
from partial_bam import BamFile, fetch_inputs, hold_stretches, log_fetched
from samtools import (
    CommandResult,
    choose_index,
    explain_failed_call,
    find_errors,
    find_warnings,
    get_samtools_version,
    quote_stderr,
    run_cmd,
    run_pipeline,
    verify_bam,
)
from slices import Call, check_borders, describe_call, plan_calls, write_slice_index
from summary import summarize


@dxpy.entry_point("main")
def main(
    mappings_sorted_bam: dict[str, Any],
    mappings_sorted_bai: dict[str, Any] | None = None,
    min_mapping_quality: int = 0,
    require_flags: str = "",
    exclude_flags: str = "",
    count_from_index: bool = False,
    machines: int = 1,
    output_prefix: str = "",
) -> dict[str, Any]:
    """Count the records of each region; the parameters are the inputs declared in dxapp.json.

    Returns:
        A link to the file of each output, by the names declared in dxapp.json.

    Raises:
        dxpy.AppError: something the user can mend; the message says what and how.
    """
    started = time.monotonic()
    filters = read_filters(min_mapping_quality, require_flags, exclude_flags)
    verify_inputs(filters, count_from_index, machines, mappings_sorted_bai, output_prefix)
    samtools_version, cpus = get_samtools_version(), cpu_count()
    log(f"{samtools_version}, {cpus} CPUs")

    if machines == 1 and not count_from_index:
        bam_file, index_path = download_inputs(mappings_sorted_bam)
    else:
        bam_file, index_path = fetch_inputs(mappings_sorted_bam, mappings_sorted_bai)
    bam = verify_bam(bam_file)
    regions = parse_sam_header_for_region(bam)

    if count_from_index and index_path:
        index, counts = take_counts_from_index(bam, index_path)
    else:
        index = choose_index(bam, index_path, cpus)
        calls = plan_calls(bam, index, cpus, machines)
        if machines == 1:
            results = count_calls(bam, index, calls, filters, cpus)
            verify_pool_status(bam, calls, results)
            parts = [add_counts(calls, results)]
        else:
            links = {"bam": mappings_sorted_bam, "index": mappings_sorted_bai}
            parts = count_on_machines(machines, cpus, calls, index, filters, links)
        counts = merge_counts(bam, index, parts, filters)

    log_fetched(bam)
    log_unplaced(counts, filters)
    summary = summarize(
        bam, regions, counts, index, filters, count_from_index, output_prefix, samtools_version
    )
    with log_seconds("write and upload"), TemporaryDirectory() as folder:
        outputs = upload_outputs(write_outputs(Path(folder), summary), summary)
    log(f"Seconds in all: {time.monotonic() - started:.1f}")
    return outputs


@dxpy.entry_point("count_part")
def count_part(**inputs: Any) -> dict[str, Any]:
    """Count one machine's share of the calls: what each subjob of main runs."""
    bam, index, calls, filters = prepare_part(**inputs)
    # Twice as many processes as CPUs: while one fetches its part of the BAM, another one counts.
    results = count_calls(bam, index, calls, filters, 2 * cpu_count())
    verify_pool_status(bam, calls, results)
    return write_part(bam, calls, add_counts(calls, results))


def download_inputs(bam: dict[str, Any]) -> tuple[BamFile, Path | None]:
    """Download the job's input files; return the paths of the BAM and of the index, if given."""
    described = dxpy.DXFile(bam).describe()
    log(f"Downloading {described['name']!r}, {get_size_str(described['size'])}")
    with log_seconds("download"), explain_limits("the input files"):
        inputs = dxpy.download_all_inputs()
    indexes = inputs.get("mappings_sorted_bai_path")
    return Path(inputs["mappings_sorted_bam_path"][0]), Path(indexes[0]) if indexes else None


def parse_sam_header_for_region(bam: Bam) -> list[str]:
    """Return the names of a BAM file's regions, in the order of its header.

    Raises:
        dxpy.AppError: samtools cannot read the header, it has no @SQ line, or its text and its
            binary list of regions differ, so that a number could be taken for another region's.
    """
    result = run_cmd(["samtools", "view", "-H", "--", str(bam.path)])
    if result.exit_code:
        raise dxpy.AppError(
            f"The header of {bam.name!r} cannot be read. {quote_stderr(result)}. "
            "Mend it with samtools reheader."
        )
    regions = [
        field.removeprefix("SN:")
        for line in result.stdout.split("\n")
        if line.startswith("@SQ\t")
        for field in line.split("\t")
        if field.startswith("SN:")
    ]
    if not regions:
        raise dxpy.AppError(
            f"The header of {bam.name!r} has no @SQ line, so there are no regions to count. "
            "Give a BAM file of aligned reads."
        )
    if regions != bam.regions:
        raise dxpy.AppError(
            f"The header of {bam.name!r} contradicts itself: its @SQ lines and its list of "
            "reference sequences differ. Write the file anew with samtools reheader."
        )
    log(f"Regions in the header of {bam.name!r}: {len(regions):,}")
    return regions


def count_calls(
    bam: Bam, index: BamIndex, calls: Sequence[Call], filters: Filters, processes: int
) -> list[CommandResult]:
    """Run the calls in a pool of processes, one for each CPU; return their results, in order.

    Raises:
        dxpy.AppError: the index is wrong about where records begin, or a process was killed.
    """
    command = filters.describe_command(bam.name, bam.regions[0])
    log(f"Counting each region like {command}, in calls: {len(calls):,}")
    with log_seconds("count"), explain_failures(bam, index), Pool(processes) as pool:
        pending = pool.imap(partial(count_call, bam, filters), calls)
        return list(follow_progress(pending, [call.work for call in calls]))


def count_call(bam: Bam, filters: Filters, call: Call) -> CommandResult:
    """Count what one call counts: this is what the pool maps."""
    with hold_stretches(bam, call.stretches, describe_call(bam.regions, call)) as held:
        check_borders(held, call)
        if call.region is None:
            feed = partial(copy_stretches, held, call.stretches)
            return run_pipeline(create_table_cmds(filters, call.threads), feed)
        with NamedTemporaryFile(suffix=".csi") as slice_index:
            index = Path(slice_index.name)
            write_slice_index(index, call.numbers[0], call.stretches[0])
            return run_cmd(create_region_view_cmd(held.path, index, call.region, filters))


def create_region_view_cmd(bam: Path, index: Path, region: str, filters: Filters) -> list[str]:
    """Return the command that counts the records of a region.

    Args:
        bam: the BAM file.
        index: an index of it, or of a part of it; -X lets it lie anywhere.
        region: its name. In braces it is what it is: without them HLA-A*01:01 could also be read
            as base 1 of a region HLA-A*01.
        filters: which records to count.
    """
    options = ["-c", *filters.options]
    return ["samtools", "view", *options, "-X", "--", str(bam), str(index), f"{{{region}}}"]


def create_table_cmds(filters: Filters, threads: int) -> list[list[str]]:
    """Return the commands that count, region by region, all records that are fed to them."""
    # With -@ samtools leaves decompression to that many threads.
    options = ["-@", str(threads)] if threads > 1 else []
    if filters.options:
        view_cmd = ["samtools", "view", "-u", *options, *filters.options, "-"]
        return [view_cmd, ["samtools", "idxstats", "-"]]
    return [["samtools", "idxstats", *options, "-"]]


def verify_pool_status(bam: Bam, calls: Sequence[Call], results: Sequence[CommandResult]) -> None:
    """Verify that every call succeeded.

    The exit status is not enough: for a region it does not know, or finds ambiguous, samtools
    view -c prints 0 and exits with 0, and only stderr tells.

    Raises:
        dxpy.AppError: a call failed; the message has samtools' own words.
    """
    for call, result in zip(calls, results, strict=True):
        if result.exit_code or find_errors(result) or not result.stdout:
            what = describe_call(bam.regions, call)
            with hold_stretches(bam, call.stretches, what) as held:
                raise explain_failed_call(held, what, call.stretches, result)
    for warning in sorted({line for result in results for line in find_warnings(result)}):
        log(f"samtools: {warning}")


if __name__ == "__main__":
    try:
        dxpy.run()
    except dxpy.AppError as error:
        # In a job dxpy.run() has saved the message; a traceback would bury it in the log.
        sys.exit(f"AppError: {error}")
