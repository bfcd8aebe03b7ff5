"""The summary of a count: regions with their counts, and how they were counted."""

from collections import Counter
from pathlib import Path

import pytest

from bam_file import UNPLACED, Bam, Chunk, WholeFile
from bam_index import BamIndex, ChosenIndex
from options import Filters, Options
from summary import summarize

NO_FILTERS = Filters()
INDEX = ChosenIndex(BamIndex([Chunk(1, 2), None], [11, 0], [[], []], 5), "x.bai")


def summarize_counts(
    name="x.bam", filters=NO_FILTERS, count_from_index=False, prefix="", index=INDEX
):
    storage = WholeFile(Path(name))
    bam = Bam(storage, name, ["chr1", "HLA-A*01:01"], [900, 90], 1 << 16, 5_000)
    counts = Counter({0: 7, UNPLACED: 3})
    options = Options(filters, count_from_index, output_prefix=prefix)
    return summarize(bam, bam.regions, counts, index, options, "samtools 1")


def test_regions_are_paired_with_their_counts():
    summary = summarize_counts()
    assert summary.regions == [("chr1", 900, 7), ("HLA-A*01:01", 90, 0)]
    assert summary.unplaced == 3


@pytest.mark.parametrize(
    ("bam_name", "sample"),
    [
        ("sample.bam", "sample"),
        ("sample.bam.bam", "sample.bam"),
        ("sample.BAM", "sample.BAM"),
        ("bamabm", "bamabm"),
    ],
)
def test_the_sample_is_the_name_of_the_bam_without_its_ending(bam_name, sample):
    summary = summarize_counts(bam_name)
    assert (summary.sample, summary.prefix) == (sample, sample)


def test_filters_are_in_the_names_of_files_unless_a_prefix_is_given():
    filters = Filters(min_mapping_quality=30)
    filtered = summarize_counts("s.bam", filters)
    assert (filtered.sample, filtered.prefix) == ("s", "s_q30")
    named = summarize_counts("s.bam", filters, prefix="other")
    assert (named.sample, named.prefix) == ("other", "other")


def test_counts_from_the_index_are_marked_and_named_so():
    summary = summarize_counts("s.bam", count_from_index=True)
    assert (summary.counted, summary.command) == (False, "none")
    assert (summary.sample, summary.prefix) == ("s", "s_from_index")
    named = summarize_counts("s.bam", count_from_index=True, prefix="other")
    assert (named.sample, named.prefix) == ("other", "other_from_index")


def test_what_was_filtered_out_is_the_difference_to_the_index_counts():
    assert summarize_counts(filters=Filters(30)).filtered_out == 11 - 7
    assert summarize_counts().filtered_out is None


def test_which_index_was_used_is_one_word_and_the_reason():
    summary = summarize_counts(index=INDEX._replace(origin="replaced", problem="it is damaged"))
    assert (summary.index, summary.index_problem) == ("replaced", "it is damaged")


@pytest.mark.parametrize(
    ("bam_name", "command"),
    [
        ("x.bam", "samtools view -c -q 30 x.bam REGION"),
        ("a b.bam", "samtools view -c -q 30 'a b.bam' REGION"),
        ("-x.bam", "samtools view -c -q 30 ./-x.bam REGION"),
    ],
)
def test_the_command_can_be_run_with_any_region(bam_name, command):
    assert summarize_counts(bam_name, Filters(30)).command == command
