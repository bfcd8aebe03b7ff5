"""The count report: one HTML page for a person, which needs no other file.

The page is the template `report.html`, filled. All that it shows is in its HTML, and its script
only sorts and filters the table, so that it can be read where scripts may not run.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from html import escape
from math import floor, log1p, log10
from pathlib import Path
from string import Template
from typing import NamedTuple

from summary import (
    MITOCHONDRIA,
    CountSummary,
    RegionCount,
    get_share,
    join_regions,
    show_name,
    split_regions,
)

TEMPLATE = Path(__file__).with_name("report.html")

# So many of the regions that are folded into one bar show when it is unfolded.
MOST_UNFOLDED = 100


class Scale(NamedTuple):
    """Where values lie on an axis."""

    name: str
    """As the template's style sheet calls it."""
    place: Callable[[float], float]
    """From a value to its place, from 0 to 1; more if it is beyond the end."""
    ticks: list[float]
    """Round values to mark."""


def write_count_report(path: Path, summary: CountSummary) -> Path:
    """Write the counts as one HTML page that needs no other file; return its path."""
    whole = summary.whole
    texts = {
        "sample": show_name(summary.sample),
        "note": summary.note,
        "command": show_name(summary.command),
        "total": f"{whole.records:,}",
        "unplaced": f"{summary.unplaced:,}",
        "regions": f"{len(summary.regions):,}",
        "regions_with_records": f"{sum(region.records > 0 for region in summary.regions):,}",
        "length": f"{whole.length:,}",
        "density": show_density(whole.density),
        "share": show_share(get_share(whole, whole)),
        "samtools_version": summary.samtools_version,
        "applet_version": summary.applet_version,
        "date": summary.date,
    }
    fragments = {
        "records_chart": _draw_chart(summary.regions, lambda one: one.records, "{:,.0f}".format),
        "density_chart": _draw_chart(
            summary.regions, lambda one: one.density, show_density, off_scale=MITOCHONDRIA
        ),
        "rows": "\n".join(
            _write_row(number, region, whole) for number, region in enumerate(summary.regions, 1)
        ),
    }
    escaped = {key: escape(text) for key, text in texts.items()}
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    path.write_text(template.substitute(escaped, **fragments), encoding="utf-8")
    return path


def show_density(density: float) -> str:
    """Return records per megabase as a person reads them: three digits or more."""
    return f"{density:,.0f}" if density >= 100 else f"{density:.3g}"


def show_share(share: float) -> str:
    """Return a share as a person reads it, in percent; what is not zero never looks so."""
    return "< 0.01%" if 0 < share < 0.0001 else f"{share:.2%}"


def _write_row(number: int, region: RegionCount, whole: RegionCount) -> str:
    """Return a region's row in the page's table."""
    return (
        f"<tr><td>{number:,}</td><th scope=row>{escape(show_name(region.name))}</th>"
        f"<td>{region.length:,}</td><td>{region.records:,}</td>"
        f"<td>{show_density(region.density)}</td><td>{show_share(get_share(region, whole))}</td>"
        "</tr>"
    )


def _draw_chart(
    regions: Sequence[RegionCount],
    measure: Callable[[RegionCount], float],
    show: Callable[[float], str],
    off_scale: Collection[str] = (),
) -> str:
    """Return a bar chart as HTML, which holds the bars' widths on a linear and on a log scale.

    Args:
        regions: in the order of the header.
        measure: what a bar shows of a region.
        show: writes it for a person.
        off_scale: names of regions that the linear scale need not have room for.
    """
    main, others = split_regions(regions)
    fold = [join_regions(f"{len(others):,} other regions", others)] if others else []
    largest = sorted(others, key=measure, reverse=True)[:MOST_UNFOLDED]

    top = max(map(measure, main + fold))
    linear_top = max((measure(one) for one in main + fold if one.name not in off_scale), default=0)
    scales = [_make_linear_scale(linear_top or top), _make_log_scale(top)]

    def draw_bars(shown: Iterable[RegionCount], tag: str) -> str:
        return "\n".join(
            f"<{tag}>{_draw_bar(one.name, measure(one), show, scales)}</{tag}>" for one in shown
        )

    plot = "".join(map(_draw_axis, scales)) + f"<ol>{draw_bars(main, 'li')}</ol>"
    hints = ""
    if 0 < linear_top < top:
        hints += '<p class="linear">A bar that fades out runs off the scale.</p>'
    if others:
        unfolded = f"<ol>{draw_bars(largest, 'li')}</ol>"
        plot += f"<details>{draw_bars(fold, 'summary')}{unfolded}</details>"
    if len(others) > len(largest):
        hints += f"<p>Unfold for the {len(largest)} largest others; the table has all.</p>"
    longest = max(len(show_name(one.name)) for one in main + fold + largest)
    style = f"--longest:{longest}"
    return f'<div class="chart" style="{style}"><div class="plot">{plot}</div>{hints}</div>'


def _draw_bar(
    name: str, value: float, show: Callable[[float], str], scales: Iterable[Scale]
) -> str:
    """Return the HTML of one bar, with its name and its value."""
    places = {scale.name: scale.place(value) for scale in scales}
    widths = "".join(f"--{scale}:{min(place, 1):.2%};" for scale, place in places.items())
    beyond = "".join(f" beyond-{scale}" for scale, place in places.items() if place > 1)
    return (
        f'<span class="name">{escape(show_name(name))}</span>'
        f'<span class="track"><span class="bar{beyond}" style="{widths}"></span></span>'
        f'<span class="value">{show(value)}</span>'
    )


def _draw_axis(scale: Scale) -> str:
    """Return the HTML of a scale's ticks; readers of the screen hear the values instead."""
    ticks = "".join(
        f'<span style="left:{scale.place(tick):.2%}">{_abbreviate(tick)}</span>'
        for tick in scale.ticks
    )
    return f'<div class="axis {scale.name}" aria-hidden="true">{ticks}</div>'


def _make_linear_scale(top: float) -> Scale:
    """Return a scale from 0 to `top`."""
    if not top:
        return Scale("linear", lambda _: 0.0, [0.0])
    size = 10 ** floor(log10(top))
    step = next(size * part for part in (0.2, 0.5, 1, 2) if size * part * 5 >= top)
    ticks = [step * number for number in range(floor(top / step) + 1)]
    return Scale("linear", lambda value: value / top, ticks)


def _make_log_scale(top: float) -> Scale:
    """Return a scale of log(1 + value), which has a place for 0."""
    if not top:
        return Scale("log", lambda _: 0.0, [0.0])
    decades = floor(log10(top)) if top >= 1 else -1
    ticks = [0.0, *(10.0**power for power in range(decades, -1, -2 if decades > 4 else -1))]
    return Scale("log", lambda value: log1p(value) / log1p(top), ticks)


def _abbreviate(number: float) -> str:
    """Return a number in the few characters that fit at an axis."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"
