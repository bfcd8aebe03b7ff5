"""The columns of both tables, and how numbers are shown."""

import json
import re

import pytest

from columns import COLUMNS, show_density, show_number
from outputs import write_count_table
from report import write_count_report
from summaries import make_autosomes, summarize
from summary import RegionCount


def test_every_column_is_in_the_count_table_and_in_the_report(tmp_path):
    summary = summarize(make_autosomes())
    names = write_count_table(tmp_path / "table.tsv", summary).read_text().splitlines()[0]
    assert names.split("\t") == [column.name for column in COLUMNS]
    page = write_count_report(tmp_path / "report.html", summary).read_text()
    titles = re.findall(r'<button type="button">(.+?)</button></th>', page)
    assert titles == ["#", *(column.title for column in COLUMNS)]
    rows = json.loads(re.search(r'id="regions">(.+?)</script>', page)[1])
    assert [len(row) for row in rows] == [len(COLUMNS)] * 22


@pytest.mark.parametrize(
    ("number", "decimals", "shown"),
    [
        (0, 2, "0.00"),
        (0.004, 2, "< 0.01"),
        (0.01, 2, "0.01"),
        (16, 1, "16.0"),
        (0.4, 0, "< 1"),
        (12_345.6, 0, "12,346"),
    ],
)
def test_only_zero_is_shown_as_zero(number, decimals, shown):
    assert show_number(number, decimals) == shown


@pytest.mark.parametrize(
    ("densities", "shown"),
    [
        ((16, 16.25), ["16.0", "16.2"]),
        ((160_000, 84.9), ["160,000", "85"]),
        ((0.02, 0), ["0.0200", "0.0000"]),
    ],
)
def test_all_densities_have_the_same_decimals(densities, shown):
    megabases = 1_000
    regions = [
        RegionCount(f"r{number}", megabases * 1_000_000, round(density * megabases))
        for number, density in enumerate(densities)
    ]
    summary = summarize(regions)
    assert [show_density(summary, region.density) for region in regions] == shown


def test_regions_without_records_do_not_add_decimals():
    summary = summarize([RegionCount("a", 468_628, 6), RegionCount("b", 900_000_000, 0)])
    assert show_density(summary, summary.regions[0].density) == "12.8"
