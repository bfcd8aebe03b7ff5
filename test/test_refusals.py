"""Bad input: each ends in one AppError that names the file and what to do."""

import gzip
import re
import subprocess
from pathlib import Path

import dxpy
import pytest

from bam_builder import (
    build_bam,
    build_bam_from_lines,
    build_bam_of_many_blocks,
    compress_block,
    header_lines,
    index_bam,
    sam_line,
)
from bam_file import WholeFile, open_bam
from bam_index import read_index
from job_log import MORE_DISK
from outputs import write_outputs
from summary import CountSummary, RegionCount

REGIONS = [("chr1", 300_000), ("chr2", 300_000), ("chr3", 300_000)]

SORT = "Sort it with samtools sort."
GIVE_A_BAM = "Give a complete BAM file; samtools sort writes one from SAM or CRAM."
UPLOAD_CHECKED = "Upload it again, from a copy that passes samtools quickcheck."
UPLOAD_READ = "Upload it again, from a copy that samtools view -c reads to its end."
REHEADER = "Rewrite the header with samtools reheader."
ALIGN = "Give a BAM file of aligned reads."
WITHOUT_INDEX = "Upload the file again, or count what is left of it without the index."
HEADER = "Give a file with the header that its reads were aligned to."
MERGE = "Join BAM files with samtools merge or samtools cat, not with cat."


@pytest.fixture
def refuse(count):
    """Count a BAM that must be refused with this remedy; return the message."""

    def refuse_bam(bam: Path, remedy: str, index: Path | None = None) -> str:
        with pytest.raises(dxpy.AppError) as error:
            count(bam, index)
        message = str(error.value)
        print(f"AppError: {message}")
        assert repr(bam.name) in message
        assert message.endswith(f" {remedy}")
        assert "\n" not in message
        assert str(bam.parent) not in message
        return message

    return refuse_bam


@pytest.fixture
def bam(tmp_path) -> Path:
    return build_bam_of_many_blocks(tmp_path / "sample.bam", REGIONS)


def block_addresses(data: bytes) -> list[int]:
    addresses = [0]
    while addresses[-1] < len(data):
        size = int.from_bytes(data[addresses[-1] + 16 : addresses[-1] + 18], "little") + 1
        addresses.append(addresses[-1] + size)
    return addresses[:-1]


def corrupt_the_middle_of(region: int, bam: Path, index: Path) -> None:
    """Overwrite some bytes in a block that holds records of one region only."""
    begin, end = read_index(index, open_bam(WholeFile(bam))).chunks[region]
    data = bytearray(bam.read_bytes())
    inside = [address for address in block_addresses(data) if begin >> 16 < address < end >> 16]
    middle = inside[len(inside) // 2]
    data[middle + 100 : middle + 110] = bytes(10)
    bam.write_bytes(data)


def test_an_empty_file(refuse, tmp_path):
    bam = tmp_path / "empty.bam"
    bam.touch()
    assert "is empty (0 bytes)" in refuse(bam, GIVE_A_BAM)


def test_a_text_file(refuse, tmp_path):
    bam = tmp_path / "text.bam"
    bam.write_text(">chr1 is FASTA\nACGT\n")
    assert "is not a BAM file" in refuse(bam, GIVE_A_BAM)


def test_an_ordinary_gzip_file(refuse, tmp_path):
    bam = tmp_path / "gzip.bam"
    bam.write_bytes(gzip.compress(b"some text"))
    assert "is an ordinary gzip file" in refuse(bam, GIVE_A_BAM)


def test_a_sam_file_compressed_in_blocks(refuse, tmp_path):
    bam = tmp_path / "sam_gz.bam"
    bam.write_bytes(compress_block("\n".join(header_lines(REGIONS)).encode()))
    assert "is a BGZF file, but not a BAM file" in refuse(bam, GIVE_A_BAM)


def test_a_sam_file(refuse, tmp_path):
    bam = tmp_path / "sam.bam"
    bam.write_text("\n".join(header_lines(REGIONS)))
    assert "is SAM text" in refuse(bam, GIVE_A_BAM)


def test_a_cram_file(refuse, bam, tmp_path):
    cram = tmp_path / "cram.bam"
    options = ["-C", "--output-fmt-option", "no_ref=1"]
    subprocess.run(["samtools", "view", *options, "-o", cram, bam], check=True)
    assert "is a CRAM file" in refuse(cram, GIVE_A_BAM)


def test_cut_off_in_the_middle_of_a_block(refuse, bam):
    bam.write_bytes(bam.read_bytes()[:-5_000])
    assert "is truncated or damaged" in refuse(bam, UPLOAD_CHECKED)


def test_cut_off_within_the_header(refuse, bam):
    bam.write_bytes(bam.read_bytes()[:60])
    assert "its header is truncated or damaged" in refuse(bam, UPLOAD_READ)


def test_cut_off_at_a_block_within_a_record(refuse, tmp_path):
    lines = [sam_line(f"r{n}", "chr1", 1, sequence="ACGT" * 30_000) for n in range(3)]
    bam = build_bam(tmp_path / "long_reads.bam", REGIONS, lines)
    data = bam.read_bytes()
    bam.write_bytes(data[: block_addresses(data)[3]] + data[-28:])
    assert "could not be indexed: it is damaged" in refuse(bam, UPLOAD_READ)


def test_no_end_of_file_block(refuse, bam):
    bam.write_bytes(bam.read_bytes()[:-28])
    assert "was missing EOF block" in refuse(bam, UPLOAD_CHECKED)


@pytest.mark.parametrize("with_index", [True, False], ids=["index given", "no index"])
def test_a_corrupt_block_names_the_region(refuse, bam, tmp_path, with_index):
    index = index_bam(bam, tmp_path / "good.bai")
    corrupt_the_middle_of(1, bam, index)
    assert "'chr2'" in refuse(bam, UPLOAD_READ, index if with_index else None)


@pytest.mark.parametrize(
    "places",
    [
        [("chr1", 500), ("chr1", 10)],
        [("chr1", 1), ("chr2", 1), ("chr1", 2)],
        [("*", 0), ("chr1", 1)],
    ],
    ids=["positions", "regions", "unplaced first"],
)
def test_not_sorted(refuse, tmp_path, places):
    lines = [sam_line(f"read{n}", *place) for n, place in enumerate(places)]
    bam = build_bam(tmp_path / "unsorted.bam", REGIONS, lines)
    assert "is not sorted by coordinate" in refuse(bam, SORT)


def test_cut_off_since_the_index_was_made(refuse, bam, tmp_path):
    index = index_bam(bam, tmp_path / "whole.bai")
    data = bam.read_bytes()
    addresses = block_addresses(data)
    bam.write_bytes(data[: addresses[len(addresses) // 2]] + data[-28:])
    message = refuse(bam, WITHOUT_INDEX, index)
    assert re.search(
        r"is truncated: its index 'whole.bai' lists records up to byte [\d,]+, ", message
    )


def test_cut_off_in_the_last_region_since_the_index_was_made(refuse, bam, tmp_path):
    index = index_bam(bam, tmp_path / "whole.bai")
    data = bam.read_bytes()
    bam.write_bytes(data[: block_addresses(data)[-2]] + data[-28:])
    assert "is truncated: its index 'whole.bai' lists" in refuse(bam, WITHOUT_INDEX, index)


def test_not_sorted_though_the_index_is_of_the_same_blocks(refuse, bam, tmp_path):
    index = index_bam(bam, tmp_path / "good.bai")
    data, addresses = bam.read_bytes(), block_addresses(bam.read_bytes())
    border = read_index(index, open_bam(WholeFile(bam))).chunks[1].begin >> 16
    a, b, c = addresses[addresses.index(border) :][:3]
    bam.write_bytes(data[:a] + data[b:c] + data[a:b] + data[c:])
    assert "file is not position sorted" in refuse(bam, SORT, index)


def test_damaged_among_the_unplaced_reads(refuse, tmp_path):
    bam = build_bam(tmp_path / "x.bam", REGIONS, [sam_line(f"u{n}") for n in range(9)])
    data = bam.read_bytes()
    bam.write_bytes(data[:-28] + b"garbage" + data[-28:])
    assert "it is damaged after an unplaced read (samtools" in refuse(bam, UPLOAD_READ)


def test_no_regions_in_the_header(refuse, tmp_path):
    lines = ["@HD\tVN:1.6\tSO:unsorted", sam_line("unaligned")]
    bam = build_bam_from_lines(tmp_path / "unaligned.bam", lines)
    assert "has no @SQ line" in refuse(bam, ALIGN)


def test_a_header_whose_two_lists_of_regions_differ(refuse, tmp_path):
    bam = build_bam(tmp_path / "two_headers.bam", [("chr1", 9), ("chr2", 9)])
    data = bam.read_bytes()
    first_block = data[: block_addresses(data)[1]]
    header = gzip.decompress(first_block)
    renamed = header.replace(b"SN:chr2", b"SN:chrX", 1)
    bam.write_bytes(compress_block(renamed) + data[len(first_block) :])
    assert "do not match its binary reference list" in refuse(bam, REHEADER)


def test_a_read_far_beyond_the_end_of_its_region(refuse, tmp_path):
    bam = build_bam(tmp_path / "beyond.bam", [("c", 500)], [sam_line("r", "c", 600_000_000)])
    message = refuse(bam, HEADER)
    assert message.startswith("The header of 'beyond.bam' does not match its records: ")
    assert "Region 599999999..600000009 cannot be stored in a bai index" in message


@pytest.mark.parametrize("with_index", [True, False], ids=["index given", "no index"])
@pytest.mark.parametrize("unplaced", [0, 3])
def test_two_files_that_were_joined_with_cat(refuse, tmp_path, with_index, unplaced):
    lines = [sam_line("r", "chr1", 5), *(sam_line(f"u{n}") for n in range(unplaced))]
    bam = build_bam(tmp_path / "joined.bam", REGIONS, lines)
    index = index_bam(bam, tmp_path / "first.bai")
    size = bam.stat().st_size
    bam.write_bytes(bam.read_bytes() * 2)
    message = refuse(bam, MERGE, index if with_index else None)
    assert f"a second BAM header follows at byte {size:,}" in message


def test_a_file_name_that_samtools_takes_for_two(refuse, bam):
    bam = bam.rename(bam.with_name("a##idx##b.bam"))
    assert "takes what follows ##idx##" in refuse(bam, "Rename the file.")


def test_the_disk_is_full_when_an_index_is_built(refuse, bam, small_disk, monkeypatch):
    (small_disk / "filler").write_bytes(bytes(65_536))
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    assert "could not be written, probably because the disk is full (samtools index: " in refuse(
        bam, MORE_DISK
    )


def test_the_disk_is_full_when_a_chunk_index_is_written(
    refuse, bam, tmp_path, small_disk, monkeypatch
):
    index = index_bam(bam, tmp_path / "x.bai")
    (small_disk / "filler").write_bytes(bytes(65_536))
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    monkeypatch.setattr("tasks.SMALLEST_CHUNK", 1)
    assert "No space left on the disk for counting" in refuse(bam, MORE_DISK, index)


def test_the_disk_is_full_when_the_output_files_are_written(small_disk):
    regions = [RegionCount(f"a_region_with_a_long_name_{n}", 1, 0) for n in range(5_000)]
    summary = CountSummary("sample", "sample", "none", "", regions, 0, "", "", "")
    with pytest.raises(dxpy.AppError, match=r"No space left on the disk for the output files\. R"):
        write_outputs(small_disk, summary)
