"""The files for MultiQC: their numbers, and which files share a plot."""

import json
from pathlib import Path

import pytest

from multiqc_content import STATISTICS, write_multiqc_general_stats, write_multiqc_section
from summaries import make_autosomes, make_regions, summarize
from summary import CountSummary, RegionCount

FILTERS = "-q 30 -F 2308"


@pytest.fixture
def write(tmp_path: Path):
    """Write the section and the general statistics, and read them: write(summary)."""

    def write_and_read(summary: CountSummary) -> tuple[dict, dict]:
        writers = (write_multiqc_section, write_multiqc_general_stats)
        paths = [one(tmp_path / f"{one.__name__}_mqc.json", summary) for one in writers]
        section, statistics = (json.loads(path.read_text(encoding="utf-8")) for path in paths)
        return section, statistics

    return write_and_read


def read_statistics(statistics: dict) -> dict:
    """Return the values of the one sample by the keys of `STATISTICS`."""
    (values,) = statistics["data"].values()
    return {name.removeprefix(f"{statistics['id']}_"): value for name, value in values.items()}


def test_a_halved_chromosome_and_the_sex_show_in_a_line_of_normalized_coverage(write):
    regions = make_autosomes(chrX=506, chrY=202, chrM=9_000, chr13=506)
    section, _ = write(summarize([*regions, RegionCount("chrUn_1", 5_000, 9)]))
    assert section["plot_type"] == "linegraph"
    assert section["pconfig"]["categories"] is True
    assert [section["pconfig"][end] for end in ("xmin", "xmax")] == [-0.5, 23.5]
    line = section["data"]["sample"]
    assert list(line) == [*(f"chr{n}" for n in range(1, 23)), "chrX", "chrY"]
    assert [line["chr13"], line["chrX"], line["chrY"]] == pytest.approx([0.5, 0.5, 0.2], abs=0.01)
    assert line["chr1"] == pytest.approx(1, abs=0.02)


def test_the_line_has_the_same_points_for_either_naming_and_any_order(write):
    regions = make_autosomes(chrX=500)
    other = [one._replace(name=one.name.removeprefix("chr")) for one in reversed(regions)]
    (section, _), (other_section, _) = write(summarize(regions)), write(summarize(other))
    assert list(section["data"]["sample"].items()) == list(other_section["data"]["sample"].items())
    assert section == other_section


def test_large_regions_without_names_of_autosomes_are_a_line_in_header_order(write):
    section, _ = write(summarize(make_regions(**{"2R": 100, "2L": 200, "3": 300, "X": 100})))
    assert section["data"]["sample"] == {"2R": 0.5, "2L": 1, "3": 1.5}
    assert "chrX" not in section["description"]


def test_without_a_baseline_the_section_is_a_bar_of_the_charted_regions_and_the_others(write):
    few = [RegionCount(f"s{n}", 1_000, 100 - n) for n in range(100)]
    section, _ = write(summarize(few, unplaced=7))
    assert section["plot_type"] == "bargraph"
    values = section["data"]["sample"]
    assert list(values)[-2:] == ["other regions", "unplaced reads"]
    assert values["s1"] == 99
    assert values["unplaced reads"] == 7
    assert sum(values.values()) == sum(one.records for one in few) + 7


def test_samples_of_the_same_filters_share_all_but_their_data(write):
    regions = make_autosomes(chrX=500)
    one, other = (write(summarize(regions, sample=name)) for name in ("one", "other"))
    for content, other_content in zip(one, other, strict=True):
        assert content.pop("data").keys() == {"one"}
        assert other_content.pop("data").keys() == {"other"}
        assert content == other_content


@pytest.mark.parametrize("regions", [make_autosomes(), make_regions(a=1)], ids=["line", "bar"])
def test_counts_of_other_filters_have_plots_of_their_own_that_say_so(write, regions):
    section, statistics = write(summarize(regions))
    filtered_section, filtered_statistics = write(summarize(regions, filters=FILTERS))
    for content, filtered in (
        (section, filtered_section),
        (statistics, filtered_statistics),
    ):
        assert filtered["id"] == f"{content['id']}_q_30_F_2308"
        assert content["parent_id"] == filtered["parent_id"]
    assert FILTERS in filtered_section["section_name"]
    assert FILTERS in filtered_section["pconfig"]["title"]
    assert section["pconfig"]["id"] != filtered_section["pconfig"]["id"]
    titles = [header["title"] for header in filtered_statistics["headers"].values()]
    assert all(title.endswith(FILTERS) for title in titles)
    assert statistics["headers"].keys().isdisjoint(filtered_statistics["headers"])


def test_samples_with_another_number_of_chromosomes_have_a_plot_of_their_own(write):
    (human, _), (mouse, _) = (
        write(summarize(make_autosomes())),
        write(summarize(make_autosomes()[:19])),
    )
    assert human["id"] != mouse["id"]
    assert human["section_name"] != mouse["section_name"]


def test_the_general_statistics_are_total_shares_and_sex_chromosomes(write):
    regions = make_autosomes(chrX=1_000, chrY=0, chrM=1_000)
    _, statistics = write(summarize(regions, unplaced=1_000))
    total = sum(one.records for one in regions)
    values = read_statistics(statistics)
    assert values.pop("chrX") == pytest.approx(1, abs=0.02)
    assert values == {
        "records": total,
        "unplaced": pytest.approx(100 * 1_000 / (total + 1_000)),
        "mitochondrial": pytest.approx(100 * 10_000 / total),
        "chrY": 0,
    }
    assert list(statistics["headers"]) == [f"{statistics['id']}_{key}" for key in STATISTICS]


def test_statistics_that_do_not_apply_are_left_out(write):
    _, statistics = write(summarize(make_regions(a=1), filters=FILTERS))
    assert read_statistics(statistics) == {"records": 10}


def test_the_general_statistics_say_how_many_records_were_filtered_out(write):
    _, statistics = write(summarize(make_regions(a=3), filters=FILTERS, filtered_out=10))
    assert read_statistics(statistics) == {"records": 30, "filtered_out": 25}


def test_the_general_statistics_name_the_outliers_without_commas_which_multiqc_removes(write):
    _, statistics = write(summarize(make_autosomes(chr13=500, chr21=1_500)))
    assert read_statistics(statistics)["outliers"] == "chr13 low 0.49; chr21 high 1.48"


@pytest.mark.parametrize("index", ["given", "fresh"])
def test_the_usual_index_has_no_column(write, index):
    _, statistics = write(summarize(make_regions(a=1), index=index))
    assert "index" not in read_statistics(statistics)


def test_a_replaced_index_is_one_word(write):
    facts = {"index": "replaced", "index_problem": "'<x>.bai' belongs to another BAM"}
    _, statistics = write(summarize(make_regions(a=1), **facts))
    assert read_statistics(statistics)["index"] == "replaced"


def test_counts_from_the_index_have_plots_and_columns_of_their_own_that_say_so(write):
    counted, counted_statistics = write(summarize(make_autosomes()))
    section, statistics = write(summarize(make_autosomes(), counted=False))
    assert section["id"] != counted["id"]
    assert statistics["id"] != counted_statistics["id"]
    assert section["section_name"].endswith(", from the index, not counted")
    assert "samtools view" not in section["description"]
    titles = [header["title"] for header in statistics["headers"].values()]
    assert all(title.endswith(" (not counted)") for title in titles)


def test_the_section_names_the_command(write):
    section, _ = write(summarize(make_autosomes(), filters=FILTERS))
    assert "<code>samtools view -c -q 30 -F 2308 FILE REGION</code>" in section["description"]


def test_bytes_of_a_sample_s_name_that_are_not_text_are_escaped(write):
    section, _ = write(summarize(make_regions(a=1), sample="s\udcff\t"))
    assert list(section["data"]) == [r"s\xff\t"]
