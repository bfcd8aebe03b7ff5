"""A BAM file as bytes: its header, its blocks, and copies of parts of it that are BAM again.

    bam = open_bam(Path("sample.bam"))
    stretch = Stretch(bam.first_record, bam.size << 16)
    copy_stretches(bam, [stretch], pipe)

Positions in a BAM are *virtual offsets*: the offset of a compressed block in the file times 65,536
plus an offset inside the uncompressed block. Layouts: "Sequence Alignment/Map Format Specification"
(4.1 BGZF, 4.2 BAM). Standard library only; nothing here runs samtools.
"""

import io
import os
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

UNPLACED = -1  # the reference ID of reads without a region, in a BAM as here

# No record is shorter: its length, 32 bytes of fields, a name of one letter and its end.
SMALLEST_RECORD = 38  # bytes, uncompressed

# What 64 KiB of zeros deflate to, with header and footer: no block holds more for its size.
LARGEST_BLOCK_DATA, SMALLEST_FULL_BLOCK = 1 << 16, 90  # bytes

LARGEST_BLOCK = 1 << 16  # bytes, compressed
BLOCK_HEAD_SIZE = 18  # bytes, in which a block tells its size

_END_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")

# htslib puts at most this much into a block, so that it fits even if it cannot be compressed.
_BLOCK_DATA = 0xFF00

_COPY_SIZE = 1 << 18

_UINT32 = struct.Struct("<I")


class BamFormatError(ValueError):
    """The file is not a BAM file; the message says what it is instead."""


class Stretch(NamedTuple):
    """A part of the file, from one virtual offset up to another one."""

    begin: int
    end: int

    @property
    def size(self) -> int:
        """Length in the compressed file, in bytes."""
        return (self.end >> 16) - (self.begin >> 16)

    @property
    def most_records(self) -> int:
        """A number of records that is more than fit into it, however well they compress."""
        blocks = self.size // SMALLEST_FULL_BLOCK + 2
        return blocks * LARGEST_BLOCK_DATA // SMALLEST_RECORD


class Source(Protocol):
    """What a BAM is read from if its file does not hold all of it."""

    def open(self) -> BinaryIO:
        """Open it for reading."""
        ...

    def fetch_heads(self, addresses: Iterable[int]) -> None:
        """Fetch at once the heads of blocks that will be looked at."""
        ...


class Bam(NamedTuple):
    """A BAM file and what its binary header says."""

    path: Path
    """Where it lies; for htslib's sake that may not be its name."""
    name: str
    regions: list[str]
    """Names in the reference list; bytes that are not UTF-8 become surrogates, as in file names."""
    lengths: list[int]
    """Lengths of the regions, in bases."""
    first_record: int
    """Virtual offset of the end of the header."""
    size: int
    """In bytes."""
    source: Source | None = None
    """Where its bytes are read from; None if all of them are in the file."""

    def open(self) -> BinaryIO:
        """Open it for reading, whether its bytes are in the file or not."""
        return self.source.open() if self.source else self.path.open("rb")


def open_bam(path: Path, source: Source | None = None) -> Bam:
    """Read the binary header of a BAM file.

    Args:
        path: the file.
        source: where its bytes are read from; None if all of them are in the file.

    Raises:
        BamFormatError: the file is empty, of another format, or ends within the header.
    """
    with source.open() if source else path.open("rb") as file:
        if _read_block_size(file, 0) is None:
            raise BamFormatError(_describe_kind(_read_at(file, 0, 18)))
        reader = _BgzfReader(file)
        try:
            if reader.read(4) != b"BAM\1":
                raise BamFormatError("is in compressed blocks as a BAM is, but is something else")
            reader.read(_UINT32.unpack(reader.read(4))[0])
            regions, lengths = [], []
            for _ in range(_UINT32.unpack(reader.read(4))[0]):
                name = reader.read(_UINT32.unpack(reader.read(4))[0])
                regions.append(os.fsdecode(name.removesuffix(b"\0")))
                lengths.append(_UINT32.unpack(reader.read(4))[0])
        except (struct.error, zlib.error) as error:
            raise BamFormatError("ends or is damaged within its header") from error
        size = os.fstat(file.fileno()).st_size
        return Bam(path, path.name, regions, lengths, reader.tell(), size, source)


def is_block_start(file: BinaryIO, address: int) -> bool:
    """Tell whether a block begins at a byte of the file."""
    return _read_block_size(file, address) is not None


def read_reference_id(file: BinaryIO, offset: int) -> int | None:
    """Return the reference ID of the record at a virtual offset; None if no record begins there.

    What is no record is told by its fields, which contradict one another or the format.

    Raises:
        zlib.error: the block is damaged.
    """
    reader = _BgzfReader(file, offset)
    try:
        size, reference_id, position, name_length = struct.unpack("<IiiB", reader.read(13))
        name = reader.read(23 + name_length)[23:]
    except struct.error:
        return None
    plausible = (
        size >= 32 + name_length > 32
        and reference_id >= UNPLACED
        and position >= -1
        and name.find(b"\0") == name_length - 1
    )
    return reference_id if plausible else None


def has_no_data_from(file: BinaryIO, position: int) -> bool:
    """Tell whether only empty blocks, as at the end of a file, follow a virtual offset."""
    reader = _BgzfReader(file, position)
    try:
        return not reader.read(1) and not _read_at(file, reader.tell() >> 16, 1)
    except zlib.error:
        return False


def find_second_header(file: BinaryIO, position: int) -> int | None:
    """Return the address of a BAM header behind an end, from a virtual offset on; None without one.

    So two BAM files end up in one that were joined as if they were text.
    """
    address, after_end = position >> 16, False
    while size := _read_block_size(file, address):
        if after_end and _inflate_block(file, address).startswith(b"BAM\1"):
            return address
        after_end = _read_at(file, address + size - 4, 4) == bytes(4)
        address += size
    return None


def find_placed_record(bam: Bam, begin: int, looks: int) -> int | None:
    """Look for records of a region at a few places behind a byte of a BAM.

    Returns:
        The address of a block that begins with one; None if none was met.
    """
    with bam.open() as file:
        for look in range(1, looks + 1):
            address = begin + (bam.size - LARGEST_BLOCK - begin) * look // looks
            data = _read_at(file, max(begin, address), LARGEST_BLOCK)
            at = _find_block(data)
            if at is not None:
                number = read_reference_id(io.BytesIO(data), at << 16)
                if number is not None and 0 <= number < len(bam.regions):
                    return max(begin, address) + at
    return None


def _find_block(data: bytes) -> int | None:
    """Return where the first whole block begins in some bytes of a BAM; None if there is none."""
    file = io.BytesIO(data)
    at = data.find(_END_BLOCK[:4])
    while at >= 0:
        with suppress(zlib.error):
            if _inflate_block(file, at):
                return at
        at = data.find(_END_BLOCK[:4], at + 1)
    return None


def copy_stretches(bam: Bam, stretches: Iterable[Stretch], target: BinaryIO) -> None:
    """Write a BAM that has the header of `bam` and only the records of some stretches of it.

    Blocks are copied as they are. Only those in which a stretch begins or ends are made anew.
    A stretch that ends within a record ends the copy within it, too, and a reader complains.
    """
    with bam.open() as source:
        for stretch in [Stretch(0, bam.first_record), *stretches]:
            _copy_stretch(source, stretch, target)
    target.write(_END_BLOCK)


def _copy_stretch(source: BinaryIO, stretch: Stretch, target: BinaryIO) -> None:
    (first, skipped), (last, kept) = divmod(stretch.begin, 1 << 16), divmod(stretch.end, 1 << 16)
    if first == last:
        _write_blocks(_inflate_block(source, first)[skipped:kept], target)
        return
    if skipped:
        _write_blocks(_inflate_block(source, first)[skipped:], target)
        first += _read_block_size(source, first) or 0
    source.seek(first)
    while chunk := source.read(min(_COPY_SIZE, last - source.tell())):
        target.write(chunk)
    if kept:
        _write_blocks(_inflate_block(source, last)[:kept], target)


def _write_blocks(data: bytes, target: BinaryIO) -> None:
    """Write data as blocks that are hardly compressed."""
    for at in range(0, len(data), _BLOCK_DATA):
        part = data[at : at + _BLOCK_DATA]
        compressor = zlib.compressobj(level=1, wbits=-15)
        deflated = compressor.compress(part) + compressor.flush()
        size = struct.pack("<H", 18 + len(deflated) + 8 - 1)
        target.write(_END_BLOCK[:16] + size + deflated)
        target.write(struct.pack("<II", zlib.crc32(part), len(part)))


def _read_at(file: BinaryIO, address: int, size: int) -> bytes:
    file.seek(address)
    return file.read(size)


def _read_block_size(file: BinaryIO, address: int) -> int | None:
    """Return the size in bytes of the block that begins at an address; None if none does.

    A block is a gzip member that tells its size in an extra subfield, BC. Other subfields may stand
    before it.
    """
    head = _read_at(file, address, BLOCK_HEAD_SIZE)
    if len(head) < 18 or head[:4] != b"\x1f\x8b\x08\x04":
        return None
    extra_length = int.from_bytes(head[10:12], "little")
    extra = head[12:] if extra_length == 6 else _read_at(file, address + 12, extra_length)
    while len(extra) >= 4:
        length = int.from_bytes(extra[2:4], "little")
        if extra[:4] == b"BC\2\0" and len(extra) >= 6:
            size = int.from_bytes(extra[4:6], "little") + 1
            return size if size >= 12 + extra_length + 8 else None
        extra = extra[4 + length :]
    return None


def _inflate_block(file: BinaryIO, address: int) -> bytes:
    """Return the data of the block at an address; nothing if there is no block.

    Raises:
        zlib.error: it is damaged.
    """
    size = _read_block_size(file, address)
    return zlib.decompress(_read_at(file, address, size), wbits=31) if size else b""


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
    """Reads a BGZF file from a virtual offset on, and knows where it is."""

    def __init__(self, file: BinaryIO, offset: int = 0) -> None:
        self._file = file
        self._block = b""
        self._used = 0
        self._address = 0
        self._next_address = offset >> 16
        self._skip = offset & 0xFFFF

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
        if self._used >= len(self._block):
            return self._next_address << 16
        return self._address << 16 | self._used

    def _load_block(self) -> bool:
        """Load the next block that has something to read; return whether there is one."""
        while size := _read_block_size(self._file, self._next_address):
            self._address = self._next_address
            self._next_address += size
            self._block = zlib.decompress(_read_at(self._file, self._address, size), wbits=31)
            self._used, self._skip = self._skip, 0
            if self._used < len(self._block):
                return True
        return False
