"""BAM files that the tutorial's applet counts wrongly: `python test/tutorial_bams.py FOLDER`.

The lesson (src/README.md) shows what happens with each of them.
"""

import sys
from pathlib import Path

from bam_builder import build_bam, build_bam_from_lines, header_lines, index_bam, sam_line

REGIONS = [("chr1", 1_000_000), ("chr2", 1_000_000)]
# More than one compressed block for each region.
READS = [sam_line(f"{name}_{n}", name, n) for name, _ in REGIONS for n in range(1, 10_001)]


def build_ambiguous_names(folder: Path) -> None:
    """Two regions: the name of one is the name of the other with ":01" added."""
    names = ["HLA-A*01:01", "HLA-A*01:01:01"]
    reads = [sam_line(f"{name}_{n}", name, n) for name in names for n in (1, 2, 3)]
    _index(build_bam(folder / "hla.bam", [(name, 1000) for name in names], reads))


def build_comment(folder: Path) -> None:
    """A comment in the header that has "SN:" in it."""
    lines = [*header_lines(REGIONS), "@CO\twas aligned to SN:chrOld", *READS[:5]]
    _index(build_bam_from_lines(folder / "comment.bam", lines))


def build_unaligned(folder: Path) -> None:
    """Reads that were never aligned, so the header has no region."""
    _index(build_bam(folder / "unaligned.bam", [], [sam_line(f"r{n}") for n in range(5)]))


def build_foreign_index(folder: Path) -> None:
    """An index of another sample, which has no reads."""
    other = build_bam(folder / "other.bam", REGIONS)
    index_bam(other, folder / "foreign_index.bam.bai")
    other.unlink()
    build_bam(folder / "foreign_index.bam", REGIONS, READS)


def build_cut_off(folder: Path) -> None:
    """A transfer that ended too early, between two compressed blocks of chr2."""
    bam = _index(build_bam(folder / "cut_off.bam", REGIONS, READS))
    data = bam.read_bytes()
    bam.write_bytes(data[: _last_block(data)])


def build_damaged(folder: Path) -> None:
    """A wrong byte in the last block that has records."""
    bam = _index(build_bam(folder / "damaged.bam", REGIONS, READS))
    data = bytearray(bam.read_bytes())
    data[_last_block(data) + 1000] ^= 1
    bam.write_bytes(data)


def build_without_index(folder: Path) -> None:
    """No index."""
    build_bam(folder / "no_index.bam", REGIONS, READS[:5])


def _last_block(data: bytes) -> int:
    """Return where the last compressed block with records begins, before the 28-byte end block."""
    return data[:-28].rindex(b"\x1f\x8b\x08\x04")


def _index(bam: Path) -> Path:
    """Write a fresh index beside a BAM file; return the BAM file."""
    index_bam(bam, Path(f"{bam}.bai"))
    return bam


BUILDERS = (
    build_ambiguous_names,
    build_comment,
    build_unaligned,
    build_foreign_index,
    build_cut_off,
    build_damaged,
    build_without_index,
)


def main() -> None:
    """Write all BAM files, with their indexes, into a folder, which is made if there is none."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for build in BUILDERS:
        build(folder)


if __name__ == "__main__":
    main()
