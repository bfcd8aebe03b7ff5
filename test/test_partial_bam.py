"""A file that holds a part of a BAM: whatever works on a BAM works on it, and takes little room."""

import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dxpy
import pytest

from bam_builder import build_bam, index_bam, sam_line
from bam_file import Bam
from bam_index import read_index
from counts import take_counts_from_index
from partial_bam import fetch_ends, hold_stretches
from samtools import verify_bam

REGIONS = 60
CONTIGS = [(f"chr{n}", 100_000) for n in range(REGIONS)]
READS = 40
WHOLE = "".join(f"Region {name}: {READS}\n" for name, _ in CONTIGS) + "Total reads: 2400"


def random_lines(number: int, contig: str = "*", length: int = 2_000) -> Iterator[str]:
    """Yield reads that hardly compress: about 1,250 bytes each by default."""
    draw = random.Random(contig)
    for n in range(number):
        sequence = "".join(draw.choices("ACGT", k=length))
        yield sam_line(f"{contig}.{n}", contig, 0 if contig == "*" else 1 + n, sequence=sequence)


@pytest.fixture(scope="module")
def bam(tmp_path_factory) -> Path:
    """A BAM of 60 regions and of many unplaced reads, 2 MB."""
    lines = [line for name, _ in CONTIGS for line in random_lines(READS, name)]
    folder = tmp_path_factory.mktemp("partial")
    return build_bam(folder / "sample.bam", CONTIGS, [*lines, *random_lines(1_000)])


@pytest.fixture(scope="module")
def index(bam) -> Path:
    return index_bam(bam, bam.with_suffix(".bam.bai"))


@pytest.fixture
def partial(bam, upload, tmp_path, monkeypatch) -> Bam:
    """The two ends of the BAM."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return verify_bam(fetch_ends(upload(bam)))


@pytest.fixture
def small_calls(monkeypatch) -> None:
    """Cut the work as a file of gigabytes would be cut, for two CPUs, and be quick to try again."""
    monkeypatch.setattr("slices.SMALLEST_SHARE", 1)
    monkeypatch.setattr("slices.SMALLEST_SLICE", 20_000)
    monkeypatch.setattr("applet.cpu_count", lambda: 2)
    monkeypatch.setattr("remote_file.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("remote_file.TIMEOUT_SECONDS", 0.5)


def run(*command: str | Path) -> str:
    return subprocess.check_output(list(map(str, command)), text=True)


def test_the_header_is_that_of_the_whole_file(partial, bam):
    header = ("samtools", "view", "--no-PG", "-H")
    assert run(*header, partial.path) == run(*header, bam)
    assert partial.path.stat().st_size == bam.stat().st_size
    assert partial.path.stat().st_blocks * 512 < bam.stat().st_size / 2


def test_records_that_are_held_are_read_with_the_whole_index(partial, bam, index):
    extent = read_index(index, partial).extents[30]
    view = ("samtools", "view", "-X")
    with hold_stretches(partial, [extent.stretch], "chr30") as held:
        assert run(*view, held.path, index, "chr30") == run(*view, bam, index, "chr30")
    assert not held.path.exists()


def test_what_is_read_and_not_held_is_fetched(partial, bam):
    draw = random.Random(1)
    data = bam.read_bytes()
    with partial.open() as file:
        for _ in range(200):
            begin, size = draw.randrange(len(data)), draw.choice([1, 18, 70_000])
            file.seek(begin)
            assert file.read(size) == data[begin : begin + size]


def test_counts_from_the_index_cost_a_few_requests(
    server, bam, index, upload, monkeypatch, tmp_path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    partial = verify_bam(fetch_ends(upload(bam)))
    _, counts = take_counts_from_index(partial, index)
    assert set(list(counts.values())[:REGIONS]) == {READS}
    assert 20 < len(server.ranges()) <= 45
    assert sum(size for _, _, size in server.ranges()) < 1_000_000


def test_a_second_bam_behind_many_unplaced_reads_is_seen(bam, index, upload, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    joined = tmp_path / "joined.bam"
    joined.write_bytes(bam.read_bytes() * 2)
    with pytest.raises(dxpy.AppError, match="records of a region follow its last one, at byte"):
        take_counts_from_index(verify_bam(fetch_ends(upload(joined))), index)


@pytest.mark.usefixtures("small_calls")
@pytest.mark.parametrize(
    "faults",
    [["cut", "stall"], ["500", "early end", "503"], ["403", "foreign range", "200"]],
    ids=lambda faults: " ".join(faults),
)
def test_faults_in_the_middle_leave_the_counts_right(server, count_parts, bam, index, faults):
    server.inject(*[""] * 10, *[one for fault in faults * 4 for one in (fault, "", "")])
    assert count_parts(bam, index) == WHOLE


@pytest.mark.usefixtures("small_calls")
@pytest.mark.parametrize("at", [0, 1, 9, 45, 70])
def test_wrong_bytes_are_never_a_wrong_number(server, count_parts, bam, index, at):
    server.inject(*[""] * at, "wrong bytes")
    try:
        counts = count_parts(bam, index)
    except dxpy.AppError as refusal:
        counts = str(refusal)
    assert counts == WHOLE or "'sample.bam'" in counts


@pytest.mark.usefixtures("small_calls")
def test_a_part_that_cannot_be_fetched_says_which_region(
    server, count_parts, bam, index, monkeypatch
):
    monkeypatch.setattr("remote_file.TRIES", 2)
    server.inject(*[""] * 60, *["500"] * 500)
    with pytest.raises(dxpy.AppError) as refusal:
        count_parts(bam, index)
    assert re.match(
        r"'sample\.bam' could not be fetched in .*(region|regions).* 'chr\d+.*: of bytes [\d,]+ to "
        r"[\d,]+, asked for 2 times, the server answered with status 500\. Run the applet again\.",
        str(refusal.value),
    )


@pytest.mark.usefixtures("small_calls")
def test_an_index_that_is_built_here_needs_the_whole_file_and_says_so(count_parts, bam, capsys):
    assert count_parts(bam) == WHOLE
    assert "That needs all of 'sample.bam' on this machine: downloading" in capsys.readouterr().out


@pytest.mark.usefixtures("small_calls")
@pytest.mark.parametrize("small_disk", ["2m"], indirect=True)
def test_a_bam_much_larger_than_the_disk_is_counted_in_parts(
    count, count_parts, small_disk, tmp_path, monkeypatch
):
    lines = [line for name, _ in CONTIGS for line in random_lines(400, name)]
    bam = build_bam(tmp_path / "large.bam", CONTIGS, lines)
    index = index_bam(bam, tmp_path / "large.bai")
    assert bam.stat().st_size > 5 * (2 << 20)
    monkeypatch.setenv("HOME", str(small_disk))
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    assert count_parts(bam, index, machines=2) == count(bam, index)
