"""What a BAM index says about its file, and whether it is this file's."""

import gzip
import struct
import sys
import zlib
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bam_file import BamHeader, _has_no_data_from, _is_block_start, _read_at

UNPLACED = -1  # stands for a contig's number where the unplaced reads are meant

# A bin up to its chunks: number, in CSI the start of the first record, number of chunks.
_BAI_BIN = struct.Struct("<II")

_CSI_BIN = struct.Struct("<IQI")

# The bin that holds no records but a contig's extent and its numbers of records.
_BAI_PSEUDO_BIN = 37450

# With bins of one base this many levels hold 2^63 bases, more than a position can be.
_CSI_LARGEST_DEPTH = 21

_NOT_OF_THIS_BAM = "so it belongs to another BAM or to an older version"

_UINT32 = struct.Struct("<I")

_UINT64 = struct.Struct("<Q")


class BamIndexError(ValueError):
    """The index cannot be used for this BAM; the message says why."""


class Stretch(NamedTuple):
    """A part of the file, from one virtual offset up to another one."""

    begin: int
    end: int

    @property
    def size(self) -> int:
        """Length in the compressed file, in bytes."""
        return (self.end >> 16) - (self.begin >> 16)


class Extent(NamedTuple):
    """Where the records of one contig lie, and how many there are."""

    stretch: Stretch
    records: int | None
    """Placed records, mapped and unmapped; None if the index does not say."""


class BamIndex(NamedTuple):
    """What a `.bai` or `.csi` file says; lists are by contig, in the order of the header."""

    extents: list[Extent | None]
    """None for a contig without records."""
    record_starts: list[Sequence[int]]
    """Virtual offsets at which some records begin, in no order, repeated, zeros among them."""
    unplaced: int | None
    """Number of reads without a position; None if the index does not say."""


def read_index(path: Path) -> BamIndex:
    """Read a BAI index, or a CSI index whether compressed or not.

    Raises:
        BamIndexError: the file is empty, truncated or not such an index.
    """
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if compressed else path.open("rb") as file:
            magic = file.read(4)
            if not magic:
                raise BamIndexError("it is empty")
            if magic not in (b"BAI\1", b"CSI\1"):
                raise BamIndexError("it is neither a BAI nor a CSI index")
            data = file.read()
        return _parse_bai(data) if magic == b"BAI\1" else _parse_csi(data)
    except (struct.error, EOFError) as error:
        raise BamIndexError("it is truncated") from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise BamIndexError(f"it is damaged ({error})") from error


def check_index(index: BamIndex, header: BamHeader, bam: Path) -> None:
    """Check that an index describes this very file, reading a few bytes for each contig.

    The extents must tile the file from the end of the header, without gap or overlap, up to the
    unplaced reads, or to the end of the file if there are none.

    Raises:
        BamIndexError: they do not.
    """
    if len(index.extents) != len(header.contigs):
        raise BamIndexError(
            f"it lists {len(index.extents):,} contigs and the BAM {len(header.contigs):,}, "
            f"{_NOT_OF_THIS_BAM}"
        )
    position = header.first_record
    size = bam.stat().st_size
    with bam.open("rb") as file:
        for begin, end in sorted(extent.stretch for extent in index.extents if extent):
            if begin != position:
                raise BamIndexError(
                    f"it has records at virtual offset {begin} where the BAM has them at "
                    f"{position}, {_NOT_OF_THIS_BAM}"
                )
            if not _is_block_start(_read_at(file, begin >> 16, 18)):
                raise BamIndexError(
                    f"it points to byte {begin >> 16:,}, where the BAM has no block, "
                    f"{_NOT_OF_THIS_BAM}"
                )
            if not begin < end <= size << 16:
                raise BamIndexError(
                    f"it ends a region at byte {end >> 16:,}, which it cannot, {_NOT_OF_THIS_BAM}"
                )
            position = end
        ends_here = _has_no_data_from(file, position)
    if index.unplaced is None and not ends_here:
        raise BamIndexError(
            "it does not say how many unplaced reads follow the last region, as old indexes do"
        )
    if bool(index.unplaced) == ends_here:
        raise BamIndexError(
            f"it ends at byte {position >> 16:,} with {index.unplaced or 0:,} unplaced reads to "
            f"come, but the BAM does not, {_NOT_OF_THIS_BAM}"
        )


def unplaced_stretch(index: BamIndex, header: BamHeader, bam: Path) -> Stretch:
    """Return the part of the file after the records of the last contig."""
    ends = [extent.stretch.end for extent in index.extents if extent]
    return Stretch(max(ends, default=header.first_record), bam.stat().st_size << 16)


def _parse_bai(data: bytes) -> BamIndex:
    """Parse a BAI index less its magic."""
    extents: list[Extent | None] = []
    record_starts: list[Sequence[int]] = []
    at = 4
    for _ in range(_UINT32.unpack_from(data)[0]):
        extent, _, at = _parse_bins(data, at, _BAI_BIN, _BAI_PSEUDO_BIN)
        windows = _UINT32.unpack_from(data, at)[0]
        at += 4
        extents.append(extent)
        record_starts.append(_offsets(data[at : at + 8 * windows]))
        at += 8 * windows
    return BamIndex(extents, record_starts, _parse_unplaced(data, at))


def _parse_csi(data: bytes) -> BamIndex:
    """Parse a CSI index less its magic."""
    extents: list[Extent | None] = []
    record_starts: list[Sequence[int]] = []
    _, depth, auxiliary_length = struct.unpack_from("<III", data)
    if depth > _CSI_LARGEST_DEPTH:
        raise BamIndexError(f"it is damaged (depth {depth})")
    pseudo_bin = ((1 << (depth * 3 + 3)) - 1) // 7 + 1
    at = 12 + auxiliary_length
    contigs = _UINT32.unpack_from(data, at)[0]
    at += 4
    for _ in range(contigs):
        extent, starts, at = _parse_bins(data, at, _CSI_BIN, pseudo_bin)
        extents.append(extent)
        record_starts.append(starts)
    return BamIndex(extents, record_starts, _parse_unplaced(data, at))


def _parse_bins(
    data: bytes, at: int, layout: struct.Struct, pseudo_bin: int
) -> tuple[Extent | None, Sequence[int], int]:
    """Parse the bins of one contig.

    Args:
        data: the index.
        at: where the contig's number of bins stands.
        layout: of a bin up to its chunks: number, start of its first record (CSI only), chunks.
        pseudo_bin: the number of the bin that holds the extent.

    Returns:
        The contig's extent, the starts that the bins give, and where the bins end.
    """
    bins = _UINT32.unpack_from(data, at)[0]
    at += 4
    first_bin = at
    extent = None
    starts = array("Q")
    unpack, size = layout.unpack_from, layout.size
    for _ in range(bins):
        fields = unpack(data, at)
        at += size
        if fields[0] == pseudo_bin and fields[-1] == 2:
            begin, end, mapped, unmapped = struct.unpack_from("<4Q", data, at)
            extent = Extent(Stretch(begin, end), mapped + unmapped)
        elif layout is _CSI_BIN:
            starts.append(fields[1])
        at += 16 * fields[-1]
    if extent is None and bins:
        extent = Extent(_find_chunk_bounds(data, first_bin, bins, layout), None)
    if extent and bins == 1 and extent.records == 0:
        extent = None
    return extent, starts, at


def _find_chunk_bounds(data: bytes, at: int, bins: int, layout: struct.Struct) -> Stretch:
    """Return the least begin and the greatest end of all chunks in these bins."""
    begins: list[int] = []
    ends: list[int] = []
    for _ in range(bins):
        *_, chunks = layout.unpack_from(data, at)
        at += layout.size
        offsets = _offsets(data[at : at + 16 * chunks])
        begins += offsets[0::2]
        ends += offsets[1::2]
        at += 16 * chunks
    return Stretch(min(begins, default=0), max(ends, default=0))


def _parse_unplaced(data: bytes, at: int) -> int | None:
    """Parse what follows the last contig: the number of unplaced reads, or nothing."""
    left = len(data) - at
    if left not in (0, 8):
        raise BamIndexError("it is truncated" if left < 8 else "it has bytes after its end")
    return int(_UINT64.unpack_from(data, at)[0]) if left else None


def _offsets(data: bytes) -> "array[int]":
    """Return the little-endian virtual offsets in `data`."""
    offsets = array("Q")
    offsets.frombytes(data[: len(data) // 8 * 8])
    if sys.byteorder == "big":
        offsets.byteswap()
    return offsets
