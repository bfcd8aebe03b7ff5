"""The count table and the MultiQC section: what they say, and that programs read them as is."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from outputs import COLUMNS, name_file, write_count_table, write_multiqc_section
from summary import MOST_BARS, CountSummary, RegionCount, split_regions

HUMAN_LIKE = [
    *(RegionCount(f"chr{number}", 200_000_000 - number, 5_000_000) for number in range(1, 25)),
    RegionCount("chrM", 16_569, 0),
    *(RegionCount(f"chrUn_{number}", 5_000, number) for number in range(3_341)),
]


def summarize(*regions: RegionCount, unplaced: int = 0, sample: str = "sample") -> CountSummary:
    return CountSummary(
        sample=sample,
        prefix="sample",
        command="samtools view -c sample.bam chr1",
        filters="",
        regions=list(regions),
        unplaced=unplaced,
        samtools_version="samtools 1.19",
        applet_version="1.0.0",
        date="2026-01-31 12:00:00 UTC",
        note="Counted record by record.",
    )


@pytest.fixture
def read_table(tmp_path: Path):
    """Write the table and read it again: read_table(*regions, unplaced=0) returns its rows."""

    def write_and_read(*regions: RegionCount, unplaced: int = 0) -> list[dict[str, str]]:
        path = write_count_table(tmp_path / "table.tsv", summarize(*regions, unplaced=unplaced))
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, dialect="excel-tab", strict=True))

    return write_and_read


def test_each_region_has_a_row_in_header_order_and_the_sums_come_last(read_table):
    rows = read_table(RegionCount("b", 10, 1), RegionCount("a", 10, 1), unplaced=2)
    assert [row["region"] for row in rows] == ["b", "a", "*unplaced", "*total"]


def test_the_columns_of_a_region(read_table):
    rows = read_table(RegionCount("chr1", 4_000_000, 10), RegionCount("chr2", 500, 30))
    assert list(rows[0].values()) == ["chr1", "1", "4000000", "4000000", "10", "2.5", "0.25"]
    assert list(rows[1].values()) == ["chr2", "1", "500", "500", "30", "60000", "0.75"]


def test_the_total_is_without_the_unplaced_reads(read_table):
    *_, unplaced, total = read_table(
        RegionCount("chr1", 3_000_000, 10), RegionCount("chr2", 1_000_000, 30), unplaced=7
    )
    assert list(unplaced.values()) == ["*unplaced", "", "", "", "7", "", ""]
    assert list(total.values()) == ["*total", "", "", "4000000", "40", "10", "1"]


def test_shares_and_densities_can_be_computed_from_the_other_columns(read_table):
    *rows, _, total = read_table(*HUMAN_LIKE)
    for row in rows:
        records, length = int(row["records"]), int(row["length"])
        assert float(row["records_per_megabase"]) == pytest.approx(records * 1e6 / length)
        assert float(row["share_of_total"]) == pytest.approx(records / int(total["records"]))


def test_a_region_without_records_has_zeros(read_table):
    row = read_table(RegionCount("chr1", 1000, 0), RegionCount("chr2", 1000, 1))[0]
    assert list(row.values()) == ["chr1", "1", "1000", "1000", "0", "0", "0"]


def test_a_file_without_records_has_zeros(read_table):
    region, _, total = read_table(RegionCount("chr1", 1000, 0))
    assert region["share_of_total"] == total["share_of_total"] == "0"
    assert total["records"] == total["records_per_megabase"] == "0"


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
def test_a_name_comes_back_as_it_was(read_table, name):
    assert read_table(RegionCount(name, 1000, 1))[0]["region"] == name


@pytest.mark.parametrize(
    ("name", "shown"), [("chr\udcff", r"chr\xff"), ("chr1\r", r"chr1\r"), ("a\tb", r"a\tb")]
)
def test_what_is_no_text_in_a_name_is_escaped(read_table, name, shown):
    assert read_table(RegionCount(name, 1000, 1))[0]["region"] == shown


def test_the_first_line_is_the_header_and_every_line_has_its_fields(tmp_path):
    path = write_count_table(tmp_path / "table.tsv", summarize(*HUMAN_LIKE))
    first, *rest = path.read_bytes().decode().removesuffix("\n").split("\n")
    assert first.split("\t") == list(COLUMNS)
    assert {line.count("\t") for line in rest} == {len(COLUMNS) - 1}


def read_multiqc_section(path: Path) -> dict[str, str]:
    """Return the one sample's values, and its name as "Sample"."""
    lines = path.read_text(encoding="utf-8").splitlines()
    header, values = (line.split("\t") for line in lines if not line.startswith("#"))
    return dict(zip((cell[1:-1] for cell in header), values, strict=True))


def test_the_multiqc_section_is_a_bar_of_main_regions_the_others_and_unplaced_reads(tmp_path):
    summary = summarize(*HUMAN_LIKE, unplaced=7)
    section = read_multiqc_section(write_multiqc_section(tmp_path / "s_mqc.tsv", summary))
    mains = {f"chr{number}": "5000000" for number in range(1, 25)} | {"chrM": "0"}
    others = str(sum(range(3_341)))
    ends = {"other regions": others, "unplaced reads": "7"}
    assert section == {"Sample": '"sample"'} | mains | ends


def configure(folder: Path, summary: CountSummary) -> list[str]:
    """Return the comment lines of a MultiQC section."""
    path = write_multiqc_section(folder / "s_mqc.tsv", summary)
    return [line for line in path.read_text().splitlines() if line.startswith("#")]


def test_the_multiqc_section_is_a_bar_plot_shared_by_all_samples_of_the_same_filters(tmp_path):
    one, other = (summarize(RegionCount("1", 10, 1), sample=name) for name in ("one", "other"))
    configuration = configure(tmp_path, one)
    assert "# plot_type: bargraph" in configuration
    assert configuration == configure(tmp_path, other)


def test_multiqc_draws_counts_of_other_filters_apart(tmp_path):
    summary = summarize(RegionCount("1", 10, 1))
    filtered = replace(summary, filters="-q 30 -F 2308")
    first, *rest = configure(tmp_path, summary)
    identifier, *other_rest = configure(tmp_path, filtered)
    assert first == "# id: samtools_count"
    assert identifier == "# id: samtools_count_q_30_F_2308"
    assert {line for line in rest if "id:" in line}.isdisjoint(other_rest)


def test_the_multiqc_section_shows_the_command(tmp_path):
    summary = replace(summarize(RegionCount("1", 10, 1)), command="samtools view '<x>'")
    (line,) = (one for one in configure(tmp_path, summary) if one.startswith("# description: "))
    assert json.loads(line.partition(": ")[2]) == (
        "Counted record by record. Command: <code>samtools view &#x27;&lt;x&gt;&#x27;</code>"
    )


def test_multiqc_cannot_take_a_name_for_configuration_or_for_a_number(tmp_path):
    summary = summarize(RegionCount("1", 10, 1), sample="#1")
    lines = write_multiqc_section(tmp_path / "s_mqc.tsv", summary).read_text().splitlines()
    assert lines[-2:] == ['"Sample"\t"1"\t"unplaced reads"', '"#1"\t1\t0']


def test_few_regions_are_all_main():
    assert split_regions(HUMAN_LIKE[:MOST_BARS]) == (HUMAN_LIKE[:MOST_BARS], [])


def test_the_chromosomes_of_a_genome_are_main_and_its_small_contigs_are_not():
    assert split_regions(HUMAN_LIKE) == (HUMAN_LIKE[:25], HUMAN_LIKE[25:])


def test_a_small_region_with_many_records_is_main():
    plasmid = RegionCount("plasmid", 5_000, 10_000_000)
    main, _ = split_regions([*HUMAN_LIKE, plasmid])
    assert main[-1] == plasmid


def test_where_no_region_is_large_the_largest_are_main():
    scaffolds = [RegionCount(f"scaffold_{number}", 1_000 + number, 1) for number in range(11_003)]
    main, others = split_regions(scaffolds)
    assert main == scaffolds[-25:]
    assert others == scaffolds[:-25]


@pytest.mark.parametrize("prefix", ["n" * 251, "é" * 125, "n" * 245])
def test_the_name_of_an_output_fits_on_a_disk(prefix):
    name = name_file(prefix, "_count.txt")
    assert 250 < len(name.encode()) <= 255
    assert name.endswith("_count.txt")
    assert prefix.startswith(name.removesuffix("_count.txt"))
