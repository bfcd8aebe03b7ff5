"""The plan: every byte of records in exactly one call, shared evenly; and the merged counts."""

import random
from array import array
from itertools import pairwise

import pytest

from bam_index import UNPLACED, BamIndex, BamIndexError, Extent, Stretch
from counts import merge_counts
from slices import LONGEST_COMMAND, describe_call, get_fair_share, plan_calls

MEGABYTE = 1 << 20


def make_index(sizes: list[int], unplaced: int = 0) -> tuple[list[str], BamIndex, Stretch]:
    """Return names, an index of contigs of these compressed sizes, and the unplaced stretch.

    A size of 0 is a contig without records; a record begins at every 5,000th byte.
    """
    extents: list[Extent | None] = []
    starts = []
    position = 1_000
    for size in sizes:
        stretch = Stretch(position << 16, (position + size) << 16)
        extents.append(Extent(stretch, size // 100) if size else None)
        starts.append(array("Q", (at << 16 for at in range(position, position + size, 5_000))))
        position += size
    names = [f"contig{number}" for number in range(len(sizes))]
    end = Stretch(position << 16, (position + unplaced + 28) << 16)
    return names, BamIndex(extents, starts, unplaced // 100), end


LAYOUTS = {
    "one contig": [500 * MEGABYTE],
    "human": [8 * MEGABYTE * n for n in range(25, 0, -1)],
    "many small": [3_000] * 4_000,
    "mixed": [90 * MEGABYTE, 0, 10, 0, 0, 7 * MEGABYTE, *([20_000] * 3_000), 30 * MEGABYTE],
    "empty": [0, 0, 0],
}


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return make_index(LAYOUTS[request.param], unplaced=MEGABYTE)


@pytest.mark.parametrize("cpus", [1, 2, 4, 96])
def test_the_calls_cover_the_records_exactly_once(layout, cpus):
    names, index, unplaced = layout
    stretches = sorted(
        part.stretch for call in plan_calls(names, index, unplaced, cpus) for part in call.slices
    )
    assert stretches[0].begin == 1_000 << 16
    assert stretches[-1].end == unplaced.end
    assert all(one.end == next_.begin for one, next_ in pairwise(stretches))


def test_the_largest_call_comes_first(layout):
    work = [call.work for call in plan_calls(*layout, 4)]
    assert work == sorted(work, reverse=True)


@pytest.mark.parametrize("cpus", [2, 96])
def test_no_call_is_much_more_than_a_fair_share(layout, cpus):
    calls = plan_calls(*layout, cpus)
    fair_share = get_fair_share(sum(call.work for call in calls), cpus)
    assert max(call.work for call in calls) <= fair_share * 1.1


def test_a_fair_share_is_smaller_where_more_cpus_wait_for_the_last_call():
    shares = [get_fair_share(100_000 * MEGABYTE, cpus) for cpus in (1, 2, 3, 96)]
    assert [round(100_000 * MEGABYTE / share) for share in shares] == [20, 20, 40, 1_900]


def test_a_fair_share_is_never_so_small_that_starting_samtools_is_felt():
    assert get_fair_share(100 * MEGABYTE, 96) >= 10 * MEGABYTE


def test_small_contigs_share_calls():
    assert len(plan_calls(*make_index([3_000] * 4_000), cpus=2)) < 10


def test_contigs_without_records_need_no_call():
    (call,) = plan_calls(*make_index([0, 5_000, 0]), cpus=2)
    assert [part.contig for part in call.slices] == [1]


def test_no_call_for_unplaced_reads_if_there_are_none():
    calls = plan_calls(*make_index([5_000], unplaced=0), cpus=2)
    assert UNPLACED not in {part.contig for call in calls for part in call.slices}


def test_a_contig_of_unknown_count_has_a_call_of_its_own():
    names, index, unplaced = make_index([5_000, 90 * MEGABYTE, 5_000])
    index.extents[1] = index.extents[1]._replace(records=None)
    calls = plan_calls(names, index, unplaced, cpus=2)
    assert [[part.contig for part in call.slices] for call in calls] == [[1], [0, 2]]


@pytest.mark.parametrize(("cpus", "threads"), [(1, 1), (2, 2), (96, 4)])
def test_what_cannot_be_cut_gets_threads(cpus, threads):
    names, index, unplaced = make_index([5_000], unplaced=500 * MEGABYTE)
    first, second = plan_calls(names, index, unplaced, cpus)
    assert [first.slices[0].contig, first.threads] == [UNPLACED, threads]
    assert second.threads == 1


def test_a_command_line_does_not_get_too_long():
    names, index, unplaced = make_index([10] * 10_000)
    names = [f"{name:é>250}" for name in names]
    for call in plan_calls(names, index, unplaced, cpus=1):
        assert sum(len(names[part.contig].encode()) for part in call.slices) <= LONGEST_COMMAND


def test_slices_of_a_contig_are_added_up():
    names, index, unplaced = make_index([50 * MEGABYTE])
    calls = plan_calls(names, index, unplaced, cpus=2)
    assert len(calls) > 1
    totals = [1] * (len(calls) - 1) + [index.extents[0].records - len(calls) + 1]
    assert merge_counts(names, index, calls, totals)[0] == index.extents[0].records


def test_contigs_that_share_a_call_get_their_own_counts():
    names, index, unplaced = make_index([5_000, 0, 7_000], unplaced=900)
    calls = plan_calls(names, index, unplaced, cpus=2)
    assert merge_counts(names, index, calls, [120, 9]) == {0: 50, 2: 70, UNPLACED: 9}


@pytest.mark.parametrize(
    ("totals", "message"),
    [
        ([119, 9], "120 records in the 2 regions from 'contig0' to 'contig2', .* counts 119"),
        ([120, 8], "9 records in the unplaced reads, but samtools counts 8"),
    ],
)
def test_a_total_that_differs_from_the_index_is_an_error(totals, message):
    names, index, unplaced = make_index([5_000, 0, 7_000], unplaced=900)
    calls = plan_calls(names, index, unplaced, cpus=2)
    with pytest.raises(BamIndexError, match=message):
        merge_counts(names, index, calls, totals)


def test_a_sum_of_slices_that_differs_from_the_index_is_an_error():
    names, index, unplaced = make_index([50 * MEGABYTE])
    calls = plan_calls(names, index, unplaced, cpus=2)
    with pytest.raises(BamIndexError, match=r"524,288 records in region 'contig0', .* counts 0"):
        merge_counts(names, index, calls, [0] * len(calls))


def test_unknown_counts_are_taken_as_counted():
    names, index, unplaced = make_index([5_000])
    index.extents[0] = index.extents[0]._replace(records=None)
    calls = plan_calls(names, index, unplaced, cpus=2)
    assert merge_counts(names, index, calls, [77]) == {0: 77}


def test_a_plan_is_the_same_each_time():
    sizes = random.Random(5).choices(range(20 * MEGABYTE), k=60)
    assert plan_calls(*make_index(sizes), 8) == plan_calls(*make_index(sizes), 8)


def test_a_call_is_named_by_its_regions():
    names, index, unplaced = make_index([5_000, 7_000], unplaced=900)
    calls = plan_calls(names, index, unplaced, cpus=2)
    assert [describe_call(names, call) for call in calls] == [
        "the 2 regions from 'contig0' to 'contig1'",
        "the unplaced reads",
    ]
