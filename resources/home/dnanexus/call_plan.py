"""Which calls of samtools view -c count a BAM file fast, and what their numbers mean together.

Counting should cost about one pass over the file, shared evenly by all CPUs, whatever the contigs
look like. So contigs larger than a fair share are cut into slices, small ones share a call, and
those without records need none. Nothing here runs samtools: a plan is made from an index alone.

    calls = plan_calls(contigs, index, unplaced, cpus=4)
    counts = merge_counts(contigs, index, calls, totals)
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bam_index import UNPLACED, BamIndex, BamIndexError, Stretch, cut_stretch

# While the last call runs, every other CPU may stand idle; so the more of them there are, the
# smaller a share of all work must a call be. But none is so small that starting samtools (5 ms,
# about 1 MB of reading) would be felt.
CALLS_PER_OTHER_CPU = 20
SMALLEST_SHARE = 12 << 20  # compressed bytes

# A call that could not be cut gets more threads, which decompress. One thread still has to read the
# records, a third of all work, so a fifth thread would gain nothing (measured).
MOST_THREADS = 4

# Seeking to a region costs as much as reading this much; measured as 0.05 to 0.08 ms.
REGION_COST = 8 << 10  # compressed bytes

# Linux takes 2 MiB of arguments, macOS 1 MiB; each has a terminating zero and a pointer, and ours
# have braces.
LONGEST_COMMAND = 500_000  # bytes
ARGUMENT_OVERHEAD = 11  # bytes


class Slice(NamedTuple):
    """A stretch of the file that holds records of one contig: the unit of work."""

    contig: int
    """Its number in the header, from 0; UNPLACED for the unplaced reads."""
    stretch: Stretch
    records: int | None
    """How many records the index promises in this stretch; None if it does not say."""

    @property
    def work(self) -> int:
        """What counting it costs, in compressed bytes to read."""
        return self.stretch.size + REGION_COST


class Call(NamedTuple):
    """One run of samtools view -c."""

    slices: list[Slice]
    """What it counts together."""
    threads: int = 1
    """How many threads it may use: more than one where a large slice could not be cut."""

    @property
    def work(self) -> int:
        """What it costs, in compressed bytes to read."""
        return sum(part.work for part in self.slices)


def plan_calls(contigs: Sequence[str], index: BamIndex, unplaced: Stretch, cpus: int) -> list[Call]:
    """Decide the calls: about equal in work, the largest first.

    Their slices cover the file from the end of the header to its last record, nothing twice.

    Args:
        contigs: names, in header order.
        index: what the BAM's index says.
        unplaced: where the unplaced reads lie.
        cpus: number of processes that will run the calls.
    """
    wholes = [
        Slice(contig, extent.stretch, extent.records)
        for contig, extent in enumerate(index.extents)
        if extent
    ]
    if index.unplaced:
        wholes.append(Slice(UNPLACED, unplaced, index.unplaced))
    fair_share = get_fair_share(Call(wholes).work, cpus)
    alone: list[Slice] = []
    small: list[Slice] = []
    for whole in wholes:
        if whole.records is None or whole.contig == UNPLACED:
            alone.append(whole)
        elif whole.work > fair_share:
            starts = index.record_starts[whole.contig]
            pieces = cut_stretch(whole.stretch, starts, fair_share)
            alone += [Slice(whole.contig, piece, None) for piece in pieces]
        else:
            small.append(whole)
    calls = [Call([part], threads=_get_threads(part, fair_share, cpus)) for part in alone]
    calls += _share_calls(contigs, small, fair_share)
    return sorted(calls, key=lambda call: call.work, reverse=True)


def get_fair_share(work: int, cpus: int) -> float:
    """Return how much of all work, in compressed bytes, one call should do at most."""
    other_cpus = max(1, cpus - 1)
    return max(work / (other_cpus * CALLS_PER_OTHER_CPU), SMALLEST_SHARE)


def merge_counts(
    contigs: Sequence[str], index: BamIndex, calls: Iterable[Call], totals: Iterable[int]
) -> Counter[int]:
    """Merge the totals of the calls into counts by contig, checked against the index.

    Args:
        contigs: names, in header order.
        index: the index that the calls were planned by.
        calls: the plan.
        totals: what samtools counted in each call.

    Returns:
        Number of records by contig number; that of UNPLACED is the unplaced reads.

    Raises:
        BamIndexError: samtools counted other numbers than the index promises.
    """
    counts: Counter[int] = Counter()
    promised = [
        (contig, extent.records)
        for contig, extent in enumerate(index.extents)
        if extent and extent.records is not None
    ]
    for call, total in zip(calls, totals, strict=True):
        if len(call.slices) == 1:
            counts[call.slices[0].contig] += total
        else:
            shares = {part.contig: part.records or 0 for part in call.slices}
            _verify_count(describe_call(contigs, call), sum(shares.values()), total)
            counts.update(shares)
    for contig, records in [*promised, (UNPLACED, index.unplaced or 0)]:
        _verify_count(describe_contig(contigs, contig), records, counts[contig])
    return counts


def merge_filtered_counts(
    contigs: Sequence[str], index: BamIndex, calls: Iterable[Call], outputs: Iterable[str]
) -> Counter[int]:
    """Merge counts of filtered records, of which the index promises only how many there can be.

    Args:
        contigs: names, in header order.
        index: the index that the calls were planned by.
        calls: the plan.
        outputs: what each call printed: of one slice, the number of samtools view -c; of several,
            the table of samtools idxstats (name, length, mapped, placed unmapped).

    Returns:
        Counts as of `merge_counts`.

    Raises:
        BamIndexError: samtools counted more records than the index promises.
    """
    counts: Counter[int] = Counter()
    for call, output in zip(calls, outputs, strict=True):
        if len(call.slices) == 1:
            counts[call.slices[0].contig] += int(output)
            continue
        rows = (line.split("\t") for line in output.splitlines())
        by_name = {name: int(mapped) + int(unmapped) for name, _, mapped, unmapped in rows}
        counts.update({part.contig: by_name[contigs[part.contig]] for part in call.slices})
    for contig, extent in enumerate(index.extents):
        if extent and extent.records is not None and counts[contig] > extent.records:
            _verify_count(describe_contig(contigs, contig), extent.records, counts[contig])
    return counts


def read_counts(contigs: Sequence[str], index: BamIndex) -> Counter[int]:
    """Return the counts that an index promises, as `merge_counts` does those of samtools.

    Raises:
        BamIndexError: it does not say how many records some contig has.
    """
    counts: Counter[int] = Counter({UNPLACED: index.unplaced or 0})
    for contig, extent in enumerate(index.extents):
        if extent:
            if extent.records is None:
                what = describe_contig(contigs, contig)
                raise BamIndexError(f"it has no number of records for {what}, as old indexes do")
            counts[contig] = extent.records
    return counts


def describe_contig(contigs: Sequence[str], contig: int) -> str:
    """Return how a message names a contig."""
    return "the unplaced reads" if contig == UNPLACED else f"region {contigs[contig]!r}"


def describe_call(contigs: Sequence[str], call: Call) -> str:
    """Return how a message names what a call counts."""
    first, last = call.slices[0].contig, call.slices[-1].contig
    if first == last:
        return describe_contig(contigs, first)
    return f"the {len(call.slices):,} regions from {contigs[first]!r} to {contigs[last]!r}"


def _get_threads(part: Slice, fair_share: float, cpus: int) -> int:
    """Return how many threads a slice deserves: one, unless it is larger than it should be."""
    return min(max(1, round(part.work / fair_share)), cpus, MOST_THREADS)


def _share_calls(contigs: Sequence[str], slices: Iterable[Slice], fair_share: float) -> list[Call]:
    """Group slices, in their order, into calls of at most a fair share of work each."""
    calls: list[Call] = []
    room = characters = 0.0
    for part in slices:
        length = len(os.fsencode(contigs[part.contig])) + ARGUMENT_OVERHEAD
        if part.work > room or length > characters:
            calls.append(Call([]))
            room, characters = fair_share, LONGEST_COMMAND
        room -= part.work
        characters -= length
        calls[-1].slices.append(part)
    return calls


def _verify_count(what: str, promised: int, counted: int) -> None:
    if counted != promised:
        raise BamIndexError(
            f"it promises {promised:,} records in {what}, but samtools counts {counted:,}"
        )
