"""What a BAM index says about its file, and whether it can be about this file at all.

    index = read_index(Path("sample.bam.bai"), bam)
    index.chunks[0], index.counts[0]

An index gives each region a chunk, from its first record to the end of its last one. The chunks of
a sorted BAM follow each other without gaps, so the index of another file is easily recognised.

An index is a hint: what is read here can be right, and nothing of it is proven. Layouts: "Sequence
Alignment/Map Format Specification" (5.2 BAI) and "Coordinate Sorted Index (CSI) version 1".
"""

import gzip
import struct
import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from bam_file import Bam, Chunk, has_no_data_from, is_block_start
from job_log import plural

# Size of a bin up to its chunks, in 32-bit words: its number, in CSI the start of its first record
# (two words), its number of chunks. Each chunk is four words.
_BAI_BIN, _CSI_BIN, _CHUNK = 2, 4, 4

# The bin that holds no records, but a region's chunk and its numbers of records.
_BAI_PSEUDO_BIN = 37450

# With bins of one base, this many levels hold 2^63 bases, more than a position can be.
_CSI_LARGEST_DEPTH = 21

# The index of a 30x human genome takes 9 MB. A larger file is no index, but would fill the memory.
LARGEST_INDEX = 1 << 30  # bytes

# At most this many blocks of the BAM are checked. An offset of another file is the start of a block
# about once in 14,000 times (measured), so a few are enough.
MOST_CHECKS = 32

_NOT_OF_THIS_BAM = "it belongs to another BAM or an older version"


class BamIndexError(ValueError):
    """The index does not match this BAM; the message says why."""


class TruncatedBamError(ValueError):
    """The BAM ends before its index does; the message says where."""


class BamIndex(NamedTuple):
    """What a `.bai` or `.csi` file says; lists are by region number."""

    chunks: list[Chunk | None]
    """Where the records of each region are; None for a region without records."""
    counts: list[int | None]
    """Number of placed records of each region, mapped and unmapped; None if not listed."""
    record_starts: list[Sequence[int]]
    """Virtual offsets at which some records begin: unsorted, with repetitions and zeros."""
    unplaced: int | None
    """Number of reads without a region; None if not listed."""
    end: int
    """Virtual offset of the end of the last region, where the unplaced reads begin."""


class ChosenIndex(NamedTuple):
    """The index that a job uses, and where it is from."""

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
    """Read a BAM index, and check that it matches its BAM.

    The chunks must follow each other from the end of the header to the unplaced reads, or to the
    end of the file if there are none. A few bytes of the BAM are read for up to 32 regions.

    Raises:
        BamIndexError: the file is not an index, or not of this BAM.
        TruncatedBamError: the index is of this BAM as it was before its end was lost.
    """
    index = parse_index(path, bam)
    has_unplaced = _check_chunks(index, bam)
    return index if has_unplaced else index._replace(unplaced=0)


def parse_index(path: Path, bam: Bam) -> BamIndex:
    """Read a BAI index, or a CSI index whether compressed or not, without checking the BAM.

    Raises:
        BamIndexError: the file is not an index, or not of a BAM with these regions.
    """
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if compressed else path.open("rb") as file:
            data = file.read(LARGEST_INDEX + 1)
        if not data:
            raise BamIndexError("it is empty")
        if data[:4] not in (b"BAI\1", b"CSI\1"):
            raise BamIndexError("it is neither a BAI nor a CSI index")
        if len(data) > LARGEST_INDEX:
            raise BamIndexError("it is too large for a BAM index")
        return _parse(data, bam)
    except (struct.error, IndexError, EOFError) as error:
        raise BamIndexError("it is truncated") from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise BamIndexError(f"it is damaged ({error})") from error


def _parse(data: bytes, bam: Bam) -> BamIndex:
    """Parse what is in an index file.

    Raises:
        struct.error, IndexError: the data end too early.
        BamIndexError: the data are damaged, or are of a BAM with other regions.
    """
    is_bai = data[:4] == b"BAI\1"
    at, bin_size, pseudo_bin = 4, _BAI_BIN, _BAI_PSEUDO_BIN
    if not is_bai:
        _, depth, auxiliary_size = struct.unpack_from("<III", data, 4)
        if depth > _CSI_LARGEST_DEPTH:
            raise BamIndexError(f"it is damaged (depth {depth})")
        at, bin_size = 16 + auxiliary_size, _CSI_BIN
        pseudo_bin = ((1 << (depth * 3 + 3)) - 1) // 7 + 1
    body = memoryview(data)[at:]
    words = _read_words("I", body)
    if words[0] != len(bam.regions):
        raise BamIndexError(
            f"it lists {plural(words[0], 'region')} and the BAM {len(bam.regions):,}: "
            f"{_NOT_OF_THIS_BAM}"
        )
    chunks: list[Chunk | None] = []
    counts: list[int | None] = []
    record_starts: list[Sequence[int]] = []
    at = 1
    for _ in bam.regions:
        chunk, count, starts, at = _parse_bins(body, words, at, bin_size, pseudo_bin)
        if is_bai:
            begin, at = at + 1, at + 1 + 2 * words[at]
            starts = _read_words("Q", body[4 * begin : 4 * at])
        chunks.append(chunk)
        counts.append(count)
        record_starts.append(starts)
    left = len(body) - 4 * at
    if left not in (0, 8):
        raise BamIndexError("it is truncated" if left < 8 else "it has bytes after its end")
    unplaced = _read_words("Q", body[4 * at :])[0] if left else None
    end = max((chunk.end for chunk in chunks if chunk), default=bam.first_record)
    return BamIndex(chunks, counts, record_starts, unplaced, end)


def _parse_bins(
    body: memoryview, words: Sequence[int], at: int, bin_size: int, pseudo_bin: int
) -> tuple[Chunk | None, int | None, Sequence[int], int]:
    """Parse the bins of one region.

    Args:
        body: the index from its number of regions on.
        words: the same as 32-bit words.
        at: the word with the region's number of bins.
        bin_size: of a bin up to its chunks, in words.
        pseudo_bin: the number of the bin that holds the region's chunk.

    Returns:
        The region's chunk, its number of records, the record starts that CSI bins give, and the
        word after the bins.
    """
    bins, at = words[at], at + 1
    first_bin = at
    chunk, count = None, None if bins else 0
    starts = array("Q")
    for _ in range(bins):
        number, chunks = words[at], words[at + bin_size - 1]
        if number == pseudo_bin and chunks == 2:
            fields = struct.unpack_from("<4Q", body, 4 * (at + bin_size))
            begin, end, mapped, unmapped = fields
            chunk, count = Chunk(begin, end), mapped + unmapped
        elif bin_size == _CSI_BIN:
            starts.append(words[at + 1] | words[at + 2] << 32)
        at += bin_size + _CHUNK * chunks
    if bins and chunk is None:
        chunk = _find_bounds(body, words, first_bin, bins, bin_size)
    if bins == 1 and count == 0:
        chunk = None
    return chunk, count, starts, at


def _find_bounds(body: memoryview, words: Sequence[int], at: int, bins: int, bin_size: int) -> Chunk:
    """Return the smallest begin and the largest end of all chunks in these bins."""
    begins: list[int] = []
    ends: list[int] = []
    for _ in range(bins):
        end = at + bin_size + _CHUNK * words[at + bin_size - 1]
        offsets = _read_words("Q", body[4 * (at + bin_size) : 4 * end])
        begins += offsets[0::2]
        ends += offsets[1::2]
        at = end
    return Chunk(min(begins, default=0), max(ends, default=0))


def _read_words(size: str, data: memoryview) -> Sequence[int]:
    """Return little-endian numbers of 32 (`I`) or 64 bits (`Q`), as many as there are whole."""
    words = array(size)
    words.frombytes(data[: len(data) // words.itemsize * words.itemsize])
    if sys.byteorder == "big":
        words.byteswap()
    return words


def _check_chunks(index: BamIndex, bam: Bam) -> bool:
    """Check that the chunks follow each other, and that blocks of the BAM begin where they should.

    Returns:
        Whether something follows the last region.

    Raises:
        BamIndexError: they do not.
        TruncatedBamError: they do up to the end of the file, and go on.
    """
    chunks = [(chunk, number) for number, chunk in enumerate(index.chunks) if chunk]
    position = bam.first_record
    for chunk, number in sorted(chunks):
        count, region = index.counts[number], bam.regions[number]
        if chunk.begin != position:
            raise BamIndexError(
                f"it lists records at virtual offset {chunk.begin}, and the BAM has them at "
                f"{position}: {_NOT_OF_THIS_BAM}"
            )
        if chunk.end <= chunk.begin:
            raise BamIndexError(f"it lists an end of region {region!r} that is before its begin")
        if chunk.end > bam.size << 16:
            end = f"byte {chunk.end >> 16:,}"
            if _matches_to_the_end(index, bam):
                raise TruncatedBamError(f"records up to {end}, beyond the end of the file")
            raise BamIndexError(
                f"it lists a region that ends at {end}, past the end of the file: "
                f"{_NOT_OF_THIS_BAM}"
            )
        if count is not None and not 0 < count <= chunk.most_records:
            raise BamIndexError(
                f"it lists {plural(count, 'record')} in region {region!r}, which cannot be in a "
                f"chunk of {plural(chunk.size, 'byte')}"
            )
        position = chunk.end
    addresses = {chunk.begin >> 16 for chunk, _ in chunks}
    with bam.storage.open() as file:
        bam.storage.fetch_heads(_pick(addresses))
        for address in _pick(addresses):
            if not is_block_start(file, address):
                raise BamIndexError(
                    f"it points to byte {address:,}, where the BAM has no block: {_NOT_OF_THIS_BAM}"
                )
        ends_here = has_no_data_from(file, position)
    unplaced = index.unplaced or 0
    if ends_here and unplaced:
        # So are the indexes of sambamba up to 0.6.6, whose last region includes the unplaced reads.
        raise BamIndexError(
            f"it lists {plural(unplaced, 'unplaced read')}, but also a region that ends at the "
            "end of the file"
        )
    if not ends_here and index.unplaced == 0:
        raise BamIndexError(
            f"it lists no record after byte {position >> 16:,}, where the BAM goes on: "
            f"{_NOT_OF_THIS_BAM}"
        )
    if unplaced > Chunk(position, bam.size << 16).most_records:
        raise BamIndexError(
            f"it lists {plural(unplaced, 'unplaced read')}, more than fit into the rest of the file"
        )
    return not ends_here


def _matches_to_the_end(index: BamIndex, bam: Bam) -> bool:
    """Return whether a block begins wherever the index points between header and end of the BAM.

    At least one such place is needed; of many, 32 are checked.
    """
    starts = [start for region in index.record_starts for start in region]
    starts += [chunk.begin for chunk in index.chunks if chunk]
    inside = {start >> 16 for start in starts if bam.first_record < start < bam.size << 16}
    picked = _pick(inside - {bam.first_record >> 16})
    with bam.storage.open() as file:
        return bool(picked) and all(is_block_start(file, address) for address in picked)


def _pick(addresses: Iterable[int]) -> list[int]:
    """Return a few of many addresses, evenly spread and with the last one."""
    ordered = sorted(addresses)
    return ordered[:: -(len(ordered) // MOST_CHECKS + 1)]
