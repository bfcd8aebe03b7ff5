"""The tasks: every byte of records in exactly one, about equal in size; and the chunk indexes."""

import random
import subprocess
from array import array
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from bam_builder import build_bam, index_bam, sam_line
from bam_file import UNPLACED, Bam, Chunk, WholeFile, open_bam
from bam_index import BamIndex, read_index
from tasks import (
    IdxstatsTask,
    Task,
    ViewTask,
    cut_chunk,
    get_task_size,
    split_workload,
    write_chunk_index,
)

MEGABYTE = 1 << 20
STEP = 5_000


def make_index(sizes: list[int], unplaced: int = 0) -> tuple[Bam, BamIndex]:
    """Return a BAM with regions of these compressed sizes, and its index.

    A size of 0 is a region without records; a record begins at every 5,000th byte.
    """
    chunks: list[Chunk | None] = []
    starts = []
    position = 1_000
    for size in sizes:
        chunks.append(Chunk(position << 16, (position + size) << 16) if size else None)
        starts.append(array("Q", (at << 16 for at in range(position, position + size, STEP))))
        position += size
    names = [f"region{number}" for number in range(len(sizes))]
    size = position + unplaced + 28
    storage = WholeFile(Path("x.bam"))
    bam = Bam(storage, "x.bam", names, [1] * len(sizes), 1_000 << 16, size)
    counts = [size // 100 for size in sizes]
    return bam, BamIndex(chunks, counts, starts, unplaced // 100)


def split(bam: Bam, index: BamIndex, cpus: int = 2) -> list[Task]:
    """Return the tasks of one machine."""
    (tasks,) = split_workload(bam, index, cpus, machines=1)
    return tasks


LAYOUTS = {
    "one region": [500 * MEGABYTE],
    "human": [8 * MEGABYTE * n for n in range(25, 0, -1)],
    "many small": [3_000] * 4_000,
    "mixed": [90 * MEGABYTE, 0, 10, 0, 0, 7 * MEGABYTE, *([20_000] * 3_000), 30 * MEGABYTE],
    "empty": [0, 0, 0],
}


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return make_index(LAYOUTS[request.param], unplaced=MEGABYTE)


@pytest.mark.parametrize("cpus", [1, 2, 4, 96])
@pytest.mark.parametrize("machines", [1, 5])
def test_the_tasks_cover_the_file_exactly_once(layout, cpus, machines):
    bam, index = layout
    shares = split_workload(bam, index, cpus, machines)
    chunks = sorted(chunk for share in shares for task in share for chunk in task.chunks)
    assert chunks[0].begin == bam.first_record
    assert chunks[-1].end == bam.size << 16
    assert all(one.end == following.begin for one, following in pairwise(chunks))


def test_a_view_task_begins_and_ends_at_known_records_of_its_region(layout):
    for task in split(*layout, cpus=4):
        if isinstance(task, ViewTask):
            (chunk,) = task.chunks
            assert set(chunk) <= set(layout[1].record_starts[task.number])


def test_the_largest_task_comes_first(layout):
    sizes = [task.size for task in split(*layout, cpus=4)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("cpus", [2, 96])
def test_no_task_is_much_larger_than_it_should_be(layout, cpus):
    bam, index = layout
    assert (
        max(task.size for task in split(bam, index, cpus))
        <= get_task_size(bam.size, cpus, machines=1) * 1.1
    )


@pytest.mark.parametrize("machines", [2, 3, 8])
def test_machines_get_shares_of_about_equal_size(machines):
    sizes = random.Random(5).choices(range(20 * MEGABYTE), k=60)
    shares = split_workload(*make_index(sizes), cpus=4, machines=machines)
    loads = [sum(task.size for task in share) for share in shares]
    assert len(loads) == machines
    assert min(loads) > 0.9 * max(loads)


def test_fewer_tasks_than_machines_make_fewer_shares():
    assert len(split_workload(*make_index([]), cpus=4, machines=5)) == 1


def test_a_task_is_smaller_if_more_cpus_wait_for_the_last_one():
    sizes = [get_task_size(4_000 * MEGABYTE, cpus, machines=1) for cpus in (1, 2, 3, 9)]
    assert [round(4_000 * MEGABYTE / size) for size in sizes] == [20, 20, 40, 160]


def test_a_task_is_smaller_if_more_machines_wait_for_the_last_one():
    assert get_task_size(4_000 * MEGABYTE, 3, 3) == get_task_size(4_000 * MEGABYTE, 9, 1)


def test_a_few_tasks_never_fill_a_disk():
    assert get_task_size(1_000_000 * MEGABYTE, 1, 1) <= 300 * MEGABYTE


def test_each_machine_that_was_asked_for_gets_a_task_however_small():
    assert get_task_size(3_000, 4, 3) == 1_000


def test_a_task_is_never_so_small_that_starting_samtools_matters():
    assert get_task_size(100 * MEGABYTE, 96, 1) >= 10 * MEGABYTE


def test_small_regions_share_tasks():
    assert len(split(*make_index([3_000] * 4_000))) < 10


def test_a_region_that_is_large_enough_has_tasks_of_its_own():
    view, idxstats = split(*make_index([5_000, 3 * MEGABYTE, 5_000]))
    assert view.number == 1
    assert idxstats.numbers == [0, 1, 2, UNPLACED]


def test_a_large_region_without_known_record_starts_shares_a_task():
    bam, index = make_index([5_000, 3 * MEGABYTE, 5_000])
    index.record_starts[1] = []
    (task,) = split(bam, index)
    assert task.numbers == [0, 1, 2, UNPLACED]


@pytest.mark.parametrize(("cpus", "threads"), [(1, 1), (2, 2), (96, 4)])
def test_what_cannot_be_cut_gets_threads(cpus, threads):
    first, second = split(*make_index([5_000], unplaced=500 * MEGABYTE), cpus)
    assert (first.numbers, first.threads) == ([UNPLACED], threads)
    assert second.threads == 1


def test_the_workload_is_split_in_the_same_way_each_time():
    sizes = random.Random(5).choices(range(20 * MEGABYTE), k=60)
    shares = [split_workload(*make_index(sizes), cpus=8, machines=3) for _ in range(2)]
    assert shares[0] == shares[1]


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        ([1], "region 'region1'"),
        ([0, 1], "the 2 regions from 'region0' to 'region1'"),
        ([1, UNPLACED], "region 'region1' and the unplaced reads"),
        ([UNPLACED], "the unplaced reads"),
    ],
)
def test_a_task_is_called_by_its_regions(numbers, name):
    bam, _ = make_index([5_000, 7_000])
    assert IdxstatsTask([], numbers).describe(bam) == name


BAM = Bam(WholeFile(Path("x.bam")), "x.bam", ["a", "b"], [9, 9], 1 << 16, 9_000)


@pytest.mark.parametrize(
    ("bam", "table", "counts"),
    [
        (BAM, "a\t9\t3\t0\nb\t9\t3\t1\n*\t0\t0\t5\n", {0: 3, 1: 4, UNPLACED: 5}),
        (BAM, "a\t9\t0\t0\nb\t9\t0\t0\n*\t0\t0\t0\n", {UNPLACED: 0}),
        (
            replace(BAM, regions=["a\vb\tc", "\x85\u2028"]),
            "a\vb\tc\t9\t3\t0\n\x85\u2028\t9\t4\t0\n*\t0\t0\t0\n",
            {0: 3, 1: 4, UNPLACED: 0},
        ),
    ],
    ids=["mapped and unmapped", "no records", "hostile names"],
)
def test_a_table_of_idxstats_has_the_records_of_each_region(bam, table, counts):
    assert IdxstatsTask([], []).parse(bam, table) == counts


@pytest.mark.parametrize(
    "table",
    [
        "a\t9\t3\t0\n*\t0\t0\t5\n",
        "b\t9\t3\t0\na\t9\t3\t1\n*\t0\t0\t5\n",
        "a\t9\t3\t0\nb\t8\t3\t1\n*\t0\t0\t5\n",
        "a\t9\t3\t0\nb\t9\t3\t1\nc\t9\t1\t0\n*\t0\t0\t5\n",
        "a\t9\t3\t0\nb\t9\t3\t1\n",
        "",
    ],
    ids=["a row missing", "another order", "another length", "a row more", "cut off", "empty"],
)
def test_a_table_with_other_rows_than_the_header_is_an_error(table):
    with pytest.raises(ValueError, match=r"row|invalid literal|zip"):
        IdxstatsTask([], []).parse(BAM, table)


@pytest.mark.parametrize("size", [1, 7, 30, 99, 100, 1_000])
def test_a_chunk_is_cut_without_gaps(size):
    chunk = Chunk(10 << 16 | 5, 110 << 16)
    starts = [0, 0, *(offset << 16 for offset in range(200, 3, -3))]
    chunks = cut_chunk(chunk, starts, size)
    assert chunks[0] == Chunk(chunk.begin, 11 << 16)
    assert chunks[-1] == Chunk(107 << 16, chunk.end)
    assert all(one.end == following.begin for one, following in pairwise(chunks))
    assert {one.begin for one in chunks[1:]} <= set(starts)
    assert all(one.begin < one.end for one in chunks)
    assert max(one.size for one in chunks) <= size + 3


@pytest.mark.parametrize("starts", [[], [10 << 16], [99 << 16], [0, 500 << 16]])
def test_a_chunk_without_record_starts_stays_whole(starts):
    chunk = Chunk(10 << 16, 99 << 16)
    assert cut_chunk(chunk, starts, 5) == [chunk, Chunk(99 << 16, 99 << 16)]


def test_a_chunk_with_one_record_start_has_two_ends():
    assert cut_chunk(Chunk(10, 99), [50], 5) == [Chunk(10, 50), Chunk(50, 99)]


def test_chunk_indexes_show_each_record_of_a_region_exactly_once(tmp_path):
    draw = random.Random(0)
    regions = [("other", 9), ("chr1", 500_000)]
    lines = [
        sam_line(f"r{n}", "chr1", 1 + n * 50, sequence="".join(draw.choices("ACGT", k=100)))
        for n in range(6_000)
    ]
    bam = open_bam(WholeFile(build_bam(tmp_path / "sample.bam", regions, lines)))
    index = read_index(index_bam(bam.storage.path, tmp_path / "x.bai"), bam)
    chunk = index.chunks[1]
    chunks = cut_chunk(chunk, index.record_starts[1], chunk.size / 5)
    assert len(chunks) > 1
    counts = []
    for one in chunks:
        path = tmp_path / "chunk.csi"
        write_chunk_index(path, 1, one)
        command = ["samtools", "view", "-c", "-X", bam.storage.path, path, "{chr1}"]
        counts.append(int(subprocess.check_output(command)))
    assert sum(counts) == 6_000
    assert all(counts)
