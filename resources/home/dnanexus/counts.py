"""What the numbers of the calls mean together: counts by region."""

from collections import Counter
from collections.abc import Iterable, Sequence

from bam_index import UNPLACED, BamIndex, BamIndexError
from slices import Call, describe_call, describe_contig


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


def _verify_count(what: str, promised: int, counted: int) -> None:
    if counted != promised:
        raise BamIndexError(
            f"it promises {promised:,} records in {what}, but samtools counts {counted:,}"
        )
