"""Splits the workload: which calls of samtools view -c, and the index that shows a slice."""

import os
import struct
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bam_index import UNPLACED, BamIndex, Stretch

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

# A slice index has the one bin 0, which covers every position of a contig of any length.
_SLICE_MIN_SHIFT, _SLICE_DEPTH, _SLICE_PSEUDO_BIN = 40, 0, 2

_UINT64 = struct.Struct("<Q")


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


def cut_stretch(stretch: Stretch, record_starts: Sequence[int], size: float) -> list[Stretch]:
    """Cut a stretch at record starts into pieces of equal compressed size, as nearly as they allow.

    Args:
        stretch: what to cut.
        record_starts: virtual offsets of records, in any order; those outside are ignored.
        size: largest wanted size of a piece, in compressed bytes.

    Returns:
        The pieces in file order; together they are the stretch.
    """
    pieces = max(1, -(-stretch.size // max(1, int(size))))
    starts = sorted({start for start in record_starts if stretch.begin < start < stretch.end})
    cuts = [stretch.begin]
    for number in range(1, pieces):
        wanted = stretch.begin + ((stretch.size * number // pieces) << 16)
        at = bisect_left(starts, wanted)
        if at < len(starts) and starts[at] > cuts[-1]:
            cuts.append(starts[at])
    return [Stretch(*pair) for pair in zip(cuts, [*cuts[1:], stretch.end], strict=True)]


def write_slice_index(path: Path, slices: Mapping[int, Stretch]) -> None:
    """Write an index in which samtools finds only these slices.

    It is an uncompressed CSI index in which each contig has the single bin 0, with one chunk:
    htslib reads exactly the records that begin in the chunk.

    Args:
        path: the file to write.
        slices: by contig number, from 0. The number `UNPLACED` may stand alone: region `*` then is
            whatever follows its begin.
    """
    parts = [struct.pack("<4siii", b"CSI\1", _SLICE_MIN_SHIFT, _SLICE_DEPTH, 0)]
    if UNPLACED in slices:
        # htslib looks for the unplaced reads where the last pseudo-bin says that records end.
        begin = slices[UNPLACED].begin
        pseudo_bin = struct.pack("<IQi4Q", _SLICE_PSEUDO_BIN, 0, 2, 0, begin, 0, 0)
        parts.append(struct.pack("<ii", 1, 1) + pseudo_bin)
    else:
        parts.append(struct.pack("<i", max(slices) + 1))
        written = 0
        for contig, (begin, end) in sorted(slices.items()):
            parts.append(bytes(4 * (contig - written)))
            parts.append(struct.pack("<iIQiQQ", 1, 0, begin, 1, begin, end))
            written = contig + 1
    parts.append(_UINT64.pack(0))
    path.write_bytes(b"".join(parts))


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
