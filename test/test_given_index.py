"""The given index is a hint: used if it describes the BAM, else replaced with a warning.

One that describes the BAM, and lists other counts than samtools counts, ends the job.
"""

import gzip
import random
import re
import struct
import subprocess
from pathlib import Path

import dxpy
import pytest

from bam_builder import build_bam, index_bam, sam_line
from bam_file import WholeFile, open_bam
from bam_index import read_index
from index_editor import PSEUDO_BIN, drop_pseudo_bins, join_bai, split_bai

REGIONS = [("chr1", 100_000), ("chr2", 100_000), ("empty", 100), ("chr3", 100_000)]
EXPECTED = "Region chr1: 500\nRegion chr2: 300\nRegion empty: 0\nRegion chr3: 100\nTotal reads: 900"


def records(step: int = 100) -> list[str]:
    return [
        sam_line(f"{region}_{n}", region, 1 + n * step)
        for region, number in [("chr1", 500), ("chr2", 300), ("chr3", 100)]
        for n in range(number)
    ]


@pytest.fixture
def bam(tmp_path) -> Path:
    lines = [*records(), *(sam_line(f"unplaced_{n}") for n in range(20))]
    return build_bam(tmp_path / "sample.bam", REGIONS, lines)


@pytest.fixture
def bai(bam, tmp_path) -> Path:
    return index_bam(bam, tmp_path / "good.bai")


@pytest.fixture
def accept(count, capsys):
    """Count with an index that must be used."""

    def accept_index(bam: Path, index: Path) -> None:
        assert count(bam, index) == EXPECTED
        assert "Building" not in capsys.readouterr().out

    return accept_index


@pytest.fixture
def replace(count, capsys):
    """Count with an index that must be replaced; return the warning."""

    def replace_index(bam: Path, index: Path) -> str:
        assert count(bam, index) == EXPECTED
        log = capsys.readouterr().out.splitlines()
        assert any(line.startswith(f"Building an index of {bam.name!r}") for line in log)
        # When it happens, and at the end of the log.
        warning, again = (line for line in log if line.startswith("WARNING: "))
        assert warning == again == log[-2]
        assert warning.startswith(
            f"WARNING: The index {index.name!r} does not match {bam.name!r}: it "
        )
        return warning

    return replace_index


@pytest.fixture
def blame(count):
    """Count with an index that counting must show to be wrong; return the message."""

    def blame_index(bam: Path, index: Path, **filters: int) -> str:
        with pytest.raises(dxpy.AppError) as error:
            count(bam, index, **filters)
        message = str(error.value)
        assert message.startswith(f"The index {index.name!r} does not match {bam.name!r}: it ")
        assert message.endswith("Run the applet again without it.")
        return message

    return blame_index


def test_bai(accept, bam, bai):
    accept(bam, bai)


def test_csi(accept, bam, tmp_path):
    accept(bam, index_bam(bam, tmp_path / "good.csi"))


def test_csi_that_is_not_compressed(accept, bam, tmp_path):
    csi = index_bam(bam, tmp_path / "good.csi")
    csi.write_bytes(gzip.decompress(csi.read_bytes()))
    accept(bam, csi)


@pytest.mark.parametrize("name", ["no extension", "x.csi", "-x.bai", "é;$(ls).bai"])
def test_any_name(accept, bam, bai, name):
    accept(bam, bai.rename(bai.parent / name))


def test_a_good_index_is_used_though_an_old_one_lies_beside_the_bam(accept, bam, bai):
    Path(f"{bam}.csi").write_bytes(b"rubbish")
    accept(bam, bai)


def test_an_index_with_an_older_time_stamp(accept, bam, bai):
    subprocess.run(["touch", "-d", "2020-01-01", bai], check=True)
    accept(bam, bai)


def test_without_pseudo_bins(replace, bam, bai):
    drop_pseudo_bins(bai)
    assert "it has no count for region 'chr1', like old indexes" in replace(bam, bai)


def test_no_index(count, bam, capsys):
    assert count(bam) == EXPECTED
    assert "Building an index of 'sample.bam'" in capsys.readouterr().out


def test_empty_file(replace, bam, bai):
    bai.write_bytes(b"")
    assert "it is empty" in replace(bam, bai)


@pytest.mark.parametrize("content", [b"no index\n", b"BAI\1", b"\x1f\x8bno gzip", bytes(500)])
def test_garbage(replace, bam, bai, content):
    bai.write_bytes(content)
    assert ": it is " in replace(bam, bai)


def test_the_bam_itself_given_as_index(replace, bam):
    assert "it is neither a BAI nor a CSI index" in replace(bam, bam)


@pytest.mark.parametrize("kind", ["bai", "csi"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_truncated(replace, bam, tmp_path, kind, kept):
    index = index_bam(bam, tmp_path / f"cut.{kind}")
    data = index.read_bytes()
    index.write_bytes(data[: int(len(data) * kept)])
    assert "it is truncated" in replace(bam, index)


@pytest.mark.parametrize("regions", [REGIONS[:3], [*REGIONS, ("chr4", 9)]], ids=["few", "many"])
def test_other_number_of_regions(replace, bam, tmp_path, regions):
    lines = [line for line in records() if "\tchr3\t" not in line]
    other = build_bam(tmp_path / "other.bam", regions, lines)
    index = index_bam(other, tmp_path / "other.bai")
    assert f"it lists {len(regions)} regions and the BAM has 4" in replace(bam, index)


def test_of_another_bam_with_the_same_header(replace, bam, tmp_path):
    other = build_bam(tmp_path / "other.bam", REGIONS, records(step=37)[5:])
    assert "it belongs to another BAM or an older version" in replace(
        bam, index_bam(other, tmp_path / "other.bai")
    )


def test_of_an_empty_bam_with_the_same_header(replace, bam, tmp_path):
    other = build_bam(tmp_path / "other.bam", REGIONS)
    assert "it belongs to another BAM or an older version" in replace(
        bam, index_bam(other, tmp_path / "other.bai")
    )


def test_stale_since_reads_were_appended(replace, bam, tmp_path):
    lines = [line for line in records() if "\tchr3\t" not in line]
    index = index_bam(build_bam(tmp_path / "old.bam", REGIONS, lines), tmp_path / "old.bai")
    assert "it belongs to another BAM or an older version" in replace(bam, index)


@pytest.mark.parametrize("unplaced", [1, 19, 21])
def test_a_wrong_number_of_unplaced_reads(count, capsys, bam, bai, unplaced):
    """Indexes of samtools 1.0 list 1 unplaced read, whatever the file has."""
    bai.write_bytes(bai.read_bytes()[:-8] + struct.pack("<Q", unplaced))
    assert count(bam, bai) == EXPECTED
    assert re.search(
        rf"WARNING: The index 'good\.bai' lists {unplaced} unplaced reads?, samtools counts 20\.",
        capsys.readouterr().out,
    )


def test_one_unplaced_read_too_many_in_a_file_without(replace, tmp_path):
    bam = build_bam(tmp_path / "all_placed.bam", REGIONS, records())
    bai = index_bam(bam, tmp_path / "samtools_1_0.bai")
    bai.write_bytes(bai.read_bytes()[:-8] + struct.pack("<Q", 1))
    assert "it lists 1 unplaced read, but a region that ends at the end of the file" in replace(
        bam, bai
    )


def test_of_an_old_sambamba(replace, bam, bai):
    """Up to 0.6.6 the bounds of the last region include the unplaced reads."""
    end = read_index(bai, open_bam(WholeFile(bam))).get_end(open_bam(WholeFile(bam)))
    moved = (bam.stat().st_size - 28) << 16
    data = bai.read_bytes()
    bai.write_bytes(data.replace(struct.pack("<Q", end), struct.pack("<Q", moved)))
    assert "it lists 20 unplaced reads, but a region that ends at the end of the file" in replace(
        bam, bai
    )


def test_unplaced_reads_the_index_does_not_know_of(replace, bam, bai):
    bai.write_bytes(bai.read_bytes()[:-8] + bytes(8))
    assert "it belongs to another BAM or an older version" in replace(bam, bai)


def test_no_number_of_unplaced_reads(replace, bam, bai):
    bai.write_bytes(bai.read_bytes()[:-8])
    assert "it has no count for the unplaced reads, like old indexes" in replace(bam, bai)


def test_no_records_in_a_region_with_a_chunk(replace, bam, bai):
    data = bytearray(bai.read_bytes())
    struct.pack_into("<2Q", data, data.index(PSEUDO_BIN) + 24, 0, 0)
    bai.write_bytes(data)
    assert "it lists 0 records in region 'chr1', which cannot be in a chunk" in replace(bam, bai)


def test_wrong_number_of_records(blame, bam, bai):
    data = bytearray(bai.read_bytes())
    at = data.index(PSEUDO_BIN) + 8 + 16
    assert struct.unpack_from("<Q", data, at) == (500,)
    struct.pack_into("<Q", data, at, 501)
    bai.write_bytes(data)
    assert "it lists 501 records in 'chr1', samtools counts 500" in blame(bam, bai)


def test_more_records_than_fit_into_the_file(replace, bam, bai):
    data = bytearray(bai.read_bytes())
    struct.pack_into("<Q", data, data.index(PSEUDO_BIN) + 24, 500 | 1 << 46)
    bai.write_bytes(data)
    assert "it lists 70,368,744,178,164 records in region 'chr1', which" in replace(bam, bai)


def test_a_number_of_regions_that_takes_a_minute_to_read(replace, bam, bai):
    data = bytearray(bai.read_bytes())
    struct.pack_into("<I", data, 4, 2**31)
    bai.write_bytes(data)
    assert "it lists 2,147,483,648 regions" in replace(bam, bai)


def test_a_gzip_bomb(replace, bam, tmp_path, monkeypatch):
    monkeypatch.setattr("bam_index.LARGEST_INDEX", 10 << 20)
    bomb = tmp_path / "bomb.csi"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        file.write(b"CSI\1" + struct.pack("<iiii", 14, 5, 0, 4))
        for _ in range(11):
            file.write(bytes(1 << 20))
    assert "it has bytes after its end" in replace(bam, bomb)


def test_record_starts_that_are_none(blame, tmp_path, monkeypatch):
    """Chunks that begin in the middle of a record must not be counted as they come."""
    monkeypatch.setattr("tasks.SMALLEST_TASK", 1)
    monkeypatch.setattr("tasks.SMALLEST_CHUNK", 1)
    draw = random.Random(1)
    lines = [
        sam_line(f"{n}", "chr1", 1 + n * 10, sequence="".join(draw.choices("ACGT", k=100)))
        for n in range(9_000)
    ]
    bam = build_bam(tmp_path / "cut.bam", REGIONS, lines)
    bai = index_bam(bam, tmp_path / "shifted.bai")
    bins, linear, end = split_bai(bai.read_bytes())
    (windows,) = struct.unpack_from("<i", linear[0])
    offsets = struct.unpack_from(f"<{windows}Q", linear[0], 4)
    linear[0] = struct.pack(f"<i{windows}Q", windows, *(offset + 7 for offset in offsets))
    bai.write_bytes(join_bai(bins, linear, end))
    assert "it lists a record of region 'chr1' at byte " in blame(bam, bai)
