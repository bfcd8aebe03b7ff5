"""A BAM file as bytes: its header, the records at its offsets, and copies of parts of it."""

import random
import subprocess
import zlib
from pathlib import Path

import pytest

from bam_builder import build_bam, index_bam, sam_line
from bam_file import (
    UNPLACED,
    BamFormatError,
    Chunk,
    DamagedBamError,
    WholeFile,
    copy_chunks,
    has_no_data_from,
    open_bam,
    read_reference_id,
)
from bam_index import read_index

REGIONS = [("chr1", 500_000), ("empty", 10), ("chr2", 500_000)]


@pytest.fixture(scope="module")
def bam_path(tmp_path_factory) -> Path:
    draw = random.Random(0)
    places = [("chr1", 1 + n * 50) for n in range(3_000)] + [("chr2", 9)] * 400 + [("*", 0)] * 70
    lines = [
        sam_line(f"r{n}", *place, sequence="".join(draw.choices("ACGT", k=100)))
        for n, place in enumerate(places)
    ]
    path = build_bam(tmp_path_factory.mktemp("bams") / "sample.bam", REGIONS, lines)
    index_bam(path, path.with_suffix(".bai"))
    return path


@pytest.fixture
def bam(bam_path):
    return open_bam(WholeFile(bam_path))


@pytest.fixture
def index(bam_path, bam):
    return read_index(bam_path.with_suffix(".bai"), bam)


def count_copy(bam, chunks: list[Chunk], target: Path) -> subprocess.CompletedProcess:
    with target.open("wb") as file:
        copy_chunks(bam, bam.storage, chunks, file)
    return subprocess.run(["samtools", "view", "-c", target], capture_output=True, text=True)


def test_header_gives_names_lengths_and_size(bam, bam_path):
    assert list(zip(bam.regions, bam.lengths, strict=True)) == REGIONS
    assert bam.size == bam_path.stat().st_size


def test_header_longer_than_a_block(tmp_path):
    regions = [(f"region_{n}", n + 1) for n in range(9_000)]
    path = build_bam(tmp_path / "x.bam", regions, [sam_line("r", "region_8999", 1)])
    bam = open_bam(WholeFile(path))
    assert list(zip(bam.regions, bam.lengths, strict=True)) == regions
    read_index(index_bam(path, tmp_path / "x.bai"), bam)


def test_a_file_that_is_no_bam_has_no_header(tmp_path):
    (tmp_path / "x").write_bytes(b"CRAM\3")
    with pytest.raises(BamFormatError, match="is a CRAM file"):
        open_bam(WholeFile(tmp_path / "x"))


def test_a_record_tells_its_region(bam, index):
    with bam.storage.path.open("rb") as file:
        begins = [chunk.begin for chunk in index.chunks if chunk]
        assert [read_reference_id(file, begin) for begin in begins] == [0, 2]
        assert read_reference_id(file, index.get_end(bam)) == UNPLACED


@pytest.mark.parametrize("shift", [1, 4, 7, 36, 60])
def test_the_middle_of_a_record_is_no_record(bam, index, shift):
    with bam.storage.path.open("rb") as file:
        assert read_reference_id(file, index.chunks[0].begin + shift) is None


def test_a_damaged_block_has_no_record_to_read(bam, index, tmp_path):
    data = bytearray(bam.storage.path.read_bytes())
    address = index.chunks[0].begin >> 16
    data[address + 200 : address + 210] = bytes(10)
    (tmp_path / "damaged.bam").write_bytes(data)
    with (
        (tmp_path / "damaged.bam").open("rb") as file,
        pytest.raises(DamagedBamError, match=r"the block at byte .* is damaged"),
    ):
        read_reference_id(file, index.chunks[0].begin)


def test_only_the_end_has_no_data_behind_it(bam, index):
    with bam.storage.path.open("rb") as file:
        assert not has_no_data_from(file, index.get_end(bam))
        assert has_no_data_from(file, (bam.size - 28) << 16)


def test_a_copy_has_exactly_the_records_of_its_chunks(bam, index, tmp_path):
    starts = sorted({one for one in index.record_starts[0] if one})
    windows = [
        int(count_copy(bam, [Chunk(*pair)], tmp_path / "window.bam").stdout)
        for pair in zip(starts, [*starts[1:], index.chunks[0].end], strict=True)
    ]
    assert sum(windows) == 3_000
    first = Chunk(starts[1], starts[3])
    last = Chunk(starts[-1], index.chunks[2].end)
    rest = Chunk(index.get_end(bam), bam.size << 16)
    done = count_copy(bam, [first, last, rest], tmp_path / "copy.bam")
    assert int(done.stdout) == windows[1] + windows[2] + windows[-1] + 400 + 70
    assert not done.stderr


def test_a_chunk_within_one_block_can_be_copied(bam, index, tmp_path):
    begin = index.chunks[0].begin
    size = 4 + int.from_bytes(read_data(bam.storage.path, begin)[:4], "little")
    done = count_copy(bam, [Chunk(begin + size, begin + 3 * size)], tmp_path / "two.bam")
    assert (done.stdout, done.stderr) == ("2\n", "")


def read_data(path: Path, begin: int) -> bytes:
    """Return the data of a block from a virtual offset on."""
    block = path.read_bytes()[begin >> 16 :]
    return zlib.decompressobj(wbits=31).decompress(block)[begin & 0xFFFF :]


def test_a_copy_that_ends_within_a_record_is_refused_by_samtools(bam, index, tmp_path):
    begin, end = index.chunks[0]
    done = count_copy(bam, [Chunk(begin, end - 9)], tmp_path / "cut.bam")
    assert done.returncode != 0
