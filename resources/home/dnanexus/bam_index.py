"""What a BAM index says about its file, and whether it can be about this file at all.

An index divides its BAM into *extents*: for each region, where its records begin and end, and how
many there are. Those of a sorted BAM tile the file, so an index of another file shows that it is.

    index = read_index(Path("sample.bam.bai"), bam)
    index.extents[0].stretch, index.extents[0].records

What is read here is a hint: nothing of it is proven but that it can be so. Layouts: "Sequence
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

from bam_file import UNPLACED, Bam, Stretch, has_no_data_from, is_block_start

# A bin up to its chunks: number, in CSI the start of the first record, number of chunks.
_BAI_BIN = struct.Struct("<II")
_CSI_BIN = struct.Struct("<IQI")

# The bin that holds no records but a region's extent and its numbers of records.
_BAI_PSEUDO_BIN = 37450

# With bins of one base this many levels hold 2^63 bases, more than a position can be.
_CSI_LARGEST_DEPTH = 21

# How many bytes an index takes, and far more: for itself, for each region, for each window of
# 16,384 bases, and for what the BAM holds. A 30x human genome of 60 GB has one of 9 MB.
_INDEX_SIZE, _REGION_SIZE, _WINDOW_SIZE, _BAM_SHARE = 64 << 20, 512, 8, 1 / 64

# An offset of another file meets a block about once in 14,000 times (measured), so a few tell.
MOST_LOOKS = 32

_NOT_OF_THIS_BAM = "so it belongs to another BAM or to an older version"

_UINT32 = struct.Struct("<I")
_UINT64 = struct.Struct("<Q")

# Extents, record starts and the number of unplaced reads, as in BamIndex.
Parsed = tuple[list["Extent | None"], list[Sequence[int]], int | None]


class BamIndexError(ValueError):
    """The index cannot be used for this BAM; the message says why."""


class BamCutError(ValueError):
    """The BAM ends before its index does; the message says where."""


class Extent(NamedTuple):
    """Where the records of one region lie, and how many there are."""

    stretch: Stretch
    records: int | None
    """Placed records, mapped and unmapped; None if the index does not say."""


class BamIndex(NamedTuple):
    """What a `.bai` or `.csi` file says; lists are by region number."""

    name: str
    """The file's name."""
    extents: list[Extent | None]
    """None for a region without records."""
    record_starts: list[Sequence[int]]
    """Virtual offsets at which some records begin, in no order, repeated, zeros among them."""
    unplaced: int | None
    """Number of reads without a region; None if the index does not say."""
    end: int
    """Virtual offset of the end of the last region's records, where the unplaced reads begin."""
    origin: str = "given"
    """`given`, or why a fresh one was built."""
    data: bytes = b""
    """Of a fresh one, what is in its file."""

    def get_promise(self, number: int) -> int | None:
        """Return how many records a region has, or the unplaced reads; None if it does not say."""
        if number == UNPLACED:
            return self.unplaced or 0
        extent = self.extents[number]
        return extent.records if extent else 0


def read_index(path: Path, bam: Bam) -> BamIndex:
    """Read a BAM index, and check that it fits its BAM.

    The extents must tile the file from the end of the header, without gap or overlap, up to the
    unplaced reads, or to the end of the file if there are none. That reads a few bytes of the BAM
    for each region; where they have to be fetched, for 32 of the regions.

    Raises:
        BamIndexError: it is no such index, or not of this BAM.
        BamCutError: it is of this BAM as it was before its end was lost.
    """
    index = parse_index(path, bam)
    _check_extents(index, bam)
    return index


def parse_index(path: Path, bam: Bam) -> BamIndex:
    """Read a BAI index, or a CSI index whether compressed or not, without a look at its BAM.

    Raises:
        BamIndexError: it is no such index, or not of a BAM with these regions.
    """
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    limit = _get_largest_size(bam)
    try:
        with gzip.open(path) if compressed else path.open("rb") as file:
            data = file.read(limit + 1)
        if not data:
            raise BamIndexError("it is empty")
        if data[:4] not in (b"BAI\1", b"CSI\1"):
            raise BamIndexError("it is neither a BAI nor a CSI index")
        if len(data) > limit:
            raise BamIndexError("it is larger than an index of this BAM can be")
        parse = _parse_bai if data[:4] == b"BAI\1" else _parse_csi
        extents, record_starts, unplaced = parse(data, len(bam.regions))
    except (struct.error, EOFError) as error:
        raise BamIndexError("it is truncated") from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise BamIndexError(f"it is damaged ({error})") from error
    ends = [extent.stretch.end for extent in extents if extent]
    end = max(ends, default=bam.first_record)
    return BamIndex(path.name, extents, record_starts, unplaced, end)


def _get_largest_size(bam: Bam) -> int:
    """Return how many bytes an index of this BAM takes at most."""
    windows = sum((length >> 14) + 2 for length in bam.lengths)
    regions = len(bam.regions) * _REGION_SIZE + windows * _WINDOW_SIZE
    return _INDEX_SIZE + regions + int(bam.size * _BAM_SHARE)


def _check_extents(index: BamIndex, bam: Bam) -> None:
    """Check that the extents tile the file, as far as a few bytes of it show.

    Raises:
        BamIndexError: they do not.
        BamCutError: they do, up to the end of the file, and go on.
    """
    extents = sorted((extent for extent in index.extents if extent), key=lambda one: one.stretch)
    addresses = {extent.stretch.begin >> 16 for extent in extents}
    looked_at = addresses
    if bam.source:
        looked_at = set(_spread(addresses))
        bam.source.fetch_heads(looked_at)
    position = bam.first_record
    with bam.open() as file:
        for extent in extents:
            begin, end = extent.stretch
            if begin != position:
                raise BamIndexError(
                    f"it has records at virtual offset {begin} where the BAM has them at "
                    f"{position}, {_NOT_OF_THIS_BAM}"
                )
            if begin >> 16 in looked_at and not is_block_start(file, begin >> 16):
                raise BamIndexError(
                    f"it points to byte {begin >> 16:,}, where the BAM has no block, "
                    f"{_NOT_OF_THIS_BAM}"
                )
            if not begin < end <= bam.size << 16:
                if end > begin and _agrees_to_the_end(index, bam):
                    raise BamCutError(f"it has records up to byte {end >> 16:,}")
                raise BamIndexError(
                    f"it ends a region at byte {end >> 16:,}, which it cannot, {_NOT_OF_THIS_BAM}"
                )
            if (extent.records or 0) > extent.stretch.most_records:
                raise BamIndexError(
                    f"it has {extent.records:,} records in {extent.stretch.size:,} bytes, "
                    "which it cannot"
                )
            position = end
        ends_here = has_no_data_from(file, position)
    if index.unplaced is None and not ends_here:
        raise BamIndexError(
            "it does not say how many unplaced reads follow the last region, as old indexes do"
        )
    if bool(index.unplaced) == ends_here:
        if ends_here and _agrees_to_the_end(index, bam):
            raise BamCutError(f"it has {index.unplaced:,} unplaced reads after its last byte")
        raise BamIndexError(
            f"it ends at byte {position >> 16:,} with {index.unplaced or 0:,} unplaced reads to "
            f"come, but the BAM does not, {_NOT_OF_THIS_BAM}"
        )
    if (index.unplaced or 0) > Stretch(position, bam.size << 16).most_records:
        raise BamIndexError(
            f"it has {index.unplaced:,} unplaced reads, more than there is room for"
        )


def _agrees_to_the_end(index: BamIndex, bam: Bam) -> bool:
    """Tell whether a block begins wherever the index points between the BAM's header and its end.

    At least one such place is needed; of many, 32 are looked at.
    """
    starts = [start for region in index.record_starts for start in region]
    starts += [extent.stretch.begin for extent in index.extents if extent]
    inside = {start >> 16 for start in starts if bam.first_record < start < bam.size << 16}
    sample = _spread(inside - {bam.first_record >> 16})
    with bam.open() as file:
        return bool(sample) and all(is_block_start(file, address) for address in sample)


def _spread(addresses: Iterable[int]) -> list[int]:
    """Return a few of many addresses, evenly spread; the last one is among them."""
    ordered = sorted(addresses)
    return ordered[:: -(len(ordered) // MOST_LOOKS + 1)]


def _parse_bai(data: bytes, regions: int) -> Parsed:
    """Parse a BAI index."""
    _check_number_of_regions(_UINT32.unpack_from(data, 4)[0], regions)
    extents: list[Extent | None] = []
    record_starts: list[Sequence[int]] = []
    at = 8
    for _ in range(regions):
        extent, _, at = _parse_bins(data, at, _BAI_BIN, _BAI_PSEUDO_BIN)
        windows = _UINT32.unpack_from(data, at)[0]
        at += 4
        extents.append(extent)
        record_starts.append(_offsets(data[at : at + 8 * windows]))
        at += 8 * windows
    return extents, record_starts, _parse_unplaced(data, at)


def _parse_csi(data: bytes, regions: int) -> Parsed:
    """Parse a CSI index."""
    extents: list[Extent | None] = []
    record_starts: list[Sequence[int]] = []
    _, depth, auxiliary_length = struct.unpack_from("<III", data, 4)
    if depth > _CSI_LARGEST_DEPTH:
        raise BamIndexError(f"it is damaged (depth {depth})")
    pseudo_bin = ((1 << (depth * 3 + 3)) - 1) // 7 + 1
    at = 16 + auxiliary_length
    _check_number_of_regions(_UINT32.unpack_from(data, at)[0], regions)
    at += 4
    for _ in range(regions):
        extent, starts, at = _parse_bins(data, at, _CSI_BIN, pseudo_bin)
        extents.append(extent)
        record_starts.append(starts)
    return extents, record_starts, _parse_unplaced(data, at)


def _check_number_of_regions(listed: int, regions: int) -> None:
    if listed != regions:
        raise BamIndexError(
            f"it lists {listed:,} regions and the BAM {regions:,}, {_NOT_OF_THIS_BAM}"
        )


def _parse_bins(
    data: bytes, at: int, layout: struct.Struct, pseudo_bin: int
) -> tuple[Extent | None, Sequence[int], int]:
    """Parse the bins of one region.

    Args:
        data: the index.
        at: where the region's number of bins stands.
        layout: of a bin up to its chunks: number, start of its first record (CSI only), chunks.
        pseudo_bin: the number of the bin that holds the extent.

    Returns:
        The region's extent, the starts that the bins give, and where the bins end.
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
    """Parse what follows the last region: the number of unplaced reads, or nothing."""
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
