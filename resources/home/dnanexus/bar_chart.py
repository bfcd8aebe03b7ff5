"""Draws bar charts of regions as HTML."""

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from math import floor, log10
from typing import NamedTuple

from summary import RegionCount, show_name


class Chart(NamedTuple):
    """What the bars of a chart show."""

    measure: Callable[[RegionCount], float]
    """Returns the value of a region's bar."""
    show: Callable[[float], str]
    """Returns a value for a person."""
    top: float
    """The end of the scale, more than 0; a bar of a larger value fades out there."""
    line: tuple[str, float] | None = None
    """The name of a value that a line marks, and the value."""
    marks: Mapping[RegionCount, str] = {}
    """Words beside the values of the regions to look at."""


def draw_chart(chart: Chart, regions: Sequence[RegionCount]) -> str:
    """Return a chart with a bar for each region, at least one, as HTML."""
    bars = "\n".join(_draw_bar(chart, region) for region in regions)
    fades = any(chart.measure(region) > chart.top for region in regions)
    hint = "<p>A bar that fades out is longer than the scale.</p>" if fades else ""
    kind = "chart compared" if chart.line else "chart"
    longest = max(len(show_name(region.name)) for region in regions)
    return (
        f'<div class="{kind}" style="--longest:{longest}">'
        f'<div class="plot">{_draw_axis(chart)}<ol>{bars}</ol></div>{hint}</div>'
    )


def _draw_bar(chart: Chart, region: RegionCount) -> str:
    """Return a bar with its name and its value as HTML."""
    value = chart.measure(region)
    mark = chart.marks.get(region, "")
    classes = f"bar{' far' if mark else ''}{' beyond' if value > chart.top else ''}"
    # Long names break into lines between their parts.
    name = re.sub(r"([_.:|*-])(?=.)", r"\1<wbr>", escape(show_name(region.name)))
    return (
        f'<li{"" if value else " class=empty"}><span class="name">{name}</span><span class="track">'
        f'<span class="{classes}" style="width:{min(value / chart.top, 1):.2%}"></span></span>'
        f'<span class="value"><b>{mark}</b> {escape(chart.show(value))}</span></li>'
    )


def _draw_axis(chart: Chart) -> str:
    """Return the ticks as HTML; a screen reader reads the values instead."""
    size = 10 ** floor(log10(chart.top))
    step = next(size * part for part in (0.2, 0.5, 1, 2) if size * part * 5 >= chart.top)
    ticks = "".join(
        f'<span style="left:{number * step / chart.top:.2%}">{_abbreviate(number * step)}</span>'
        for number in range(floor(chart.top / step) + 1)
    )
    if chart.line:
        name, value = chart.line
        ticks += f'<span class="line" style="left:{value / chart.top:.2%}">{escape(name)}</span>'
    return f'<div class="axis" aria-hidden="true">{ticks}</div>'


def _abbreviate(number: float) -> str:
    """Return a number in the few characters that fit at an axis."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"
