"""count_from_index: the checked index is the answer, or the reason why not."""

from collections import Counter
from pathlib import Path

import dxpy
import pytest

from bam_builder import build_bam, index_bam, sam_line
from bam_file import UNPLACED, WholeFile
from counts import read_index_counts
from index_editor import PSEUDO_BIN, drop_pseudo_bins
from partial_bam import PartialFile
from samtools import verify_bam

REGIONS = [("chr1", 9_000), ("empty", 10), ("chr2", 9_000)]


@pytest.fixture
def bam(tmp_path) -> Path:
    lines = [sam_line(f"r{n}", "chr1" if n < 7 else "chr2", 1 + n) for n in range(12)]
    lines.append(sam_line("unplaced"))
    return build_bam(tmp_path / "sample.bam", REGIONS, lines)


@pytest.fixture(params=["whole", "partial"])
def read_counts(request, tmp_path, monkeypatch):
    """Read the counts of a BAM that is here, or on the platform."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def read(bam: Path, index: Path) -> Counter[int]:
        storage = WholeFile(bam)
        if request.param == "partial":
            storage = PartialFile.create(request.getfixturevalue("upload")(bam))
        return read_index_counts(verify_bam(storage), index)[1]

    return read


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
    with pytest.raises(dxpy.AppError, match=r"^count_from_index needs an index\. Give "):
        count(bam, count_from_index=True)


def test_the_index_of_another_bam_is_refused(read_counts, bam, tmp_path):
    other = build_bam(tmp_path / "other.bam", REGIONS, [sam_line("r", "chr1", 1)])
    index = index_bam(other, tmp_path / "other.bai")
    with pytest.raises(dxpy.AppError, match=r"'other.bai' does not have .* omit count_from_index"):
        read_counts(bam, index)


def test_an_index_without_numbers_is_refused(read_counts, bam, tmp_path):
    index = index_bam(bam, tmp_path / "old.bai")
    drop_pseudo_bins(index)
    with pytest.raises(dxpy.AppError, match="it has no count for region 'chr1'"):
        read_counts(bam, index)


def test_a_number_of_records_that_the_file_has_no_room_for_is_refused(read_counts, bam, tmp_path):
    index = index_bam(bam, tmp_path / "flipped.bai")
    data = bytearray(index.read_bytes())
    data[data.index(PSEUDO_BIN) + 24 + 5] ^= 1 << 6
    index.write_bytes(data)
    with pytest.raises(dxpy.AppError, match="lists 70,368,744,177,671 records in region 'chr1', "):
        read_counts(bam, index)


def test_an_index_that_lists_no_records_where_there_are_some_is_refused(read_counts, bam, tmp_path):
    index = index_bam(bam, tmp_path / "zero.bai")
    data = bytearray(index.read_bytes())
    at = data.index(PSEUDO_BIN) + 24
    data[at : at + 16] = bytes(16)
    index.write_bytes(data)
    with pytest.raises(dxpy.AppError, match="lists 0 records in region 'chr1', which cannot"):
        read_counts(bam, index)


def test_an_index_without_the_number_of_unplaced_reads_is_refused(read_counts, bam, tmp_path):
    index = index_bam(bam, tmp_path / "old.bai")
    index.write_bytes(index.read_bytes()[:-8])
    with pytest.raises(dxpy.AppError, match="it has no count for the unplaced reads"):
        read_counts(bam, index)


def test_the_index_of_a_bam_that_was_cut_is_refused(read_counts, bam, tmp_path):
    index = index_bam(bam, tmp_path / "x.bai")
    data = bam.read_bytes()
    first_block = int.from_bytes(data[16:18], "little") + 1
    bam.write_bytes(data[:first_block] + data[-28:])
    with pytest.raises(dxpy.AppError, match=r"'x.bai' does not have the counts"):
        read_counts(bam, index)
