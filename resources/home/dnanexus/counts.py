"""Adds up the counts of all tasks, and checks them against the index.

    counts = merge_counts(bam, index, [result.counts for result in results], filters)
    counts[0], counts[UNPLACED]

Counts are by region number, so that similar names cannot be confused. Every count is samtools' own.
If the index lists another count, the index is wrong or the BAM is damaged, and the job fails.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import dxpy

from bam_file import UNPLACED, Bam
from bam_index import BamIndexError, ChosenIndex, read_index
from choose_index import explain_mismatch
from job_log import log, plural, warn
from options import Filters


def merge_counts(
    bam: Bam, index: ChosenIndex, partial_counts: Iterable[Mapping[int, int]], filters: Filters
) -> Counter[int]:
    """Add up what the tasks counted, and check it against the index.

    Args:
        bam: the file counted.
        index: the index that was used.
        partial_counts: by region number, of each task or subjob; UNPLACED is the unplaced reads.
        filters: which records were counted; an index lists only the number of all records.

    Returns:
        Number of records by region number.

    Raises:
        dxpy.AppError: samtools counts more or fewer records in a region than the index lists.
    """
    counts = add_counts(partial_counts)

    def can_be_right(listed: int, counted: int) -> bool:
        return listed == counted or bool(filters.view_options and listed > counted)

    for number, listed in enumerate(index.content.counts):
        if not can_be_right(listed, counts[number]):
            lists = f"it lists {plural(listed, 'record')} in {bam.regions[number]!r}"
            raise explain_mismatch(bam, index, f"{lists}, samtools counts {counts[number]:,}")
    unplaced = index.content.unplaced
    if not can_be_right(unplaced, counts[UNPLACED]):
        # samtools 1.0 writes such indexes. This number is not part of the counts.
        lists = f"The index {index.name!r} lists {plural(unplaced, 'unplaced read')}"
        warn(f"{lists}, samtools counts {counts[UNPLACED]:,}. All other counts match.")
    which = " that pass the filters" if filters.view_options else ""
    log(f"Unplaced reads{which} (in no region, not in the total): {counts[UNPLACED]:,}")
    return counts


def add_counts(partial_counts: Iterable[Mapping[int, int]]) -> Counter[int]:
    """Return the sum of counts by region number."""
    counts: Counter[int] = Counter()
    for one in partial_counts:
        counts.update(one)
    return counts


def read_index_counts(bam: Bam, path: Path) -> tuple[ChosenIndex, Counter[int]]:
    """Return an index and its counts by region number, without reading any record.

    Raises:
        dxpy.AppError: the index does not match this BAM.
    """
    try:
        index = read_index(path, bam)
    except BamIndexError as error:
        raise dxpy.AppError(
            f"The index {path.name!r} does not have the counts of {bam.name!r}: {error}. "
            "Build it again with samtools index, or omit count_from_index."
        ) from error
    log(f"The counts are those in the index {path.name!r}; they are not verified")
    counts = Counter({UNPLACED: index.unplaced} | dict(enumerate(index.counts)))
    return ChosenIndex(index, path.name), counts
