"""count_from_index: the checked index is the answer, or the reason why not."""

from pathlib import Path

import dxpy
import pytest

from bam_builder import build_bam, index_bam, sam_line
from bam_file import UNPLACED, open_bam
from counts import take_counts_from_index
from index_editor import PSEUDO_BIN, drop_pseudo_bins
from partial_bam import fetch_ends
from samtools import verify_bam

CONTIGS = [("chr1", 9_000), ("empty", 10), ("chr2", 9_000)]


@pytest.fixture
def bam(tmp_path) -> Path:
    lines = [sam_line(f"r{n}", "chr1" if n < 7 else "chr2", 1 + n) for n in range(12)]
    lines.append(sam_line("unplaced"))
    return build_bam(tmp_path / "sample.bam", CONTIGS, lines)


@pytest.fixture(params=["whole", "partial"])
def read_counts(request, tmp_path, monkeypatch):
    """Read the counts of a BAM that lies here, or on the platform."""
    if request.param == "whole":
        return lambda bam, index: take_counts_from_index(open_bam(bam), index)[1]
    upload = request.getfixturevalue("upload")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return lambda bam, index: take_counts_from_index(verify_bam(fetch_ends(upload(bam))), index)[1]


@pytest.mark.parametrize("kind", ["bai", "csi"])
def test_counts_are_those_of_the_index(read_counts, bam, tmp_path, kind):
    counts = read_counts(bam, index_bam(bam, tmp_path / f"x.{kind}"))
    assert counts == {0: 7, 1: 0, 2: 5, UNPLACED: 1}


def test_no_record_is_read(read_counts, bam, tmp_path):
    """The records of this BAM are overwritten; only the blocks' first and last bytes are left."""
    index = index_bam(bam, tmp_path / "x.bai")
    data = bytearray(bam.read_bytes())
    address = int.from_bytes(data[16:18], "little") + 1
    data[address + 30 : address + 60] = bytes(30)
    bam.write_bytes(data)
    assert read_counts(bam, index)[0] == 7


def test_without_an_index_it_is_refused_before_the_download(count, bam):
    with pytest.raises(dxpy.AppError, match=r"no index to take the counts from\. Give "):
        count(bam, count_from_index=True)


def test_the_index_of_another_bam_is_refused(read_counts, bam, tmp_path):
    other = build_bam(tmp_path / "other.bam", CONTIGS, [sam_line("r", "chr1", 1)])
    index = index_bam(other, tmp_path / "other.bai")
    with pytest.raises(dxpy.AppError, match=r"'other.bai' does not give .* leave count_from_index"):
        read_counts(bam, index)


def test_an_index_without_numbers_is_refused(read_counts, bam, tmp_path):
    index = index_bam(bam, tmp_path / "old.bai")
    drop_pseudo_bins(index)
    with pytest.raises(dxpy.AppError, match="has no number of records for region 'chr1'"):
        read_counts(bam, index)


def test_a_number_of_records_that_the_file_has_no_room_for_is_refused(read_counts, bam, tmp_path):
    index = index_bam(bam, tmp_path / "flipped.bai")
    data = bytearray(index.read_bytes())
    data[data.index(PSEUDO_BIN) + 24 + 5] ^= 1 << 6
    index.write_bytes(data)
    with pytest.raises(dxpy.AppError, match="70,368,744,177,671 records in 0 bytes, which"):
        read_counts(bam, index)


def test_a_bam_with_another_one_behind_it_is_refused(read_counts, bam, tmp_path):
    index = index_bam(bam, tmp_path / "x.bai")
    bam.write_bytes(bam.read_bytes() * 2)
    with pytest.raises(dxpy.AppError, match=r"another BAM follows this one from byte \d+ on"):
        read_counts(bam, index)


def test_the_index_of_a_bam_that_was_cut_is_refused(read_counts, bam, tmp_path):
    index = index_bam(bam, tmp_path / "x.bai")
    data = bam.read_bytes()
    first_block = int.from_bytes(data[16:18], "little") + 1
    bam.write_bytes(data[:first_block] + data[-28:])
    with pytest.raises(dxpy.AppError, match=r"'x.bai' does not give the counts"):
        read_counts(bam, index)
