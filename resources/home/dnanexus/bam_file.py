"""A BAM file as bytes: its header and its blocks. Standard library only."""

import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

_UINT32 = struct.Struct("<I")


class BamFormatError(ValueError):
    """The file is not a BAM file; the message says what it is instead."""


class BamHeader(NamedTuple):
    """What the binary header of a BAM file says about the file's layout."""

    contigs: list[str]
    """Names in the reference list; bytes that are not UTF-8 become surrogates, as in file names."""
    lengths: list[int]
    """Lengths of the contigs, in bases."""
    first_record: int
    """Virtual offset of the end of the header."""


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


def _read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def _is_block_start(data: bytes) -> bool:
    """Tell whether these 18 bytes begin a BGZF block, by the rule htslib uses."""
    return data[:4] == b"\x1f\x8b\x08\x04" and data[10:16] == b"\x06\x00BC\x02\x00"


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
