"""The plan: every byte of records in exactly one call, shared evenly; and the slice indexes."""

import random
import subprocess
from array import array
from itertools import pairwise
from pathlib import Path

import pytest

from bam_builder import build_bam, index_bam, sam_line
from bam_file import UNPLACED, Bam, Stretch, open_bam
from bam_index import BamIndex, Extent, read_index
from slices import (
    cut_stretch,
    describe_call,
    get_fair_share,
    plan_calls,
    split_off_borders,
    write_slice_index,
)

MEGABYTE = 1 << 20
STEP = 5_000


def make_index(sizes: list[int], unplaced: int = 0) -> tuple[Bam, BamIndex]:
    """Return a BAM with regions of these compressed sizes, and its index.

    A size of 0 is a region without records; a record begins at every 5,000th byte.
    """
    extents: list[Extent | None] = []
    starts = []
    position = 1_000
    for size in sizes:
        stretch = Stretch(position << 16, (position + size) << 16)
        extents.append(Extent(stretch, size // 100) if size else None)
        starts.append(array("Q", (at << 16 for at in range(position, position + size, STEP))))
        position += size
    names = [f"region{number}" for number in range(len(sizes))]
    size = position + unplaced + 28
    bam = Bam(Path("x.bam"), "x.bam", names, [1] * len(sizes), 1_000 << 16, size)
    return bam, BamIndex("x.bai", extents, starts, unplaced // 100, position << 16)


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
def test_the_calls_cover_the_file_exactly_once(layout, cpus):
    bam, index = layout
    stretches = sorted(
        stretch for call in plan_calls(bam, index, cpus) for stretch in call.stretches
    )
    assert stretches[0].begin == bam.first_record
    assert stretches[-1].end == bam.size << 16
    assert all(one.end == next_.begin for one, next_ in pairwise(stretches))


def test_a_call_of_one_region_begins_and_ends_at_known_records_of_it(layout):
    bam, index = layout
    for call in plan_calls(bam, index, 4):
        if call.region is not None:
            (number,), (stretch,) = call.numbers, call.stretches
            assert bam.regions[number] == call.region
            assert set(stretch) <= set(index.record_starts[number])


def test_the_largest_call_comes_first(layout):
    work = [call.work for call in plan_calls(*layout, 4)]
    assert work == sorted(work, reverse=True)


@pytest.mark.parametrize("cpus", [2, 96])
def test_no_call_is_much_more_than_a_fair_share(layout, cpus):
    bam, index = layout
    fair_share = get_fair_share(bam.size, cpus)
    assert max(call.work for call in plan_calls(bam, index, cpus)) <= fair_share * 1.1


def test_a_fair_share_is_smaller_where_more_cpus_wait_for_the_last_call():
    shares = [get_fair_share(4_000 * MEGABYTE, cpus) for cpus in (1, 2, 3, 9)]
    assert [round(4_000 * MEGABYTE / share) for share in shares] == [20, 20, 40, 160]


def test_a_fair_share_is_smaller_where_more_machines_wait_for_the_last_call():
    assert get_fair_share(4_000 * MEGABYTE, 3, 3) == get_fair_share(4_000 * MEGABYTE, 9)


def test_a_fair_share_is_never_so_large_that_a_disk_is_filled_by_a_few():
    assert get_fair_share(1_000_000 * MEGABYTE, 1) <= 300 * MEGABYTE


def test_each_machine_that_is_asked_for_gets_a_share_however_small():
    assert get_fair_share(3_000, 4, 3) == 1_000


def test_a_fair_share_is_never_so_small_that_starting_samtools_is_felt():
    assert get_fair_share(100 * MEGABYTE, 96) >= 10 * MEGABYTE


def test_small_regions_share_calls():
    assert len(plan_calls(*make_index([3_000] * 4_000), cpus=2)) < 10


def test_a_region_that_is_large_enough_has_calls_of_its_own():
    calls = plan_calls(*make_index([5_000, 3 * MEGABYTE, 5_000]), cpus=2)
    assert [(call.region, call.numbers) for call in calls] == [
        ("region1", [1]),
        (None, [0, 1, 2, UNPLACED]),
    ]


def test_a_large_region_without_known_record_starts_shares_calls():
    bam, index = make_index([5_000, 3 * MEGABYTE, 5_000])
    index.record_starts[1] = []
    (call,) = plan_calls(bam, index, cpus=2)
    assert (call.region, call.numbers) == (None, [0, 1, 2, UNPLACED])


@pytest.mark.parametrize(("cpus", "threads"), [(1, 1), (2, 2), (96, 4)])
def test_what_cannot_be_cut_gets_threads(cpus, threads):
    first, second = plan_calls(*make_index([5_000], unplaced=500 * MEGABYTE), cpus)
    assert [first.numbers, first.threads] == [[UNPLACED], threads]
    assert second.threads == 1


def test_a_plan_is_the_same_each_time():
    sizes = random.Random(5).choices(range(20 * MEGABYTE), k=60)
    assert plan_calls(*make_index(sizes), 8) == plan_calls(*make_index(sizes), 8)


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        ([1], "region 'region1'"),
        ([0, 1], "the 2 regions from 'region0' to 'region1'"),
        ([1, UNPLACED], "region 'region1' and the unplaced reads"),
        ([UNPLACED], "the unplaced reads"),
    ],
)
def test_a_call_is_named_by_its_regions(numbers, name):
    bam, index = make_index([5_000, 7_000])
    (call,) = plan_calls(bam, index, cpus=2)
    assert describe_call(bam.regions, call._replace(numbers=numbers)) == name


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
    end = Stretch(99 << 16, 99 << 16)
    assert split_off_borders(stretch, [10 << 16]) == (stretch, end, end)


def test_slice_indexes_show_each_record_of_a_region_exactly_once(tmp_path):
    draw = random.Random(0)
    contigs = [("other", 9), ("chr1", 500_000)]
    lines = [
        sam_line(f"r{n}", "chr1", 1 + n * 50, sequence="".join(draw.choices("ACGT", k=100)))
        for n in range(6_000)
    ]
    bam = open_bam(build_bam(tmp_path / "sample.bam", contigs, lines))
    index = read_index(index_bam(bam.path, tmp_path / "x.bai"), bam)
    stretch = index.extents[1].stretch
    pieces = cut_stretch(stretch, index.record_starts[1], stretch.size / 5)
    assert len(pieces) > 1
    counts = []
    for piece in pieces:
        write_slice_index(tmp_path / "slice.csi", 1, piece)
        command = ["samtools", "view", "-c", "-X", bam.path, tmp_path / "slice.csi", "{chr1}"]
        counts.append(int(subprocess.check_output(command)))
    assert sum(counts) == 6_000
    assert all(counts)
