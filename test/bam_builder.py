"""Build BAM files from SAM text with the real samtools: for the tests, the demo and the benchmark.

contigs = [("chr1", 1000), ("chr2", 500)]
build_bam(Path("two.bam"), contigs, [sam_line("read1", "chr1", 10), sam_line("read2")])
"""

import struct
import subprocess
import zlib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

SORTED = "@HD\tVN:1.6\tSO:coordinate"


def sam_line(
    name: str,
    contig: str = "*",
    position: int = 0,
    flag: int | None = None,
    mapping_quality: int = 60,
    sequence: str = "ACGTACGTAC",
) -> str:
    """Return one alignment line.

    Args:
        name: QNAME.
        contig: RNAME; `*` makes an unplaced read.
        position: 1-based POS; 0 with an unplaced read.
        flag: FLAG; by default 0 for a placed and 4 (unmapped) for an unplaced read.
        mapping_quality: MAPQ.
        sequence: SEQ; a mapped read is one match of this length.
    """
    if flag is None:
        flag = 4 if contig == "*" else 0
    cigar = "*" if flag & 4 else f"{len(sequence)}M"
    quality = "I" * len(sequence)
    fields = (name, flag, contig, position, mapping_quality, cigar, "*", 0, 0, sequence, quality)
    return "\t".join(map(str, fields))


def header_lines(contigs: Iterable[tuple[str, int]]) -> list[str]:
    """Return a coordinate-sorted SAM header: one `@SQ` line for each (name, length)."""
    return [SORTED, *(f"@SQ\tSN:{name}\tLN:{length}" for name, length in contigs)]


def build_bam_from_lines(path: Path, lines: Iterable[str], threads: int = 0) -> Path:
    """Write the SAM `lines`, header first, as the BAM file `path`; return `path`.

    Args:
        path: the file to write.
        lines: header and alignment lines, without line ends, streamed one by one.
        threads: compression threads beside the main one.
    """
    command = ["samtools", "view", "--no-PG", "-b", "-@", str(threads), "-o", str(path), "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, encoding="utf-8", errors="surrogateescape"
    ) as samtools:
        assert samtools.stdin
        samtools.stdin.writelines(f"{line}\n" for line in lines)
    if samtools.returncode:
        raise subprocess.CalledProcessError(samtools.returncode, command)
    return path


def build_bam(
    path: Path, contigs: Iterable[tuple[str, int]], lines: Iterable[str] = (), threads: int = 0
) -> Path:
    """Write a BAM file with these contigs, (name, length), and these alignment lines."""
    return build_bam_from_lines(path, chain(header_lines(contigs), lines), threads)


def build_bam_of_many_blocks(path: Path, contigs: list[tuple[str, int]]) -> Path:
    """Write a BAM file with 2,000 reads in each contig, which fill several blocks."""
    return build_bam(
        path,
        contigs,
        (
            sam_line(f"{name}_{n}", name, 1 + n * 20, sequence="ACGT" * 25)
            for name, _ in contigs
            for n in range(2_000)
        ),
    )


def index_bam(bam: Path, index: Path) -> Path:
    """Write a fresh index of `bam` as `index`: CSI if the name ends in `.csi`, else BAI."""
    kind = ["-c"] if index.suffix == ".csi" else []
    subprocess.run(["samtools", "index", *kind, str(bam), str(index)], check=True)
    return index


def compress_block(data: bytes) -> bytes:
    """Return one BGZF block ("Sequence Alignment/Map Format Specification", 4.1)."""
    compressor = zlib.compressobj(wbits=-15)
    deflated = compressor.compress(data) + compressor.flush()
    size = len(deflated) + 26
    head = b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff\x06\x00BC\x02\x00" + struct.pack("<H", size - 1)
    return head + deflated + struct.pack("<II", zlib.crc32(data), len(data))
