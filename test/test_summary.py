"""What follows from the counts: what they are compared with, and what is far from it."""

from dataclasses import replace

import pytest

from summaries import HUMAN_LIKE, make_autosomes, make_regions, summarize
from summary import MOST_BARS, RegionCount, find_reference, split_regions

MEGABASES = {"I": 4, "II": 5, "III": 6, "IV": 7}


@pytest.mark.parametrize("prefix", ["chr", "", "Chr"])
def test_the_reference_is_the_median_of_the_autosomes_by_their_names(prefix):
    regions = make_regions(**{f"{prefix}{n}": 100 * n for n in range(1, 6)}, chrX=9_000, MT=99_000)
    reference = find_reference([*regions, RegionCount("chrUn_1", 5_000, 99_000)])
    assert reference.name == "median autosome"
    assert reference.density == 300
    assert reference.chromosomes == regions[:5]


def test_where_names_tell_nothing_it_is_the_median_of_the_large_regions():
    large = [RegionCount(name, size * 1_000_000, 1_000) for name, size in MEGABASES.items()]
    reference = find_reference([*large, RegionCount("small", 300_000, 9_000)])
    assert reference.name == "median large region"
    assert reference.chromosomes == large
    assert reference.density == pytest.approx((1_000 / 5 + 1_000 / 6) / 2)


@pytest.mark.parametrize(
    "regions",
    [
        make_regions(chr1=1_000, chr2=1_000),
        make_regions(chr1=9, chr2=9, chr3=9),
        make_regions(chr1=1_000, chr2=0, chr3=0),
        [RegionCount(f"scaffold_{n}", 10_000, 1_000) for n in range(1_000)],
        [
            *make_regions(a=1_000, b=1_000, c=1_000),
            *[RegionCount(f"s{n}", 900_000, 9) for n in range(99)],
        ],
        [RegionCount("chr1", 0, 0)],
    ],
    ids=[
        "two regions",
        "too few records",
        "an excerpt",
        "a draft",
        "small ones prevail",
        "no length",
    ],
)
def test_there_is_no_reference_where_it_would_say_nothing(regions):
    summary = summarize(regions)
    assert summary.reference is None
    assert summary.normalize(regions[0]) is None
    assert summary.outliers == frozenset()
    assert summary.sex_chromosomes == {}


@pytest.mark.parametrize(
    ("records", "coverage"), [(500, 0.5), (1_500, 1.5)], ids=["halved", "one and a half"]
)
def test_a_chromosome_far_from_the_median_is_an_outlier(records, coverage):
    summary = summarize(make_autosomes(chr13=records))
    (outlier,) = summary.outliers
    assert outlier.name == "chr13"
    assert summary.normalize(outlier) == pytest.approx(coverage, abs=0.02)


def test_unsequenced_bases_and_sex_and_mitochondria_are_no_outliers():
    assert not summarize(make_autosomes(chr22=700, chrX=500, chrY=200, chrM=90_000)).outliers


def test_where_chromosomes_scatter_widely_as_in_an_exome_none_is_an_outlier_for_that():
    exome = [RegionCount(f"chr{n}", 10_000_000, 4_000 + n * 7_919 % 23 * 500) for n in range(1, 23)]
    assert not summarize(exome).outliers


def test_chromosomes_x_and_y_are_found_under_either_name():
    by_one, by_other = (
        summarize(make_autosomes(**{f"{prefix}X": 510, f"{prefix}Y": 204})).sex_chromosomes
        for prefix in ("chr", "")
    )
    assert [one.records for one in by_one.values()] == [5_100, 2_040]
    assert list(by_one) == list(by_other) == ["chrX", "chrY"]


def test_the_tenth_chromosome_of_yeast_is_not_taken_for_a_sex_chromosome():
    yeast = make_regions(chrI=100, chrII=100, chrIII=100, chrIX=100, chrX=100)
    summary = summarize(yeast)
    assert summary.reference
    assert summary.sex_chromosomes == {}


def test_the_unplaced_share_is_of_all_records():
    assert summarize(make_regions(chr1=3), unplaced=10).unplaced_share == 0.25


@pytest.mark.parametrize(
    "summary",
    [summarize(make_regions(chr1=3), filters="-F 4"), summarize(make_regions(chr1=0))],
    ids=["filtered", "no records"],
)
def test_there_is_no_unplaced_share_where_it_would_mislead(summary):
    assert summary.unplaced_share is None


@pytest.mark.parametrize("name", ["chrM", "chrMT", "M", "MT"])
def test_the_mitochondrial_share_is_of_the_records_in_regions(name):
    assert summarize(make_regions(chr1=3, **{name: 1}), unplaced=99).mitochondrial_share == 0.25


@pytest.mark.parametrize(
    "regions", [make_regions(chr1=1), make_regions(chr1=0, chrM=0)], ids=["no chrM", "no records"]
)
def test_there_is_no_mitochondrial_share_of_nothing(regions):
    assert summarize(regions).mitochondrial_share is None


def test_the_sums_are_those_of_the_summarys_own_regions():
    summary = summarize(make_regions(chr1=1))
    assert summary.whole.records == 10
    assert replace(summary, regions=make_regions(chr1=2)).whole.records == 20


def test_few_regions_are_all_main():
    assert split_regions(HUMAN_LIKE[:MOST_BARS]) == (HUMAN_LIKE[:MOST_BARS], [])


def test_the_chromosomes_of_a_genome_are_main_and_its_small_contigs_are_not():
    assert split_regions(HUMAN_LIKE) == (HUMAN_LIKE[:25], HUMAN_LIKE[25:])


def test_a_small_region_with_many_records_is_main():
    plasmid = RegionCount("plasmid", 5_000, 10_000_000)
    main, _ = split_regions([*HUMAN_LIKE, plasmid])
    assert main[-1] == plasmid


def test_where_no_region_is_large_those_with_the_most_records_are_main():
    scaffolds = [RegionCount(f"scaffold_{n}", 1_000, n * 7 % 11_003) for n in range(11_003)]
    main, others = split_regions(scaffolds)
    assert {one.records for one in main} == set(range(11_003 - 25, 11_003))
    assert len(others) == 11_003 - 25


def test_of_equal_regions_none_is_chosen_for_its_place_in_the_header():
    equals = [RegionCount(f"scaffold_{n}", 1_000, 10) for n in range(1_000)]
    assert split_regions(equals) == ([], equals)
    larger = RegionCount("larger", 1_000, 11)
    assert split_regions([*equals, larger]) == ([larger], equals)
