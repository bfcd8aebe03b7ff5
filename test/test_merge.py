"""The merged counts: what samtools counted, by region, held against the index."""

from pathlib import Path

import dxpy
import pytest

from bam_file import UNPLACED, Bam, Stretch
from bam_index import BamIndex, Extent
from counts import add_counts, merge_counts, read_counts
from filters import Filters
from samtools import CommandResult
from slices import Call

BAM = Bam(Path("x.bam"), "x.bam", ["a", "b"], [9, 9], 1 << 16, 9_000)
WHOLE = Stretch(1 << 16, 9_000 << 16)
SLICE = Call([WHOLE], [0], "a")
SHARED = Call([WHOLE], [0, 1, UNPLACED])


def result(stdout: str) -> CommandResult:
    return CommandResult(stdout, "", 0)


def table(a: int, b: int, unplaced: int) -> CommandResult:
    return result(f"a\t9\t{a}\t0\nb\t9\t{b - 1}\t1\n*\t0\t0\t{unplaced}\n")


def index(a: int | None, b: int | None, unplaced: int) -> BamIndex:
    extents = [Extent(WHOLE, a), Extent(WHOLE, b)]
    return BamIndex("x.bai", extents, [[], []], unplaced, WHOLE.end)


def test_a_table_has_mapped_and_unmapped_records_of_each_region():
    assert read_counts(SHARED, table(3, 4, 5)) == {0: 3, 1: 4, UNPLACED: 5}


def test_a_table_is_read_by_place_whatever_the_names_are():
    hostile = result("a\vb\tc\t9\t3\t0\n\x85\u2028\t9\t4\t0\n*\t0\t0\t0\n")
    assert read_counts(SHARED, hostile) == {0: 3, 1: 4, UNPLACED: 0}


def test_slices_and_shares_of_a_region_are_added_up():
    calls = [SLICE, SLICE, SHARED]
    results = [result("10\n"), result("20\n"), table(3, 4, 5)]
    counts = merge_counts(BAM, index(33, 4, 5), [add_counts(calls, results)], Filters())
    assert counts == {0: 33, 1: 4, UNPLACED: 5}


@pytest.mark.parametrize(
    ("promised", "message"),
    [
        ((34, 4, 5), "34 records in region 'a', but samtools counts 33"),
        ((33, 4, 6), "6 records in the unplaced reads, but samtools counts 5"),
        ((33, 0, 5), "0 records in region 'b', but samtools counts 4"),
    ],
)
def test_an_index_that_promises_another_number_is_blamed(promised, message):
    calls, results = [SLICE, SHARED], [result("30\n"), table(3, 4, 5)]
    with pytest.raises(dxpy.AppError, match=f"'x.bai' is not right for 'x.bam': .* {message}"):
        merge_counts(BAM, index(*promised), [add_counts(calls, results)], Filters())


def test_a_fresh_index_that_promises_another_number_blames_the_bam():
    fresh = index(9, 4, 5)._replace(origin="fresh, because none was given")
    with pytest.raises(dxpy.AppError, match=r"'x\.bam' and the index that samtools makes of it"):
        merge_counts(BAM, fresh, [read_counts(SHARED, table(3, 4, 5))], Filters())


def test_what_an_index_does_not_promise_is_taken_as_counted():
    counts = merge_counts(
        BAM, index(None, None, 5), [read_counts(SHARED, table(3, 4, 5))], Filters()
    )
    assert counts == {0: 3, 1: 4, UNPLACED: 5}


def test_under_filters_there_may_be_fewer_records_than_promised():
    counts = merge_counts(BAM, index(9, 9, 9), [read_counts(SHARED, table(3, 4, 5))], Filters(30))
    assert counts == {0: 3, 1: 4, UNPLACED: 5}


def test_under_filters_there_may_not_be_more():
    with pytest.raises(dxpy.AppError, match="promises 2 records in region 'a'"):
        merge_counts(BAM, index(2, 9, 9), [read_counts(SHARED, table(3, 4, 5))], Filters(30))
