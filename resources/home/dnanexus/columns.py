"""Defines the columns of the count table and of the report's table, and formats numbers.

To add a column, add a line to `COLUMNS`: both tables have it then.
"""

from collections.abc import Callable
from functools import cache
from math import floor, log10
from typing import NamedTuple

from summary import CountSummary, RegionCount, show_name


class Column(NamedTuple):
    """A fact about each region."""

    name: str
    """Its name in the count table."""
    title: str
    """Its heading in the report."""
    measure: Callable[[CountSummary, RegionCount], str | float | None]
    """Returns the value of a region; None if there is none for these counts."""
    show: Callable[[CountSummary, RegionCount], str]
    """Returns the value for a person."""


def show_number(number: float, decimals: int) -> str:
    """Return a number with this many decimals; only zero is shown as zero."""
    smallest = 10.0**-decimals
    if 0 < number < smallest:
        return f"< {smallest:.{decimals}f}"
    return f"{number:,.{decimals}f}"


def show_share(share: float) -> str:
    """Return a share in percent."""
    return f"{show_number(100 * share, 2)}%"


def show_density(summary: CountSummary, density: float) -> str:
    """Return records per megabase, with as many decimals as all other densities of the summary."""
    return show_number(density, choose_decimals(summary.typical_density))


@cache
def choose_decimals(number: float) -> int:
    """Return how many decimals give a number three digits, at most four."""
    return min(max(2 - floor(log10(number)), 0), 4) if number else 0


def show_coverage(summary: CountSummary, region: RegionCount) -> str:
    """Return the normalized coverage of a region, and in a word whether it is far from 1."""
    coverage = summary.normalize(region) or 0
    far = "" if region not in summary.outliers else "low " if coverage < 1 else "high "
    return f"{far}{show_number(coverage, 2)}"


def list_outliers(summary: CountSummary) -> list[str]:
    """Return the name and the normalized coverage of each outlier, in header order."""
    return [
        f"{show_name(region.name)} {show_coverage(summary, region)}"
        for region in summary.regions
        if region in summary.outliers
    ]


def _show_name(_: CountSummary, region: RegionCount) -> str:
    return show_name(region.name)


COLUMNS = (
    Column("region", "Region", _show_name, _show_name),
    Column("length", "Length (bases)", lambda _, one: one.length, lambda _, one: f"{one.length:,}"),
    Column("records", "Records", lambda _, one: one.records, lambda _, one: f"{one.records:,}"),
    Column(
        "records_per_megabase",
        "Records per Mb",
        lambda _, region: region.density,
        lambda summary, region: show_density(summary, region.density),
    ),
    Column(
        "share_of_total",
        "Share of total",
        CountSummary.get_share,
        lambda summary, region: show_share(summary.get_share(region)),
    ),
    Column("normalized_coverage", "Normalized coverage", CountSummary.normalize, show_coverage),
)
