"""How a count is summed up: regions paired with numbers, and how they came about."""

from collections import Counter
from pathlib import Path

import pytest

from bam_file import UNPLACED, Bam, WholeFile
from options import Filters, Options
from summary import summarize

NO_FILTERS = Filters()


def summarize_counts(name="x.bam", filters=NO_FILTERS, count_from_index=False, prefix=""):
    storage = WholeFile(Path(name))
    bam = Bam(storage, name, ["chr1", "HLA-A*01:01"], [900, 90], 1 << 16, 5_000)
    counts = Counter({0: 7, UNPLACED: 3})
    options = Options(filters, count_from_index, output_prefix=prefix)
    return summarize(bam, bam.regions, counts, "given", options, "samtools 1")


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
def test_the_sample_is_the_name_of_the_bam_less_its_ending(bam_name, sample):
    summary = summarize_counts(bam_name)
    assert (summary.sample, summary.prefix) == (sample, sample)


def test_filters_are_in_the_names_of_files_unless_a_prefix_is_given():
    filters = Filters(min_mapping_quality=30)
    filtered = summarize_counts("s.bam", filters)
    assert (filtered.sample, filtered.prefix) == ("s", "s_q30")
    named = summarize_counts("s.bam", filters, prefix="other")
    assert (named.sample, named.prefix) == ("other", "other")


@pytest.mark.parametrize(
    ("filters", "count_from_index", "note"),
    [
        (Filters(), False, "Every record of the file was read."),
        (Filters(require_flags=16), False, "those that pass the filters are counted."),
        (Filters(), True, "no record was read."),
    ],
    ids=["all", "filtered", "from index"],
)
def test_the_summary_says_where_its_counts_are_from(filters, count_from_index, note):
    summary = summarize_counts(filters=filters, count_from_index=count_from_index)
    assert summary.note.endswith(note)
