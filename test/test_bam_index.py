"""Reading indexes into extents, cutting stretches, and the slice indexes samtools believes."""

import random
import struct
import subprocess
from pathlib import Path

import pytest

from bam_builder import build_bam, index_bam, sam_line
from bam_file import BamFormatError, read_header
from bam_index import UNPLACED, BamIndexError, Stretch, check_index, read_index, unplaced_stretch
from slices import cut_stretch, write_slice_index

CONTIGS = [("chr1", 500_000), ("empty", 10), ("chr2", 500_000)]
RECORDS = {"chr1": 6_000, "chr2": 900}


def count(bam: Path, index: Path, region: str) -> int:
    command = ["samtools", "view", "-c", "-X", bam, index, region]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not done.stderr
    return int(done.stdout)


@pytest.fixture(scope="module")
def bam(tmp_path_factory) -> Path:
    draw = random.Random(0)
    lines = [
        sam_line(f"{contig}_{n}", contig, 1 + n * 50, sequence="".join(draw.choices("ACGT", k=100)))
        for contig, number in RECORDS.items()
        for n in range(number)
    ]
    lines += [sam_line(f"unplaced_{n}") for n in range(70)]
    return build_bam(tmp_path_factory.mktemp("bams") / "sample.bam", CONTIGS, lines)


@pytest.fixture(params=["bai", "csi"])
def index(request, bam, tmp_path):
    return read_index(index_bam(bam, tmp_path / f"x.{request.param}"))


def test_header_gives_names_and_lengths(bam):
    header = read_header(bam)
    assert list(zip(header.contigs, header.lengths, strict=True)) == CONTIGS


def test_header_longer_than_a_block(tmp_path):
    contigs = [(f"contig_{n}", n + 1) for n in range(9_000)]
    bam = build_bam(tmp_path / "x.bam", contigs, [sam_line("r", "contig_8999", 1)])
    header = read_header(bam)
    assert list(zip(header.contigs, header.lengths, strict=True)) == contigs
    check_index(read_index(index_bam(bam, tmp_path / "x.bai")), header, bam)


def test_a_file_that_is_no_bam_has_no_header(tmp_path):
    (tmp_path / "x").write_bytes(b"CRAM\3")
    with pytest.raises(BamFormatError, match="is a CRAM file"):
        read_header(tmp_path / "x")


def test_extents_have_the_numbers_of_records(index):
    first, empty, last = index.extents
    assert (first.records, empty, last.records) == (6_000, None, 900)
    assert index.unplaced == 70


def test_extents_tile_the_file(index, bam):
    header = read_header(bam)
    first, _, last = index.extents
    assert first.stretch.begin == header.first_record
    assert first.stretch.end == last.stretch.begin
    unplaced = unplaced_stretch(index, header, bam)
    assert unplaced == Stretch(last.stretch.end, bam.stat().st_size << 16)


def test_an_index_of_this_bam_passes_the_check(index, bam):
    check_index(index, read_header(bam), bam)


def test_an_index_that_points_into_a_block_fails_the_check(index, bam):
    first = index.extents[0]
    index.extents[0] = first._replace(stretch=first.stretch._replace(end=first.stretch.end + 65536))
    last = index.extents[2]
    begin = last.stretch.begin + 65536
    index.extents[2] = last._replace(stretch=last.stretch._replace(begin=begin))
    with pytest.raises(BamIndexError, match="the BAM has no block"):
        check_index(index, read_header(bam), bam)


@pytest.mark.parametrize("end", [0, 2**60, 2**64 - 1])
def test_an_index_that_ends_where_no_file_does_fails_the_check(index, bam, end):
    last = index.extents[2]
    index.extents[2] = last._replace(stretch=last.stretch._replace(end=end))
    with pytest.raises(BamIndexError, match="which it cannot"):
        check_index(index, read_header(bam), bam)


def test_a_slice_index_shows_exactly_one_slice(index, bam, tmp_path):
    """Pieces of a contig together have each of its records once."""
    stretch = index.extents[0].stretch
    pieces = cut_stretch(stretch, index.record_starts[0], stretch.size / 5)
    assert len(pieces) > 1
    counts = []
    for piece in pieces:
        write_slice_index(tmp_path / "slice.csi", {0: piece})
        counts.append(count(bam, tmp_path / "slice.csi", "{chr1}"))
    assert sum(counts) == 6_000
    assert all(counts)


def test_a_slice_index_serves_several_contigs(index, bam, tmp_path):
    slices = {contig: index.extents[contig].stretch for contig in (0, 2)}
    write_slice_index(tmp_path / "slices.csi", slices)
    assert [count(bam, tmp_path / "slices.csi", name) for name in RECORDS] == [6_000, 900]


def test_a_slice_index_shows_the_unplaced_reads(index, bam, tmp_path):
    stretch = unplaced_stretch(index, read_header(bam), bam)
    write_slice_index(tmp_path / "unplaced.csi", {UNPLACED: stretch})
    assert count(bam, tmp_path / "unplaced.csi", "*") == 70


@pytest.mark.parametrize("size", [1, 7, 30, 99, 100, 1_000])
def test_pieces_are_the_stretch(size):
    stretch = Stretch(10 << 16 | 5, 110 << 16)
    starts = [0, 0, *(offset << 16 for offset in range(200, 3, -3))]
    pieces = cut_stretch(stretch, starts, size)
    assert pieces[0].begin == stretch.begin
    assert pieces[-1].end == stretch.end
    assert [piece.end for piece in pieces[:-1]] == [piece.begin for piece in pieces[1:]]
    assert {piece.begin for piece in pieces[1:]} <= set(starts)
    assert all(piece.begin < piece.end for piece in pieces)
    assert max(piece.size for piece in pieces) <= size + 3


def test_a_stretch_without_record_starts_stays_whole():
    stretch = Stretch(10 << 16, 99 << 16)
    assert cut_stretch(stretch, [], 5) == [stretch]


@pytest.mark.parametrize("magic", [b"BAI\1", b"CSI\1"])
def test_random_bytes_are_refused_and_nothing_else_happens(tmp_path, magic):
    draw = random.Random(3)
    for length in range(400):
        (tmp_path / "x").write_bytes(magic + draw.randbytes(length))
        with pytest.raises(BamIndexError):
            read_index(tmp_path / "x")


def test_huge_counts_in_a_short_index_end_soon(tmp_path):
    (tmp_path / "x.bai").write_bytes(b"BAI\1" + struct.pack("<IIII", 2**32 - 1, 2**32 - 1, 1, 0))
    with pytest.raises(BamIndexError, match="truncated"):
        read_index(tmp_path / "x.bai")
