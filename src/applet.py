#!/usr/bin/env python3
"""Count the alignment records of each region of a BAM file, in parallel, with samtools.

The steps are those of the tutorial, and main() shows them in order:

1. Download the BAM file and, if one is given, its index.
2. Read the regions from the BAM's header: the SN field of every @SQ line.
3. Split the workload into tasks, each a run of samtools on a part of the file.
4. Run the tasks in a multiprocessing.Pool of one process for each CPU.
5. Verify that every task succeeded, merge the counts, write the files, and upload them.

The index only says where to cut the file. samtools counts every record, and if the index lists
another count for a region, the job fails and says so.
"""

import sys
from collections.abc import Mapping, Sequence
from multiprocessing import cpu_count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dxpy
from dxpy.utils.describe import get_size_str

from bam_file import Bam, WholeFile
from bam_index import ChosenIndex
from choose_index import choose_index
from counts import merge_counts, read_index_counts
from job_log import explain_limits, log, log_job, log_seconds, plural, warn
from options import Options, read_options
from outputs import upload_outputs, write_outputs
from partial_bam import PartialFile, download_index
from pool import TaskResult, run_tasks
from processes import run_cmd
from samtools import get_samtools_version, quote, verify_bam, verify_not_killed
from subjobs import collect_counts, prepare_share, start_subjobs, upload_counts
from summary import summarize
from tasks import split_workload


@dxpy.entry_point("main")
@log_job()
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
    """Count the records of each region. The parameters are the inputs in dxapp.json.

    Returns:
        A link to the file of each output in dxapp.json.

    Raises:
        dxpy.AppError: the user can fix something; the message says what and how.
    """
    filters = (min_mapping_quality, require_flags, exclude_flags)
    has_index = mappings_sorted_bai is not None
    options = read_options(*filters, count_from_index, machines, output_prefix, has_index)
    bam, given_index = download_inputs(mappings_sorted_bam, mappings_sorted_bai, options)
    regions = parse_sam_header_for_region(bam)
    if options.count_from_index and given_index:
        index, counts = read_index_counts(bam, given_index)
        return upload_results(bam, regions, counts, index, options)

    index = choose_index(bam, given_index)
    share, *other_shares = split_workload(bam, index.content, cpu_count(), options.machines)
    links = {"bam": mappings_sorted_bam, "index": mappings_sorted_bai}
    subjobs = start_subjobs(other_shares, index, options, links)
    results = run_tasks(bam, index, share, options.filters)
    verify_pool_status(results)
    partial_counts = [*(result.counts for result in results), *collect_counts(subjobs)]
    counts = merge_counts(bam, index, partial_counts, options.filters)
    return upload_results(bam, regions, counts, index, options)


@dxpy.entry_point("count_share")
@log_job()
def count_share(**inputs: Any) -> dict[str, Any]:
    """Count one share of the tasks. Each subjob of main runs this."""
    bam, index, share, filters = prepare_share(**inputs)
    results = run_tasks(bam, index, share, filters)
    verify_pool_status(results)
    return upload_counts(share, [result.counts for result in results])


def download_inputs(
    bam: dict[str, Any], index: dict[str, Any] | None, options: Options
) -> tuple[Bam, Path | None]:
    """Download the input files, and verify the BAM.

    If several machines count the BAM, or none does, each fetches only the parts that it reads.
    Building an index needs the whole file.

    Args:
        bam: link to the BAM file.
        index: link to its index, if one is given.
        options: the other inputs.

    Returns:
        The BAM, and the path of the index, if one is given.
    """
    log(f"{get_samtools_version()}, {plural(cpu_count(), 'CPU')}")
    if index and (options.machines > 1 or options.count_from_index):
        return verify_bam(PartialFile.create(bam)), download_index(index)
    described = dxpy.DXFile(bam).describe()
    log(f"Downloading {described['name']!r}, {get_size_str(described['size'])}")
    with log_seconds("download"), explain_limits("the input files"):
        inputs = dxpy.download_all_inputs()
    path = Path(inputs["mappings_sorted_bam_path"][0])
    indexes = inputs.get("mappings_sorted_bai_path")
    return verify_bam(WholeFile(path)), Path(indexes[0]) if indexes else None


def parse_sam_header_for_region(bam: Bam) -> list[str]:
    """Return the names of a BAM file's regions, in the order of its header.

    Raises:
        dxpy.AppError: samtools cannot read the header, the header has no @SQ line, or its text and
            its binary list of regions differ, so that regions could be confused.
    """
    result = run_cmd(["samtools", "view", "-H", "--", str(bam.storage.path)])
    verify_not_killed(result, f"The header of {bam.name!r} could not be read")
    if result.exit_code:
        raise dxpy.AppError(
            f"The header of {bam.name!r} cannot be read ({quote(result)}). "
            "Fix it with samtools reheader."
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
            f"The @SQ lines in the header of {bam.name!r} do not match its binary reference list. "
            "Rewrite the header with samtools reheader."
        )
    log(f"Regions in the header of {bam.name!r}: {len(regions):,}")
    return regions


def verify_pool_status(results: Sequence[TaskResult]) -> None:
    """Verify that every task succeeded, and log the warnings of samtools.

    Raises:
        dxpy.AppError: a task failed; the message has samtools' own words.
    """
    for failure in filter(None, (result.failure for result in results)):
        raise failure
    for warning in sorted({line for result in results for line in result.warnings}):
        warn(f"samtools: {warning}")


def upload_results(
    bam: Bam,
    regions: Sequence[str],
    counts: Mapping[int, int],
    index: ChosenIndex,
    options: Options,
) -> dict[str, Any]:
    """Write the output files and upload them; return a link to each.

    Args:
        bam: the file counted.
        regions: its regions.
        counts: number of records by region number.
        index: the index that was used.
        options: the other inputs.
    """
    summary = summarize(bam, regions, counts, index, options, get_samtools_version())
    with log_seconds("write and upload"), TemporaryDirectory() as folder:
        return upload_outputs(write_outputs(Path(folder), summary), summary)


if __name__ == "__main__":
    try:
        dxpy.run()
    except dxpy.AppError as error:
        # In a job dxpy.run() has saved the message; a traceback would bury it in the log.
        sys.exit(f"AppError: {error}")
