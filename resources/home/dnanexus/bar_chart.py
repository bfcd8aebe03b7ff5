"""Bar charts of regions as HTML: a linear and a logarithmic one in each, of which CSS shows one."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from math import floor, log1p, log10
from typing import NamedTuple

from summary import RegionCount, join_regions, show_name, take_largest

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


class Chart(NamedTuple):
    """What the bars of a chart show."""

    measure: Callable[[RegionCount], float]
    """The value of a region's bar."""
    show: Callable[[float], str]
    """It for a person."""
    top: float
    """The end of the linear scale; what is larger runs off it."""
    reference: tuple[str, float] | None = None
    """The name of a value that a line marks, and the value."""
    marks: Mapping[RegionCount, str] = {}
    """Words beside the values of the regions to look at."""


def draw_chart(chart: Chart, main: Sequence[RegionCount], others: Sequence[RegionCount]) -> str:
    """Return a bar chart as HTML, which holds the bars' widths on a linear and on a log scale.

    Args:
        chart: what it shows.
        main: the regions with a bar each, in the order of the header; at least one.
        others: the regions of one bar, which unfolds.
    """
    fold = [join_regions(f"{len(others):,} other regions", others)] if others else []
    # Of equals none is chosen: a part of them, in the order of the header, says nothing.
    choice = take_largest(others, chart.measure, MOST_UNFOLDED)
    largest = sorted(choice, key=chart.measure, reverse=True)

    top = max(map(chart.measure, [*main, *fold]))
    scales = [_make_linear_scale(min(chart.top, top) or top), _make_log_scale(top)]

    def draw_bars(shown: Iterable[RegionCount], tag: str) -> str:
        return "\n".join(f"<{tag}>{_draw_bar(one, chart, scales)}</{tag}>" for one in shown)

    plot = "".join(_draw_axis(scale, chart) for scale in scales)
    plot += f"<ol>{draw_bars(main, 'li')}</ol>"
    hints = ""
    if chart.top < top:
        hints += '<p class="linear">A bar that fades out runs off the scale.</p>'
    if largest:
        unfolded = f"<ol>{draw_bars(largest, 'li')}</ol>"
        plot += f"<details>{draw_bars(fold, 'summary')}{unfolded}</details>"
    elif fold:
        plot += f"<ol>{draw_bars(fold, 'li')}</ol>"
    if 0 < len(largest) < len(others):
        hints += f"<p>Unfold for the {len(largest)} largest others; the table has all.</p>"
    kind = "chart compared" if chart.reference else "chart"
    longest = max(len(show_name(region.name)) for region in [*main, *fold])
    return (
        f'<div class="{kind}" style="--longest:{longest}">'
        f'<div class="plot">{plot}</div>{hints}</div>'
    )


def _draw_bar(region: RegionCount, chart: Chart, scales: Iterable[Scale]) -> str:
    """Return the HTML of one bar, with its name and its value."""
    places = {scale.name: scale.place(chart.measure(region)) for scale in scales}
    widths = "".join(f"--{scale}:{min(place, 1):.2%};" for scale, place in places.items())
    beyond = "".join(f" beyond-{scale}" for scale, place in places.items() if place > 1)
    mark = chart.marks.get(region, "")
    far = " far" if mark else ""
    return (
        f'<span class="name">{_break_name(region.name)}</span>'
        f'<span class="track"><span class="bar{far}{beyond}" style="{widths}"></span></span>'
        f'<span class="value"><b>{mark}</b> {chart.show(chart.measure(region))}</span>'
    )


def _break_name(name: str) -> str:
    """Return a name as HTML that breaks into lines between its parts."""
    return re.sub(r"([_.:|*-])(?=.)", r"\1<wbr>", escape(show_name(name)))


def _draw_axis(scale: Scale, chart: Chart) -> str:
    """Return the HTML of a scale's ticks; readers of the screen hear the values instead."""
    ticks = "".join(
        f'<span style="left:{scale.place(tick):.2%}">{_abbreviate(tick)}</span>'
        for tick in scale.ticks
    )
    if chart.reference:
        name, value = chart.reference
        ticks += (
            f'<span class="reference" style="left:{scale.place(value):.2%}">{escape(name)}</span>'
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
