"""What follows from the counts: the baseline, the outliers, and which regions to draw."""

from dataclasses import replace

import pytest

from summaries import HUMAN_LIKE, make_autosomes, make_regions, summarize
from summary import MOST_BARS, RegionCount, find_baseline

MEGABASES = {"I": 4, "II": 5, "III": 6, "IV": 7}


@pytest.mark.parametrize("prefix", ["chr", "", "Chr"])
def test_the_baseline_is_the_median_of_the_regions_named_like_autosomes(prefix):
    regions = make_regions(**{f"{prefix}{n}": 100 * n for n in range(1, 6)}, chrX=9_000, MT=99_000)
    baseline = find_baseline([*regions, RegionCount("chrUn_1", 5_000, 99_000)])
    assert baseline.name == "median autosome"
    assert baseline.density == 300
    assert baseline.chromosomes == regions[:5]


def test_without_such_names_it_is_the_median_of_the_large_regions():
    large = [RegionCount(name, size * 1_000_000, 1_000) for name, size in MEGABASES.items()]
    baseline = find_baseline([*large, RegionCount("small", 300_000, 9_000)])
    assert baseline.name == "median large region"
    assert baseline.chromosomes == large
    assert baseline.density == pytest.approx((1_000 / 5 + 1_000 / 6) / 2)


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
        "mostly small regions",
        "no length",
    ],
)
def test_there_is_no_baseline_if_it_would_say_nothing(regions):
    summary = summarize(regions)
    assert summary.baseline is None
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


def test_unsequenced_bases_sex_and_mitochondria_make_no_outliers():
    assert not summarize(make_autosomes(chr22=700, chrX=500, chrY=200, chrM=90_000)).outliers


def test_an_exome_whose_chromosomes_scatter_widely_has_no_outliers():
    exome = [RegionCount(f"chr{n}", 10_000_000, 4_000 + n * 7_919 % 23 * 500) for n in range(1, 23)]
    assert not summarize(exome).outliers


def test_chromosomes_x_and_y_are_found_under_either_name():
    by_one, by_other = (
        summarize(make_autosomes(**{f"{prefix}X": 510, f"{prefix}Y": 204})).sex_chromosomes
        for prefix in ("chr", "")
    )
    assert [one.records for one in by_one.values()] == [5_100, 2_040]
    assert list(by_one) == list(by_other) == ["chrX", "chrY"]


def test_the_tenth_chromosome_of_yeast_is_not_a_sex_chromosome():
    yeast = make_regions(chrI=100, chrII=100, chrIII=100, chrIX=100, chrX=100)
    summary = summarize(yeast)
    assert summary.baseline
    assert summary.sex_chromosomes == {}


def test_the_unplaced_share_is_of_all_records():
    assert summarize(make_regions(chr1=3), unplaced=10).unplaced_share == 0.25


@pytest.mark.parametrize(
    "summary",
    [summarize(make_regions(chr1=3), filters="-F 4"), summarize(make_regions(chr1=0))],
    ids=["filtered", "no records"],
)
def test_there_is_no_unplaced_share_if_it_would_mislead(summary):
    assert summary.unplaced_share is None


@pytest.mark.parametrize("name", ["chrM", "chrMT", "M", "MT"])
def test_the_mitochondrial_share_is_of_the_records_in_regions(name):
    assert summarize(make_regions(chr1=3, **{name: 1}), unplaced=99).mitochondrial_share == 0.25


@pytest.mark.parametrize(
    "regions", [make_regions(chr1=1), make_regions(chr1=0, chrM=0)], ids=["no chrM", "no records"]
)
def test_there_is_no_mitochondrial_share_of_nothing(regions):
    assert summarize(regions).mitochondrial_share is None


def test_the_sums_are_those_of_the_summary_s_own_regions():
    summary = summarize(make_regions(chr1=1))
    assert summary.whole.records == 10
    assert replace(summary, regions=make_regions(chr1=2)).whole.records == 20


def test_the_filtered_share_is_of_all_records_in_regions():
    summary = summarize(make_regions(chr1=3), filters="-F 4", filtered_out=10)
    assert summary.filtered_share == 0.25
    assert summarize(make_regions(chr1=3), filters="-F 4").filtered_share is None
    assert summarize(make_regions(chr1=0), filters="-F 4", filtered_out=0).filtered_share == 0


def test_a_chart_shows_all_of_a_few_regions():
    few = [RegionCount(f"s{n}", 1_000, n % 2) for n in range(MOST_BARS)]
    assert summarize(few).charted == few


def test_a_chart_of_many_regions_shows_those_with_the_most_records_whatever_their_length():
    viruses = [RegionCount(f"v{n}", 200_000 - n, n if n < 17 else 0) for n in range(200)]
    assert summarize(viruses).charted == viruses[1:17]
    scaffolds = [RegionCount(f"s{n}", 1_000, n * 7 % 11_003) for n in range(11_003)]
    fewest = 11_003 - MOST_BARS
    assert summarize(scaffolds).charted == [one for one in scaffolds if one.records >= fewest]


def test_a_chart_of_chromosomes_and_contigs_shows_the_chromosomes_even_if_one_has_no_records():
    lost = [one._replace(records=0) if one.name == "chr21" else one for one in HUMAN_LIKE]
    assert summarize(lost).charted == lost[:25]


def test_a_contig_with_many_records_is_shown_beside_the_chromosomes():
    plasmid = RegionCount("plasmid", 5_000, 10_000_000)
    assert summarize([*HUMAN_LIKE, plasmid]).charted == [*HUMAN_LIKE[:25], plasmid]
