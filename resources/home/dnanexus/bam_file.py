"""Reads a BAM file: its header, its blocks, and chunks, which it copies into smaller BAM files.

    bam = open_bam(WholeFile(Path("sample.bam")))
    with bam.fetch(chunks, "region 'chr1'") as storage:
        copy_chunks(bam, storage, chunks, pipe)

Positions in a BAM are *virtual offsets*: the offset of a compressed block in the file times 65,536
plus an offset inside the uncompressed block. A *chunk* is the part between two of them. Formats:
"Sequence Alignment/Map Format Specification" (4.1 BGZF, 4.2 BAM, 5.1.1 chunks).
This module does not run samtools.
"""

import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

UNPLACED = -1  # the reference ID of reads without a region, in a BAM as here

# The smallest record: its length, 32 bytes of fields, and a name of one letter with a NUL.
SMALLEST_RECORD = 38  # bytes, uncompressed

# 64 KiB of zeros, deflated, with header and footer: no block has a higher compression ratio.
LARGEST_BLOCK_DATA, SMALLEST_FULL_BLOCK = 1 << 16, 90  # bytes

LARGEST_BLOCK = 1 << 16  # bytes, compressed
BLOCK_HEAD_SIZE = 18  # bytes, up to and including the size of the block

_END_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")

# htslib puts at most this much into a block, so that it fits even if it cannot be compressed.
_BLOCK_DATA = 0xFF00

_COPY_SIZE = 1 << 18

_UINT32 = struct.Struct("<I")


class BamFormatError(ValueError):
    """The file is not a BAM file; the message says what it is."""


class DamagedBamError(ValueError):
    """A part of the BAM file cannot be read; the message says which."""


class Chunk(NamedTuple):
    """The part of the file between two virtual offsets."""

    begin: int
    end: int

    @property
    def size(self) -> int:
        """Length in the compressed file, in bytes."""
        return (self.end >> 16) - (self.begin >> 16)

    @property
    def most_records(self) -> int:
        """Upper limit of the number of records in the chunk."""
        blocks = self.size // SMALLEST_FULL_BLOCK + 2
        return blocks * LARGEST_BLOCK_DATA // SMALLEST_RECORD


class Storage(Protocol):
    """Where the bytes of a BAM are: all on disk (`WholeFile`), or fetched (`PartialFile`)."""

    path: Path
    """A file of the BAM's size, in which at least the header and the end are readable."""
    processes_per_cpu: int
    """How many worker processes keep a CPU busy."""

    def open(self) -> BinaryIO:
        """Open the BAM for reading."""

    def fetch(self, chunks: Iterable[Chunk], what: str) -> "AbstractContextManager[Storage]":
        """Make chunks readable in the `path` of the storage that is returned.

        Args:
            chunks: parts of the BAM.
            what: their name in error messages.
        """


@dataclass
class WholeFile:
    """A BAM of which every byte is on disk."""

    path: Path
    processes_per_cpu = 1

    def open(self) -> BinaryIO:
        """Open the BAM for reading."""
        return self.path.open("rb")

    @contextmanager
    def fetch(self, chunks: Iterable[Chunk], what: str) -> Iterator[Storage]:  # noqa: ARG002
        """Yield this storage: every chunk is readable."""
        yield self


@dataclass(frozen=True)
class Bam:
    """A BAM file and what its binary header says."""

    storage: Storage
    name: str
    regions: list[str]
    """Names in the reference list; bytes that are not UTF-8 become surrogates, as in file names."""
    lengths: list[int]
    """Lengths of the regions, in bases."""
    first_record: int
    """Virtual offset of the end of the header."""
    size: int
    """In bytes."""

    @property
    def header(self) -> Chunk:
        """The chunk of the header."""
        return Chunk(0, self.first_record)

    @property
    def records(self) -> Chunk:
        """The chunk of all records, up to the end of the file."""
        return Chunk(self.first_record, self.size << 16)

    @cached_property
    def empty_rows(self) -> list[str]:
        """What samtools idxstats prints for each region if there are no records."""
        pairs = zip(self.regions, self.lengths, strict=True)
        return [f"{name}\t{length}\t0\t0" for name, length in pairs]

    def fetch(self, chunks: Sequence[Chunk], what: str) -> AbstractContextManager[Storage]:
        """Make the header and these chunks readable, like `Storage.fetch`."""
        return self.storage.fetch([self.header, *chunks], what)


def open_bam(storage: Storage) -> Bam:
    """Read the binary header of a BAM file.

    Raises:
        BamFormatError: the file is empty or of another format.
        DamagedBamError: the header is damaged, or the file ends within it.
    """
    with storage.open() as file:
        if _read_block_size(file, 0) is None:
            raise BamFormatError(_describe_kind(_read_at(file, 0, BLOCK_HEAD_SIZE)))
        reader = _BgzfReader(file)
        try:
            if reader.read(4) != b"BAM\1":
                raise BamFormatError("is a BGZF file, but not a BAM file")
            reader.read(_UINT32.unpack(reader.read(4))[0])
            regions, lengths = [], []
            for _ in range(_UINT32.unpack(reader.read(4))[0]):
                name = reader.read(_UINT32.unpack(reader.read(4))[0])
                regions.append(os.fsdecode(name.removesuffix(b"\0")))
                lengths.append(_UINT32.unpack(reader.read(4))[0])
        except (struct.error, zlib.error) as error:
            raise DamagedBamError("its header is truncated or damaged") from error
        size = os.fstat(file.fileno()).st_size
        return Bam(storage, storage.path.name, regions, lengths, reader.tell(), size)


def is_block_start(file: BinaryIO, address: int) -> bool:
    """Return whether a block begins at a byte of the file."""
    return _read_block_size(file, address) is not None


def has_offset(file: BinaryIO, offset: int) -> bool:
    """Return whether a virtual offset is inside the file, or at its end.

    Raises:
        DamagedBamError: the block is damaged.
    """
    return len(_inflate_block(file, offset >> 16)) >= offset & 0xFFFF


def read_reference_id(file: BinaryIO, offset: int) -> int | None:
    """Return the reference ID of the record at a virtual offset; None if no record begins there.

    Offsets that are not record starts are recognised by implausible fields.

    Raises:
        DamagedBamError: the block is damaged.
    """
    reader = _BgzfReader(file, offset)
    try:
        size, reference_id, position, name_length = struct.unpack("<IiiB", reader.read(13))
        name = reader.read(23 + name_length)[23:]
    except struct.error:
        return None
    except zlib.error as error:
        raise DamagedBamError(f"the block at byte {offset >> 16:,} is damaged ({error})") from error
    plausible = (
        size >= 32 + name_length > 32
        and reference_id >= UNPLACED
        and position >= -1
        and name.find(b"\0") == name_length - 1
    )
    return reference_id if plausible else None


def has_no_data_from(file: BinaryIO, offset: int) -> bool:
    """Return whether only empty blocks, as at the end of a file, follow a virtual offset."""
    reader = _BgzfReader(file, offset)
    try:
        return not reader.read(1) and not _read_at(file, reader.tell() >> 16, 1)
    except zlib.error:
        return False


def find_second_header(file: BinaryIO, chunk: Chunk) -> int | None:
    """Return the address of a BAM header after an end-of-file block in a chunk; None if none.

    BAM files that were joined with cat have one.
    """
    address, after_end = chunk.begin >> 16, False
    while address <= chunk.end >> 16 and (size := _read_block_size(file, address)):
        if after_end and _inflate_block(file, address).startswith(b"BAM\1"):
            return address
        after_end = _read_at(file, address + size - 4, 4) == bytes(4)
        address += size
    return None


def copy_chunks(bam: Bam, storage: Storage, chunks: Iterable[Chunk], target: BinaryIO) -> None:
    """Write a BAM that has the header of `bam` and the records of some chunks of it.

    Whole blocks are copied as they are. The blocks in which a chunk begins or ends are rewritten.
    A copy of a chunk that ends within a record is truncated, and samtools says so.

    Args:
        bam: the file to copy from.
        storage: where its header and these chunks are readable.
        chunks: the parts to copy.
        target: where to write.

    Raises:
        DamagedBamError: a block in which a chunk begins or ends is damaged.
    """
    with storage.open() as source:
        for chunk in [bam.header, *chunks]:
            _copy_chunk(source, chunk, target)
    target.write(_END_BLOCK)


def _copy_chunk(source: BinaryIO, chunk: Chunk, target: BinaryIO) -> None:
    (first, skipped), (last, kept) = divmod(chunk.begin, 1 << 16), divmod(chunk.end, 1 << 16)
    if first == last:
        _write_blocks(_inflate_block(source, first)[skipped:kept], target)
        return
    if skipped:
        _write_blocks(_inflate_block(source, first)[skipped:], target)
        first += _read_block_size(source, first) or 0
    source.seek(first)
    while data := source.read(min(_COPY_SIZE, last - source.tell())):
        target.write(data)
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

    A block is a gzip member with its size in the extra subfield BC. Other subfields may come before
    BC.
    """
    head = _read_at(file, address, BLOCK_HEAD_SIZE)
    if len(head) < BLOCK_HEAD_SIZE or head[:4] != b"\x1f\x8b\x08\x04":
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
        DamagedBamError: the block is damaged.
    """
    size = _read_block_size(file, address)
    try:
        return zlib.decompress(_read_at(file, address, size), wbits=31) if size else b""
    except zlib.error as error:
        raise DamagedBamError(f"the block at byte {address:,} is damaged ({error})") from error


def _describe_kind(first_bytes: bytes) -> str:
    """Return what a file that is not a BAM seems to be, as a phrase."""
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
    """Reads a BGZF file, starting at a virtual offset."""

    def __init__(self, file: BinaryIO, offset: int = 0) -> None:
        self._file = file
        self._block = b""
        self._used = 0
        self._address = 0
        self._next_address = offset >> 16
        self._skip = offset & 0xFFFF

    def read(self, size: int) -> bytes:
        """Return `size` bytes, or fewer at the end of the file."""
        parts = []
        while size and (self._used < len(self._block) or self._load_block()):
            part = self._block[self._used : self._used + size]
            self._used += len(part)
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def tell(self) -> int:
        """Return the virtual offset; as in htslib, the end of a block is the start of the next."""
        if self._used >= len(self._block):
            return self._next_address << 16
        return self._address << 16 | self._used

    def _load_block(self) -> bool:
        """Load the next block that has data to read; return whether there is one."""
        while size := _read_block_size(self._file, self._next_address):
            self._address = self._next_address
            self._next_address += size
            self._block = zlib.decompress(_read_at(self._file, self._address, size), wbits=31)
            self._used, self._skip = self._skip, 0
            if self._used < len(self._block):
                return True
        return False
