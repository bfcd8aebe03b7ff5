"""The merged counts: what samtools counted, by region, checked against the index."""

from pathlib import Path

import dxpy
import pytest

from bam_file import UNPLACED, Bam, Chunk, WholeFile
from bam_index import BamIndex, ChosenIndex
from counts import merge_counts
from options import Filters

BAM = Bam(WholeFile(Path("x.bam")), "x.bam", ["a", "b"], [9, 9], 1 << 16, 9_000)
WHOLE = Chunk(1 << 16, 9_000 << 16)
PARTIAL_COUNTS = [{0: 10}, {0: 20}, {0: 3, 1: 4, UNPLACED: 5}]
COUNTS = {0: 33, 1: 4, UNPLACED: 5}


def index(a: int, b: int, unplaced: int, origin="given") -> ChosenIndex:
    content = BamIndex([WHOLE, WHOLE], [a, b], [[], []], unplaced)
    return ChosenIndex(content, "x.bai", origin)


def test_the_counts_of_all_tasks_are_added_up():
    assert merge_counts(BAM, index(33, 4, 5), PARTIAL_COUNTS, Filters()) == COUNTS


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ((34, 4, 5), "it lists 34 records in 'a', samtools counts 33"),
        ((1, 4, 5), "it lists 1 record in 'a', samtools counts 33"),
        ((33, 0, 5), "it lists 0 records in 'b', samtools counts 4"),
    ],
)
def test_an_index_that_lists_another_count_does_not_match(listed, message):
    with pytest.raises(dxpy.AppError) as error:
        merge_counts(BAM, index(*listed), PARTIAL_COUNTS, Filters())
    assert str(error.value) == (
        f"The index 'x.bai' does not match 'x.bam': {message}. Run the applet again without it."
    )


def test_an_index_that_was_built_is_not_taken_for_one_that_was_given():
    built = index(9, 4, 5, "fresh")
    with pytest.raises(dxpy.AppError, match=r"^The index that samtools \S+ built does not match"):
        merge_counts(BAM, built, PARTIAL_COUNTS, Filters())


@pytest.mark.parametrize("unplaced", [1, 6])
def test_a_wrong_number_of_unplaced_reads_is_only_a_warning(capsys, unplaced):
    assert merge_counts(BAM, index(33, 4, unplaced), PARTIAL_COUNTS, Filters()) == COUNTS
    assert "WARNING: The index 'x.bai' lists " in capsys.readouterr().out


def test_under_filters_there_may_be_fewer_records_than_an_index_lists(capsys):
    assert merge_counts(BAM, index(99, 9, 9), PARTIAL_COUNTS, Filters(30)) == COUNTS
    assert "WARNING" not in capsys.readouterr().out


def test_under_filters_there_may_not_be_more():
    with pytest.raises(dxpy.AppError, match="lists 2 records in 'a', samtools counts 33"):
        merge_counts(BAM, index(2, 9, 9), PARTIAL_COUNTS, Filters(30))
