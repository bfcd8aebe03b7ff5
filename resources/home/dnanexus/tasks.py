"""Splits the workload: which runs of samtools count a BAM file, and what each one gets to see.

Counting should cost about one pass over the file, shared evenly by all CPUs, whatever the regions
look like. So a large region is cut into *slices*, each with a call of samtools view -c of its own,
and the rest shares calls that tell the records of one region from those of another.

    calls = plan_calls(bam, index, cpus=4)
    write_slice_index(path, calls[0])

A slice begins and ends at a record of its region. In a file that is sorted there are only records
of that region between two of them, so samtools, which stops at the first record of another region,
must have read a slice to its end. Everything else, both borders of each region among it, is in the
shared calls, which count whatever they meet. So an index can make counting slow, but not wrong.
"""

import struct
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bam_file import UNPLACED, Bam, Stretch, has_no_data_from, read_reference_id
from bam_index import BamIndex, BamIndexError

# While the last call runs, every other CPU may stand idle; so the more of them there are, the
# smaller a share of all work must a call be. But none is so small that starting samtools (5 ms,
# about 1 MB of reading) would be felt.
CALLS_PER_OTHER_CPU = 20
SMALLEST_SHARE = 12 << 20  # compressed bytes

# A call needs so much of the disk where its bytes are fetched. Above, it would gain nothing.
LARGEST_SHARE = 256 << 20  # compressed bytes

# A slice is worth a call of its own if passing its bytes on to a shared one would cost more than
# starting samtools does.
SMALLEST_SLICE = 2 << 20  # compressed bytes

# A call that could not be cut gets more threads, which decompress. One thread still has to read the
# records, a third of all work, so a fifth thread would gain nothing (measured).
MOST_THREADS = 4

# A slice index has the one bin 0, which covers every position of a region of any length.
_MIN_SHIFT, _DEPTH = 40, 0


class Call(NamedTuple):
    """One run of samtools: the unit of work."""

    stretches: list[Stretch]
    """The parts of the file it counts, in file order."""
    numbers: list[int]
    """The regions that lie there by the index, in file order; UNPLACED for the unplaced reads."""
    region: str | None = None
    """The name of the one region it counts a slice of; None if it counts by region."""
    threads: int = 1
    """How many threads it may use: more than one where the file could not be cut."""

    @property
    def work(self) -> int:
        """What it costs, in compressed bytes to read."""
        return sum(stretch.size for stretch in self.stretches)


def plan_calls(bam: Bam, index: BamIndex, cpus: int, machines: int = 1) -> list[Call]:
    """Split the workload into calls that are about equal in work, the largest first.

    Together they cover the file from the end of the header to the end of the file, nothing twice.

    Args:
        bam: the file.
        index: of it.
        cpus: of each machine that will run the calls.
        machines: number of them.
    """
    share = get_fair_share(bam.size, cpus, machines)
    slices: list[Call] = []
    rest: list[tuple[int, Stretch]] = []
    extents = ((number, extent) for number, extent in enumerate(index.extents) if extent)
    for number, extent in sorted(extents, key=lambda one: one[1].stretch):
        head, inner, tail = split_off_borders(extent.stretch, index.record_starts[number])
        if inner.size >= SMALLEST_SLICE:
            pieces = cut_stretch(inner, index.record_starts[number], share)
            slices += [Call([piece], [number], bam.regions[number]) for piece in pieces]
            rest += [(number, head), (number, tail)]
        else:
            rest.append((number, extent.stretch))
    rest.append((UNPLACED, Stretch(index.end, bam.size << 16)))
    calls = slices + _share_calls(rest, share, cpus)
    return sorted(calls, key=lambda call: call.work, reverse=True)


def get_fair_share(work: int, cpus: int, machines: int = 1) -> float:
    """Return how much of all work, in compressed bytes, one call should do at most.

    Of the machines that somebody asked for, each should have something to do.
    """
    other_cpus = max(1, cpus * machines - 1)
    share = work / (other_cpus * CALLS_PER_OTHER_CPU)
    share = min(max(share, SMALLEST_SHARE), LARGEST_SHARE)
    return share if machines == 1 else min(share, work / machines)


def split_off_borders(
    stretch: Stretch, record_starts: Iterable[int]
) -> tuple[Stretch, Stretch, Stretch]:
    """Split a region's stretch at the first and the last record start that is known within it.

    Returns:
        The part before, the part between them, which begins and ends at a record of the region, and
        the part after.
    """
    inside = [start for start in record_starts if stretch.begin < start < stretch.end]
    first, last = min(inside, default=stretch.end), max(inside, default=stretch.end)
    return Stretch(stretch.begin, first), Stretch(first, last), Stretch(last, stretch.end)


def cut_stretch(stretch: Stretch, record_starts: Iterable[int], size: float) -> list[Stretch]:
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


def write_slice_index(path: Path, number: int, piece: Stretch) -> None:
    """Write an index in which samtools finds only a slice of a region.

    It is an uncompressed CSI index in which the region has the single bin 0, with one chunk:
    htslib reads exactly the records that begin in the chunk. Loading the whole index instead would
    take three quarters of a small call's time.

    Args:
        path: the file to write.
        number: of the region.
        piece: the slice.
    """
    head = struct.pack("<4siiii", b"CSI\1", _MIN_SHIFT, _DEPTH, 0, number + 1)
    begin, end = piece
    bins = struct.pack("<iIQiQQ", 1, 0, begin, 1, begin, end)
    path.write_bytes(head + bytes(4 * number) + bins + bytes(8))


def describe_call(regions: Sequence[str], call: Call) -> str:
    """Return how a message names what a call counts."""
    numbers = [number for number in call.numbers if number != UNPLACED]
    parts = [describe_region(regions, number) for number in numbers]
    if len(numbers) > 1:
        first, last = regions[numbers[0]], regions[numbers[-1]]
        parts = [f"the {len(numbers):,} regions from {first!r} to {last!r}"]
    if UNPLACED in call.numbers:
        parts.append(describe_region(regions, UNPLACED))
    return " and ".join(parts)


def describe_region(regions: Sequence[str], number: int) -> str:
    """Return how a message names a region."""
    return "the unplaced reads" if number == UNPLACED else f"region {regions[number]!r}"


def _share_calls(parts: Iterable[tuple[int, Stretch]], share: float, cpus: int) -> list[Call]:
    """Group parts of the file, each of a region, into calls of at most a fair share of work."""
    calls: list[Call] = []
    for number, part in parts:
        if not calls or calls[-1].work + part.size > share:
            threads = min(max(1, round(part.size / share)), cpus, MOST_THREADS)
            calls.append(Call([part], [number], threads=threads))
        else:
            stretches, numbers = calls[-1].stretches, calls[-1].numbers
            if stretches[-1].end == part.begin:
                stretches[-1] = Stretch(stretches[-1].begin, part.end)
            else:
                stretches.append(part)
            if number != numbers[-1]:
                numbers.append(number)
    return calls


def check_borders(bam: Bam, call: Call) -> None:
    """Check that each stretch of a call begins and ends at a record: of its region, if it has one.

    Raises:
        BamIndexError: it does not.
    """
    with bam.open() as file:
        for offset in {offset for stretch in call.stretches for offset in stretch}:
            with suppress(zlib.error):  # of which samtools will tell
                number = read_reference_id(file, offset)
                if number is None and has_no_data_from(file, offset):
                    continue
                if number is None or (call.region is not None and number != call.numbers[0]):
                    what = "a record" if call.region is None else f"a record of {call.region!r}"
                    raise BamIndexError(
                        f"it has {what} at byte {offset >> 16:,}, where there is none"
                    )
