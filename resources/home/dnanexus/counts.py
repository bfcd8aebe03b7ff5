"""What the numbers of the calls mean together: how many records each region has.

    parts = [add_counts(calls, results)]
    counts = merge_counts(bam, index, parts, filters)
    counts[0], counts[UNPLACED]

Counts are by region number, so that no name can be taken for another one. Each is what samtools
counted. The index only has to agree: where it does not, the file or the index is not what it seems,
and there are no counts.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dxpy

from bam_file import UNPLACED, Bam, find_placed_record, find_second_header
from bam_index import BamCutError, BamIndex, BamIndexError, read_index
from filters import Filters
from job_log import explain_limits, log
from samtools import CommandResult
from slices import Call, describe_region

# How much of a BAM that lies elsewhere is read on the look for a second one behind it.
LARGEST_WALK = 256 << 10  # bytes
LOOKS = 4


def read_counts(call: Call, result: CommandResult) -> Counter[int]:
    """Return what a call counted: one number of samtools view -c, or a table of samtools idxstats.

    The table has a line for each region, in the order of the header, and one for the unplaced
    reads: name, length, number of mapped and of unmapped records.
    """
    if call.region is not None:
        return Counter({call.numbers[0]: int(result.stdout)})
    *regions, unplaced = [line.rsplit("\t", 2) for line in result.stdout.rstrip("\n").split("\n")]
    counts = Counter({UNPLACED: int(unplaced[1]) + int(unplaced[2])})
    for number, (_, mapped, unmapped) in enumerate(regions):
        if records := int(mapped) + int(unmapped):
            counts[number] = records
    return counts


def add_counts(calls: Sequence[Call], results: Sequence[CommandResult]) -> Counter[int]:
    """Add up what calls counted; all of them succeeded."""
    counts: Counter[int] = Counter()
    for call, result in zip(calls, results, strict=True):
        counts.update(read_counts(call, result))
    return counts


def merge_counts(
    bam: Bam, index: BamIndex, parts: Iterable[Counter[int]], filters: Filters
) -> Counter[int]:
    """Add up what each machine counted, and hold it against the index.

    Args:
        bam: the file counted.
        index: the index that the calls were planned by.
        parts: the counts of each machine; together those of all calls.
        filters: which records they counted; of those that do not pass, an index knows nothing.

    Returns:
        Number of records by region number; that of UNPLACED is the unplaced reads.

    Raises:
        dxpy.AppError: samtools counted other numbers than the index promises.
    """
    counts: Counter[int] = Counter()
    for part in parts:
        counts.update(part)
    for number in [*range(len(bam.regions)), UNPLACED]:
        promised, counted = index.get_promise(number), counts[number]
        if promised is None or promised == counted or (filters.options and promised > counted):
            continue
        region = describe_region(bam.regions, number)
        contradiction = (
            f"it promises {promised:,} records in {region}, but samtools counts {counted:,}"
        )
        raise contradict(bam, index, contradiction)
    return counts


def take_counts_from_index(bam: Bam, path: Path) -> tuple[BamIndex, Counter[int]]:
    """Take the counts that an index promises for those of samtools; no record is read.

    Raises:
        dxpy.AppError: it does not describe this BAM, does not say how many records some region
            has, or the file has a second one behind it.
    """
    try:
        index = read_index(path, bam)
        numbers = [*range(len(bam.regions)), UNPLACED]
        promises = {number: index.get_promise(number) for number in numbers}
        for number, records in promises.items():
            if records is None:
                region = describe_region(bam.regions, number)
                raise BamIndexError(f"it has no number of records for {region}, as old indexes do")
        _check_what_follows(bam, index.end)
    except (BamIndexError, BamCutError) as error:
        raise dxpy.AppError(
            f"The index {path.name!r} does not give the counts of {bam.name!r}: {error}. "
            "Make it anew with samtools index, or leave count_from_index off."
        ) from error
    log(f"The counts are those in the index {path.name!r}; no record was read")
    return index, Counter(promises)


def _check_what_follows(bam: Bam, end: int) -> None:
    """Check that no second BAM follows this one.

    Every block behind the last region is looked at. Where they would have to be fetched, and are
    many, only a few are, and whether they hold reads of a region: as nearly all of a BAM does.

    Raises:
        BamIndexError: one does.
    """
    if bam.source and bam.size - (end >> 16) > LARGEST_WALK:
        if address := find_placed_record(bam, end >> 16, LOOKS):
            raise BamIndexError(f"records of a region follow its last one, at byte {address:,}")
        return
    with bam.open() as file:
        if address := find_second_header(file, end):
            raise BamIndexError(f"another BAM follows this one from byte {address:,} on")


@contextmanager
def explain_failures(bam: Bam, index: BamIndex) -> Iterator[None]:
    """Turn what goes wrong in a process that counts into an error for the user.

    Raises:
        dxpy.AppError: the index is wrong about where records begin, or the machine is too small.
    """
    with explain_limits(f"counting {bam.name!r}"):
        try:
            yield
        except BamIndexError as error:
            raise contradict(bam, index, str(error)) from error


def contradict(bam: Bam, index: BamIndex, contradiction: str) -> dxpy.AppError:
    """Return the error for an index that fits its file but is shown wrong by counting."""
    if index.origin == "given":
        return dxpy.AppError(
            f"The index {index.name!r} is not right for {bam.name!r}: {contradiction}. "
            "Run the applet again without it."
        )
    return dxpy.AppError(
        f"{bam.name!r} and the index that samtools makes of it disagree: {contradiction}. "
        "Sort the file anew with samtools sort."
    )


def log_unplaced(counts: Counter[int], filters: Filters) -> None:
    """Log the number of reads that are in no region."""
    which = " that pass the filters" if filters.options else ""
    log(f"Unplaced reads{which}, in no region and not in the total: {counts[UNPLACED]:,}")
