"""Take a BAI index apart and put it together otherwise, for tests that need a wrong one."""

import struct
from pathlib import Path

PSEUDO_BIN = struct.pack("<II", 37450, 2)  # how the bin begins that holds a contig's numbers


def split_bai(data: bytes) -> tuple[list[list[bytes]], list[bytes], bytes]:
    """Return the bins of each contig, its linear index, and what follows the last contig."""
    at = 8
    bins, linear = [], []
    for _ in range(struct.unpack_from("<i", data, 4)[0]):
        number = struct.unpack_from("<i", data, at)[0]
        at += 4
        bins.append([])
        for _ in range(number):
            size = 8 + 16 * struct.unpack_from("<i", data, at + 4)[0]
            bins[-1].append(data[at : at + size])
            at += size
        size = 4 + 8 * struct.unpack_from("<i", data, at)[0]
        linear.append(data[at : at + size])
        at += size
    return bins, linear, data[at:]


def join_bai(bins: list[list[bytes]], linear: list[bytes], end: bytes) -> bytes:
    """Return the index that `split_bai` would take apart so."""
    contigs = (
        struct.pack("<i", len(own)) + b"".join(own) + windows
        for own, windows in zip(bins, linear, strict=True)
    )
    return b"BAI\1" + struct.pack("<i", len(bins)) + b"".join(contigs) + end


def drop_pseudo_bins(bai: Path) -> None:
    """Make an index like those of old tools: without extents and numbers of records."""
    bins, linear, end = split_bai(bai.read_bytes())
    bins = [[one for one in own if not one.startswith(PSEUDO_BIN)] for own in bins]
    bai.write_bytes(join_bai(bins, linear, end))
