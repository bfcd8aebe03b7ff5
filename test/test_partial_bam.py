"""A file that holds a part of a BAM: whatever works on a BAM works on it, and takes little room."""

import multiprocessing
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
from counts import read_index_counts
from partial_bam import PartialFile
from samtools import verify_bam

REGIONS = [(f"chr{n}", 100_000) for n in range(60)]
READS = 40
WHOLE = "".join(f"Region {name}: {READS}\n" for name, _ in REGIONS) + "Total reads: 2400"


def random_lines(number: int, region: str = "*", length: int = 2_000) -> Iterator[str]:
    """Yield reads that hardly compress: about 1,250 bytes each by default."""
    draw = random.Random(region)
    for n in range(number):
        sequence = "".join(draw.choices("ACGT", k=length))
        yield sam_line(f"{region}.{n}", region, 0 if region == "*" else 1 + n, sequence=sequence)


@pytest.fixture(scope="module")
def bam(tmp_path_factory) -> Path:
    """A BAM of 60 regions and of many unplaced reads, 2 MB."""
    lines = [line for name, _ in REGIONS for line in random_lines(READS, name)]
    folder = tmp_path_factory.mktemp("partial")
    return build_bam(folder / "sample.bam", REGIONS, [*lines, *random_lines(1_000)])


@pytest.fixture(scope="module")
def index(bam) -> Path:
    return index_bam(bam, bam.with_suffix(".bam.bai"))


@pytest.fixture
def partial(bam, upload, tmp_path, monkeypatch) -> Bam:
    """The two ends of the BAM."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return verify_bam(PartialFile.create(upload(bam)))


@pytest.fixture
def small_tasks(monkeypatch) -> None:
    """Cut the work as a file of gigabytes would be cut, for two CPUs, and be quick to try again."""
    monkeypatch.setattr("tasks.SMALLEST_TASK", 1)
    monkeypatch.setattr("tasks.SMALLEST_CHUNK", 20_000)
    monkeypatch.setattr("multiprocessing.cpu_count", lambda: 2)
    monkeypatch.setattr("remote_file.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("remote_file.TIMEOUT_SECONDS", 0.5)


def run(*command: str | Path) -> str:
    return subprocess.check_output(list(map(str, command)), text=True)


def test_the_header_is_that_of_the_whole_file(partial, bam):
    header = ("samtools", "view", "--no-PG", "-H")
    assert run(*header, partial.storage.path) == run(*header, bam)
    assert partial.storage.path.stat().st_size == bam.stat().st_size
    assert partial.storage.path.stat().st_blocks * 512 < bam.stat().st_size / 2


def test_chunks_that_are_fetched_are_read_with_the_whole_index(partial, bam, index):
    chunk = read_index(index, partial).chunks[30]
    view = ("samtools", "view", "-X")
    with partial.fetch([chunk], "chr30") as fetched:
        assert run(*view, fetched.path, index, "chr30") == run(*view, bam, index, "chr30")
        assert fetched.path.name == bam.name
    assert not fetched.path.exists()


def test_what_is_read_and_missing_is_fetched(partial, bam):
    draw = random.Random(1)
    data = bam.read_bytes()
    with partial.storage.open() as file:
        for _ in range(200):
            begin, size = draw.randrange(len(data)), draw.choice([1, 18, 70_000])
            file.seek(begin)
            assert file.read(size) == data[begin : begin + size]


def test_counts_from_the_index_cost_a_few_requests(
    dx_faults, bam, index, upload, monkeypatch, tmp_path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    link = upload(bam)
    asked = dx_faults("nothing", times=None)
    partial = verify_bam(PartialFile.create(link))
    _, counts = read_index_counts(partial, index)
    assert {counts[number] for number in range(len(REGIONS))} == {READS}
    assert asked() <= 20
    assert partial.storage.path.stat().st_blocks * 512 < 1_000_000


@pytest.mark.usefixtures("small_tasks")
@pytest.mark.parametrize(
    "faults",
    [["cut", "stall"], ["500", "early_end", "503"], ["403", "foreign_range", "whole_file"]],
    ids=lambda faults: " ".join(faults),
)
def test_faults_in_the_middle_leave_the_counts_right(
    dx_faults, count_on_machines, bam, index, faults
):
    for number, fault in enumerate(faults * 4):
        dx_faults(fault, skip=10 + 2 * number)
    assert count_on_machines(bam, index) == WHOLE


@pytest.mark.usefixtures("small_tasks")
@pytest.mark.parametrize("at", [0, 1, 9, 45, 70])
def test_wrong_bytes_are_never_a_wrong_number(dx_faults, count_on_machines, bam, index, at):
    dx_faults("wrong_bytes", skip=at)
    try:
        counts = count_on_machines(bam, index)
    except dxpy.AppError as error:
        counts = str(error)
    assert counts == WHOLE or "'sample.bam'" in counts


@pytest.mark.usefixtures("small_tasks")
def test_chunks_that_cannot_be_fetched_says_which_region(
    dx_faults, count_on_machines, bam, index, monkeypatch
):
    monkeypatch.setattr("remote_file.TRIES", 2)
    dx_faults("500", skip=60, times=None)
    with pytest.raises(dxpy.AppError) as error:
        count_on_machines(bam, index)
    assert re.match(
        r"Downloading bytes [\d,]+-[\d,]+ of 'sample\.bam' \(.*(region|regions).* 'chr\d+.*\) "
        r"failed 2 times: the server answered with status 500\. Run the applet again\.",
        str(error.value),
    )


@pytest.mark.usefixtures("small_tasks")
def test_an_index_that_does_not_match_is_replaced_though_that_needs_the_whole_file(
    count_on_machines, bam, capsys, tmp_path
):
    (tmp_path / "x.bai").write_bytes(b"")
    assert count_on_machines(bam, tmp_path / "x.bai") == WHOLE
    assert "samtools index reads the whole file once" in capsys.readouterr().out


@pytest.mark.usefixtures("small_tasks")
@pytest.mark.parametrize("small_disk", ["3m"], indirect=True)
def test_tasks_of_a_bam_much_larger_than_the_disk(
    count, count_on_machines, small_disk, tmp_path, monkeypatch
):
    lines = [line for name, _ in REGIONS for line in random_lines(400, name)]
    bam = build_bam(tmp_path / "large.bam", REGIONS, lines)
    index = index_bam(bam, tmp_path / "large.bai")
    assert bam.stat().st_size > 4 * (3 << 20)
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    assert count_on_machines(bam, index, machines=2) == count(bam, index)


@pytest.fixture
def spawn():
    """Have processes spawned by default; Python 3.14 does not fork them, either."""
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


@pytest.mark.usefixtures("small_tasks", "spawn")
def test_processes_are_forked_whatever_the_default_is(count_on_machines, bam, index):
    assert count_on_machines(bam, index, machines=2) == WHOLE
