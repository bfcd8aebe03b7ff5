"""Reads a BAM index, and checks that it matches its BAM file.

    index = read_index(Path("sample.bam.bai"), bam)
    index.chunks[0], index.counts[0]

An index gives each region a chunk, from its first record to the end of its last one. The chunks of
a sorted BAM follow each other without gaps, so the index of another file is easily recognised.

An index that passes can still be wrong; only counting shows it. Formats: "Sequence Alignment/Map
Format Specification" (5.2 BAI) and "Coordinate Sorted Index (CSI) version 1".
"""

import gzip
import struct
import sys
import zlib
from array import array
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bam_file import Bam, Chunk, DamagedBamError, has_no_data_from, has_offset, is_block_start
from job_log import plural

_BAI_MAGIC, _CSI_MAGIC = b"BAI\1", b"CSI\1"

# Size of a bin without its chunks, in 32-bit words: its number, in CSI the start of its first
# record (two words), and its number of chunks. Each chunk is four words.
_BAI_BIN, _CSI_BIN, _CHUNK = 2, 4, 4

# The number of the pseudo-bin, which has a region's chunk and its numbers of records.
_BAI_PSEUDO_BIN = 37450

# With bins of one base, this many levels cover 2^63 bases, more than any position.
_CSI_LARGEST_DEPTH = 21

# At most this much of an index is read; the index of a 30x human genome has 9 MB.
LARGEST_INDEX = 1 << 30  # bytes

# At most this many blocks of the BAM are checked. Of 14,000 offsets in another file, about one is
# the start of a block by chance (measured), so a few are enough.
MOST_CHECKS = 8

_NOT_OF_THIS_BAM = "so it belongs to another BAM or an older version"


class BamIndexError(ValueError):
    """The index does not match this BAM; the message says why."""


class TruncatedBamError(BamIndexError):
    """The index lists records beyond the end of the BAM, and matches it up to there."""

    def __init__(self, listed: str) -> None:
        """Say what the index lists beyond the end of the BAM."""
        super().__init__(f"it lists {listed}")
        self.listed = listed


class BamIndex(NamedTuple):
    """The content of a `.bai` or `.csi` file; lists are by region number."""

    chunks: list[Chunk | None]
    """Where the records of each region are; None for a region without records."""
    counts: list[int]
    """Number of placed records of each region, mapped and unmapped."""
    record_starts: list[Sequence[int]]
    """Virtual offsets at which some records begin: unsorted, with repetitions and zeros."""
    unplaced: int
    """Number of reads without a region."""

    def sort_chunks(self) -> list[tuple[Chunk, int]]:
        """Return the chunks in file order, each with the number of its region."""
        return sorted((chunk, number) for number, chunk in enumerate(self.chunks) if chunk)

    def get_end(self, bam: Bam) -> int:
        """Return the virtual offset where the last region ends and the unplaced reads begin."""
        return max((chunk.end for chunk in self.chunks if chunk), default=bam.first_record)


class ChosenIndex(NamedTuple):
    """The index that a job uses, and its origin."""

    content: BamIndex
    name: str
    """Of its file."""
    origin: str = "given"
    """`given`, `fresh` (none was given) or `replaced` (the given one did not match)."""
    problem: str = ""
    """Why the given index was replaced."""
    data: bytes = b""
    """The bytes of its file, unless it was given."""


def read_index(path: Path, bam: Bam) -> BamIndex:
    """Read a BAM index, and check that it matches its BAM. Only a few bytes of the BAM are read.

    Raises:
        BamIndexError: the file is not an index, or not of this BAM.
        TruncatedBamError: the index is of the complete BAM, and this BAM is truncated.
    """
    index = parse_index(path, bam)
    _check_order(index, bam)
    _check_blocks(index, bam)
    _check_unplaced(index, bam)
    return index


def parse_index(path: Path, bam: Bam) -> BamIndex:
    """Read a BAI index, or a CSI index whether compressed or not, without checking the BAM.

    Raises:
        BamIndexError: the file is not an index, or not of a BAM with these regions.
    """
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if compressed else path.open("rb") as file:
            magic = file.read(4)
            if magic not in (_BAI_MAGIC, _CSI_MAGIC):
                raise BamIndexError(
                    "it is neither a BAI nor a CSI index" if magic else "it is empty"
                )
            return _parse(magic, file.read(LARGEST_INDEX), bam)
    except (struct.error, IndexError, EOFError) as error:
        raise BamIndexError("it is truncated") from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise BamIndexError(f"it is damaged ({error})") from error


def _parse(magic: bytes, data: bytes, bam: Bam) -> BamIndex:
    """Parse what follows the magic number in an index file.

    Raises:
        struct.error, IndexError: the data end too early.
        BamIndexError: the data are damaged, or are of a BAM with other regions.
    """
    is_bai = magic == _BAI_MAGIC
    at, bin_size, pseudo_bin = 0, _BAI_BIN, _BAI_PSEUDO_BIN
    if not is_bai:
        _, depth, auxiliary_size = struct.unpack_from("<III", data)
        if depth > _CSI_LARGEST_DEPTH:
            raise BamIndexError(f"it is damaged (depth {depth})")
        at, bin_size = 12 + auxiliary_size, _CSI_BIN
        pseudo_bin = ((1 << (depth * 3 + 3)) - 1) // 7 + 1
    body = memoryview(data)[at:]
    words = _read_numbers("I", body)
    if words[0] != len(bam.regions):
        raise BamIndexError(
            f"it lists {plural(words[0], 'region')} and the BAM has {len(bam.regions):,}, "
            f"{_NOT_OF_THIS_BAM}"
        )
    index = BamIndex([], [], [], 0)
    at = 1
    for region in bam.regions:
        bins, at = words[at], at + 1
        chunk, count, starts = None, 0, array("Q")
        for _ in range(bins):
            number, chunks = words[at], words[at + bin_size - 1]
            if number == pseudo_bin and chunks == 2:
                fields = struct.unpack_from("<4Q", body, 4 * (at + bin_size))
                chunk, count = Chunk(*fields[:2]), sum(fields[2:])
            elif not is_bai:
                starts.append(words[at + 1] | words[at + 2] << 32)
            at += bin_size + _CHUNK * chunks
        if bins and chunk is None:
            raise BamIndexError(f"it has no count for region {region!r}, like old indexes")
        if is_bai:
            windows, at = at + 1, at + 1 + 2 * words[at]
            starts = _read_numbers("Q", body[4 * windows : 4 * at])
        index.chunks.append(chunk if count or bins > 1 else None)
        index.counts.append(count)
        index.record_starts.append(starts)
    left = len(body) - 4 * at
    if left == 0:
        raise BamIndexError("it has no count for the unplaced reads, like old indexes")
    if left != 8:
        raise BamIndexError("it is truncated" if left < 8 else "it has bytes after its end")
    return index._replace(unplaced=_read_numbers("Q", body[4 * at :])[0])


def _read_numbers(size: str, data: memoryview) -> "array[int]":
    """Return data as little-endian numbers of 32 (`I`) or 64 bits (`Q`), without a partial one."""
    numbers = array(size)
    numbers.frombytes(data[: len(data) // numbers.itemsize * numbers.itemsize])
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _check_order(index: BamIndex, bam: Bam) -> None:
    """Check that the chunks follow each other from the end of the header on, and have records."""
    position = bam.first_record
    for chunk, number in index.sort_chunks():
        region, count = bam.regions[number], index.counts[number]
        if chunk.begin != position or chunk.end <= chunk.begin:
            raise BamIndexError(
                f"it lists region {region!r} from virtual offset {chunk.begin} to {chunk.end}, but "
                f"the BAM has it from {position} on, {_NOT_OF_THIS_BAM}"
            )
        if not 0 < count <= chunk.most_records:
            raise BamIndexError(
                f"it lists {plural(count, 'record')} in region {region!r}, which cannot be in a "
                f"chunk of {plural(chunk.size, 'byte')}"
            )
        position = chunk.end


def _check_blocks(index: BamIndex, bam: Bam) -> None:
    """Check that blocks of the BAM begin where the index says.

    Raises:
        BamIndexError: a block does not, or the index lists records beyond the end of the BAM.
        TruncatedBamError: it lists records beyond the end, but all blocks begin where it says.
    """
    offsets = [chunk.begin for chunk in index.chunks if chunk]
    end = index.get_end(bam)
    with bam.storage.open() as file, suppress(DamagedBamError):  # samtools reports it
        ends_outside = end > bam.records.end or not has_offset(file, end)
        if ends_outside:
            offsets += [start for region in index.record_starts for start in region]
        inside = {one >> 16 for one in offsets if bam.first_record < one < bam.records.end}
        addresses = sorted(inside - {bam.first_record >> 16})
        # A few, evenly spread, and the last one.
        for address in addresses[:: -(len(addresses) // MOST_CHECKS + 1)]:
            if not is_block_start(file, address):
                raise BamIndexError(
                    f"it points to byte {address:,}, where no block of the BAM begins, so it "
                    "belongs to another BAM, or the BAM is damaged"
                )
        if ends_outside:
            beyond = f"byte {end >> 16:,}, beyond the end of the file"
            if addresses:
                raise TruncatedBamError(f"records up to {beyond}")
            raise BamIndexError(f"it lists records up to {beyond}, {_NOT_OF_THIS_BAM}")


def _check_unplaced(index: BamIndex, bam: Bam) -> None:
    """Check that unplaced reads follow the last region if the index lists any, and only then."""
    end, unplaced = index.get_end(bam), plural(index.unplaced, "unplaced read")
    with bam.storage.open() as file:
        ends_here = has_no_data_from(file, end)
    if ends_here and index.unplaced:
        # sambamba up to 0.6.6 writes such indexes: their last region includes the unplaced reads.
        raise BamIndexError(f"it lists {unplaced}, but a region that ends at the end of the file")
    if not ends_here and not index.unplaced:
        raise BamIndexError(
            f"it lists no record after byte {end >> 16:,}, but the BAM has more, {_NOT_OF_THIS_BAM}"
        )
    if index.unplaced > Chunk(end, bam.records.end).most_records:
        raise BamIndexError(f"it lists {unplaced}, more than fit into the rest of the file")
