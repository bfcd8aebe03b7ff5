"""The count table, and the names and properties of the output files."""

import csv
from pathlib import Path

import pytest

from outputs import MOST_PROPERTY_BYTES, fit_property, name_file, write_count_table
from summaries import HUMAN_LIKE, summarize
from summary import RegionCount

NAMES = (
    "region",
    "length",
    "records",
    "records_per_megabase",
    "share_of_total",
    "normalized_coverage",
)


@pytest.fixture
def read_table(tmp_path: Path):
    """Write a count table and read it: read_table(*regions, unplaced=0) returns its rows."""

    def write_and_read(*regions: RegionCount, unplaced: int = 0) -> list[dict[str, str]]:
        path = write_count_table(
            tmp_path / "table.tsv", summarize(list(regions), unplaced=unplaced)
        )
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, dialect="excel-tab", strict=True))

    return write_and_read


def values(row: dict[str, str]) -> list[str]:
    """Return the values of the columns named above, in that order."""
    return [row[name] for name in NAMES]


def test_each_region_has_a_row_in_header_order_and_the_unplaced_reads_come_last(read_table):
    rows = read_table(RegionCount("b", 10, 1), RegionCount("a", 10, 1), unplaced=2)
    assert [row["region"] for row in rows] == ["b", "a", "*"]


def test_the_columns_of_a_region(read_table):
    rows = read_table(RegionCount("chr1", 4_000_000, 10), RegionCount("chr2", 500, 30))
    assert values(rows[0]) == ["chr1", "4000000", "10", "2.5", "0.25", ""]
    assert values(rows[1]) == ["chr2", "500", "30", "60000", "0.75", ""]


def test_the_unplaced_reads_have_length_0_and_no_share(read_table):
    *_, unplaced = read_table(RegionCount("chr1", 3_000_000, 10), unplaced=7)
    assert values(unplaced) == ["*", "0", "7", "", "", ""]


def test_records_add_up_to_those_of_the_whole_file_and_shares_to_1(read_table):
    rows = read_table(*HUMAN_LIKE, unplaced=7)
    assert sum(int(row["records"]) for row in rows) == sum(one.records for one in HUMAN_LIKE) + 7
    assert sum(float(row["share_of_total"] or 0) for row in rows) == pytest.approx(1)


def test_normalized_coverage_is_relative_to_the_median_autosome(read_table):
    densities = {"chr1": 100, "chr2": 200, "chr3": 400, "chrX": 50}
    *rows, _ = read_table(
        *(RegionCount(name, 2_000_000, 2 * density) for name, density in densities.items())
    )
    assert [row["normalized_coverage"] for row in rows] == ["0.5", "1", "2", "0.25"]


def test_a_region_without_records_has_zeros(read_table):
    row = read_table(RegionCount("chr1", 1000, 0), RegionCount("chr2", 1000, 1))[0]
    assert values(row) == ["chr1", "1000", "0", "0", "0", ""]


def test_a_file_without_records_has_zeros(read_table):
    region, _ = read_table(RegionCount("chr1", 1000, 0))
    assert values(region) == ["chr1", "1000", "0", "0", "0", ""]


@pytest.mark.parametrize(
    "name",
    [
        "HLA-A*01:01:01:01",
        "#name",
        "=1+1",
        "'quoted'",
        'a"b',
        '"quoted"',
        "a,b;c d",
        "<script>alert(1)</script>",
        "naïve",
    ],
)
def test_a_name_is_read_back_unchanged(read_table, name):
    assert read_table(RegionCount(name, 1000, 1))[0]["region"] == name


@pytest.mark.parametrize(
    ("name", "shown"), [("chr\udcff", r"chr\xff"), ("chr1\r", r"chr1\r"), ("a\tb", r"a\tb")]
)
def test_bytes_of_a_name_that_are_not_text_are_escaped(read_table, name, shown):
    assert read_table(RegionCount(name, 1000, 1))[0]["region"] == shown


def test_a_property_of_the_largest_size_is_unchanged():
    assert fit_property("x" * MOST_PROPERTY_BYTES) == "x" * MOST_PROPERTY_BYTES


def test_a_longer_property_is_cut_between_two_characters():
    cut = fit_property("é" * MOST_PROPERTY_BYTES)
    assert cut == "é" * 348 + "…"
    assert len(cut.encode()) <= MOST_PROPERTY_BYTES


def test_bytes_of_a_property_that_are_not_text_are_escaped():
    assert fit_property("samtools view -c chr\udcff.bam") == r"samtools view -c chr\xff.bam"


@pytest.mark.parametrize("prefix", ["n" * 251, "é" * 125, "n" * 245])
def test_the_name_of_an_output_fits_on_a_disk(prefix):
    name = name_file(prefix, "_count.txt")
    assert 250 < len(name.encode()) <= 255
    assert name.endswith("_count.txt")
    assert prefix.startswith(name.removesuffix("_count.txt"))
