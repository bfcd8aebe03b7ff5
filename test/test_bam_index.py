"""Reading indexes, and what shows that one is not of its BAM."""

import random
import struct
from pathlib import Path

import pytest

from bam_builder import build_bam, index_bam, sam_line
from bam_file import WholeFile, open_bam
from bam_index import BamIndexError, TruncatedBamError, read_index

REGIONS = [("chr1", 500_000), ("empty", 10), ("chr2", 500_000)]
RECORDS = {"chr1": 6_000, "chr2": 900}


@pytest.fixture(scope="module")
def bam(tmp_path_factory) -> Path:
    draw = random.Random(0)
    lines = [
        sam_line(f"{region}_{n}", region, 1 + n * 50, sequence="".join(draw.choices("ACGT", k=100)))
        for region, number in RECORDS.items()
        for n in range(number)
    ]
    lines += [sam_line(f"unplaced_{n}") for n in range(70)]
    return build_bam(tmp_path_factory.mktemp("bams") / "sample.bam", REGIONS, lines)


@pytest.fixture(params=["bai", "csi"])
def index_path(request, bam, tmp_path) -> Path:
    return index_bam(bam, tmp_path / f"x.{request.param}")


@pytest.fixture
def index(bam, index_path):
    return read_index(index_path, open_bam(WholeFile(bam)))


def test_an_index_lists_the_numbers_of_records(index):
    assert index.counts == [6_000, 0, 900]
    assert index.unplaced == 70


def test_chunks_follow_each_other(index, bam):
    first, empty, last = index.chunks
    assert empty is None
    assert first.begin == open_bam(WholeFile(bam)).first_record
    assert first.end == last.begin
    assert last.end == index.get_end(open_bam(WholeFile(bam)))


def replace_offset(bai: Path, old: int, new: int) -> Path:
    """Put another virtual offset wherever a BAI index has this one."""
    bai.write_bytes(bai.read_bytes().replace(struct.pack("<Q", old), struct.pack("<Q", new)))
    return bai


def test_an_index_that_points_into_a_block_is_not_of_this_bam(bam, tmp_path):
    bai = index_bam(bam, tmp_path / "x.bai")
    border = read_index(bai, open_bam(WholeFile(bam))).chunks[2].begin
    with pytest.raises(BamIndexError, match="where no block of the BAM begins"):
        read_index(replace_offset(bai, border, border + 65536), open_bam(WholeFile(bam)))


@pytest.mark.parametrize("end", [0, 1])
def test_an_index_that_ends_a_region_before_it_begins_is_not_of_this_bam(bam, tmp_path, end):
    bai = index_bam(bam, tmp_path / "x.bai")
    index = read_index(bai, open_bam(WholeFile(bam)))
    with pytest.raises(BamIndexError, match="it lists region 'chr2' from virtual offset"):
        read_index(
            replace_offset(bai, index.get_end(open_bam(WholeFile(bam))), end),
            open_bam(WholeFile(bam)),
        )


def test_a_bam_that_was_cut_within_a_region_is_told_from_another_one(bam, index_path, tmp_path):
    begin = read_index(index_path, open_bam(WholeFile(bam))).chunks[2].begin >> 16
    cut = tmp_path / "cut.bam"
    cut.write_bytes(bam.read_bytes()[:begin] + bam.read_bytes()[-28:])
    with pytest.raises(
        TruncatedBamError, match=r"^it lists records up to byte .*, beyond the end of the file$"
    ):
        read_index(index_path, open_bam(WholeFile(cut)))


def test_an_index_of_a_larger_bam_with_the_same_header_is_not_of_this_one(bam, tmp_path):
    index = index_bam(bam, tmp_path / "x.bai")
    small = build_bam(tmp_path / "small.bam", REGIONS, [sam_line("r", "chr1", 1)])
    with pytest.raises(BamIndexError, match="another BAM or an older version"):
        read_index(index, open_bam(WholeFile(small)))


@pytest.mark.parametrize("magic", [b"BAI\1", b"CSI\1"])
def test_random_bytes_are_refused_and_nothing_else_happens(bam, tmp_path, magic):
    draw = random.Random(3)
    for length in range(400):
        (tmp_path / "x").write_bytes(magic + draw.randbytes(length))
        with pytest.raises(BamIndexError):
            read_index(tmp_path / "x", open_bam(WholeFile(bam)))


def test_huge_counts_in_a_short_index_end_soon(bam, tmp_path):
    (tmp_path / "x.bai").write_bytes(b"BAI\1" + struct.pack("<IIII", 3, 2**32 - 1, 1, 0))
    with pytest.raises(BamIndexError, match="truncated"):
        read_index(tmp_path / "x.bai", open_bam(WholeFile(bam)))
