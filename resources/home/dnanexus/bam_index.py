"""What a BAM index says about its file, and tiny indexes that show samtools one part of it.

An index divides its BAM into *extents*: for each contig, where its records begin and end, and how
many there are. Extents of a sorted BAM tile the file, so an index of another file gives itself away
(`check_index`). A *slice* is a stretch of one extent that begins at a record; given an index that
holds only slices (`write_slice_index`), `samtools view -c -X` counts exactly their records.

    header = read_header(bam)
    index = read_index(bai)
    check_index(index, header, bam)
    pieces = cut_stretch(index.extents[0].stretch, index.record_starts[0], 8 << 20)
    write_slice_index(path, {0: pieces[0]})

Positions in a BAM are *virtual offsets*: the offset of a compressed block in the file times 65,536
plus an offset inside the uncompressed block. Layouts: "Sequence Alignment/Map Format Specification"
(4.1 BGZF, 4.2 BAM, 5.2 BAI) and "Coordinate Sorted Index (CSI) version 1".
"""

import gzip
import os
import struct
import sys
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

UNPLACED = -1  # stands for a contig's number where the unplaced reads are meant

# A bin up to its chunks: number, in CSI the start of the first record, number of chunks.
_BAI_BIN = struct.Struct("<II")
_CSI_BIN = struct.Struct("<IQI")

# The bin that holds no records but a contig's extent and its numbers of records.
_BAI_PSEUDO_BIN = 37450

# With bins of one base this many levels hold 2^63 bases, more than a position can be.
_CSI_LARGEST_DEPTH = 21

# A slice index has the one bin 0, which covers every position of a contig of any length.
_SLICE_MIN_SHIFT, _SLICE_DEPTH, _SLICE_PSEUDO_BIN = 40, 0, 2

_NOT_OF_THIS_BAM = "so it belongs to another BAM or to an older version"

_UINT32 = struct.Struct("<I")
_UINT64 = struct.Struct("<Q")


class BamFormatError(ValueError):
    """The file is not a BAM file; the message says what it is instead."""


class BamIndexError(ValueError):
    """The index cannot be used for this BAM; the message says why."""


class BamHeader(NamedTuple):
    """What the binary header of a BAM file says about the file's layout."""

    contigs: list[str]
    """Names in the reference list; bytes that are not UTF-8 become surrogates, as in file names."""
    lengths: list[int]
    """Lengths of the contigs, in bases."""
    first_record: int
    """Virtual offset of the end of the header."""


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


def read_header(bam: Path) -> BamHeader:
    """Read the binary header of a BAM file.

    Raises:
        BamFormatError: the file is empty, of another format, or ends within the header.
    """
    with bam.open("rb") as file:
        first_bytes = file.read(18)
        if not _is_block_start(first_bytes):
            raise BamFormatError(_describe_kind(first_bytes))
        reader = _BgzfReader(file)
        try:
            if reader.read(4) != b"BAM\1":
                raise BamFormatError("is in compressed blocks as a BAM is, but is something else")
            reader.read(_UINT32.unpack(reader.read(4))[0])
            contigs, lengths = [], []
            for _ in range(_UINT32.unpack(reader.read(4))[0]):
                name = reader.read(_UINT32.unpack(reader.read(4))[0])
                contigs.append(os.fsdecode(name.removesuffix(b"\0")))
                lengths.append(_UINT32.unpack(reader.read(4))[0])
        except (struct.error, zlib.error) as error:
            raise BamFormatError("ends or is damaged within its header") from error
        return BamHeader(contigs, lengths, reader.tell())


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


def _read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def _is_block_start(data: bytes) -> bool:
    """Tell whether these 18 bytes begin a BGZF block, by the rule htslib uses."""
    return data[:4] == b"\x1f\x8b\x08\x04" and data[10:16] == b"\x06\x00BC\x02\x00"


def _has_no_data_from(file: BinaryIO, position: int) -> bool:
    """Tell whether only empty blocks, as at the end of a file, follow a virtual offset."""
    address, offset = position >> 16, position & 0xFFFF
    while head := _read_at(file, address, 18):
        if offset or not _is_block_start(head):
            return False
        address += _block_size(head)
        if _read_at(file, address - 4, 4) != bytes(4):
            return False
    return True


def _block_size(head: bytes) -> int:
    """Return the size in bytes of the compressed block that begins with `head`."""
    return int.from_bytes(head[16:18], "little") + 1


def _describe_kind(first_bytes: bytes) -> str:
    """Say what a file that is not a BAM seems to be."""
    kinds = {
        b"CRAM": "is a CRAM file",
        b"@HD\t": "is SAM text",
        b"@SQ\t": "is SAM text",
        b"\x1f\x8b": "is an ordinary gzip file",
    }
    for magic, kind in kinds.items():
        if first_bytes.startswith(magic):
            return kind
    return "is not a BAM file" if first_bytes else "is empty (0 bytes)"


class _BgzfReader:
    """Reads a BGZF file from its start, knowing the virtual offset."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._block = b""
        self._used = 0
        self._address = 0
        self._next_address = 0

    def read(self, size: int) -> bytes:
        """Return `size` bytes, or fewer where the file ends."""
        parts = []
        while size and (self._used < len(self._block) or self._load_block()):
            part = self._block[self._used : self._used + size]
            self._used += len(part)
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def tell(self) -> int:
        """Return the virtual offset; as in htslib, the end of a block is the begin of the next."""
        if self._used == len(self._block):
            return self._next_address << 16
        return self._address << 16 | self._used

    def _load_block(self) -> bool:
        """Load the next block that is not empty; return whether there is one."""
        while _is_block_start(head := _read_at(self._file, self._next_address, 18)):
            self._address = self._next_address
            self._next_address += _block_size(head)
            block = _read_at(self._file, self._address, _block_size(head))
            self._block = zlib.decompress(block, wbits=31)
            self._used = 0
            if self._block:
                return True
        return False
