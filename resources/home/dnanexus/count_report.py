"""The counts as files for people and programs: a table, a section for MultiQC, and a page.

    summary = CountSummary("sample", "samtools view -c ...", regions, unplaced=0, ...)
    write_count_table(Path("sample_count.tsv"), summary)
    write_multiqc_section(Path("sample_count_mqc.tsv"), summary)
    write_count_report(Path("sample_count.html"), summary)

Nothing is counted here: a `CountSummary` holds all that a file says. The page is the template
`count_report.html`, filled. All that it shows is in its HTML, and its script only sorts and filters
the table, so that it can be read where scripts may not run.
"""

import csv
import json
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from html import escape
from math import floor, log1p, log10
from pathlib import Path
from string import Template
from typing import NamedTuple

TEMPLATE = Path(__file__).with_name("count_report.html")

MEGABASE = 1_000_000

# The names of the rows that are no region. SAM lets no reference name begin with an asterisk
# ("Sequence Alignment/Map Format Specification", 1.2.1).
UNPLACED_ROW = "*unplaced"
TOTAL_ROW = "*total"

COLUMNS = ("region", "start", "end", "length", "records", "records_per_megabase", "share_of_total")

# A chart shows each region only as long as a person can read it. If there are more, those with
# less than this share of the bases and of the records are folded into one bar.
MOST_BARS = 50
SMALLEST_MAIN_SHARE = 0.005
FEWEST_MAIN_REGIONS = 25
MOST_UNFOLDED = 100

# Always shown, small as it is. A cell has hundreds of copies, so its bar may run off the linear
# scale of densities, where it would leave the other regions no room.
MITOCHONDRIA = ("chrM", "chrMT", "M", "MT")

# MultiQC reads its configuration from comment lines ("Custom content" in its documentation). Files
# of one id are drawn as one plot, a bar for each sample; so each command has an id of its own.
MULTIQC_CONFIGURATION = """\
# id: {id}
# section_name: Alignment records per region
# description: {description}
# plot_type: bargraph
# pconfig:
#   id: {id}_plot
#   title: "samtools count: alignment records per region"
#   ylab: Records
"""


class RegionCount(NamedTuple):
    """How many records a region has."""

    name: str
    """As in the header; bytes that are not UTF-8 are surrogates, as in file names."""
    length: int
    """In bases."""
    records: int

    @property
    def density(self) -> float:
        """Records per megabase; 0 for a region without length."""
        return self.records * MEGABASE / self.length if self.length else 0.0


class CountSummary(NamedTuple):
    """What was counted, how, and the counts."""

    sample: str
    """The name of the BAM file less `.bam`."""
    command: str
    """The samtools command that counted, in its general form, with its filters; or `none`."""
    regions: list[RegionCount]
    """In the order of the header; at least one."""
    unplaced: int
    """Reads without a region; the total is without them."""
    samtools_version: str
    applet_version: str
    date: str
    """ISO date and time, UTC."""
    note: str
    """One sentence on where the counts are from; may be empty."""

    @property
    def whole(self) -> RegionCount:
        """All regions together."""
        return join_regions("all regions", self.regions)


class Scale(NamedTuple):
    """Where values lie on an axis."""

    name: str
    """As the template's style sheet calls it."""
    place: Callable[[float], float]
    """From a value to its place, from 0 to 1; more if it is beyond the end."""
    ticks: list[float]
    """Round values to mark."""


def join_regions(name: str, regions: Sequence[RegionCount]) -> RegionCount:
    """Return one region of the length and the records of these together."""
    length = sum(region.length for region in regions)
    return RegionCount(name, length, sum(region.records for region in regions))


def get_share(region: RegionCount, whole: RegionCount) -> float:
    """Return which share of all records the region has; 0 where there are no records."""
    return region.records / whole.records if whole.records else 0.0


def split_regions(
    regions: Sequence[RegionCount],
) -> tuple[list[RegionCount], list[RegionCount]]:
    """Tell the regions that a chart shows each from those it folds into one bar.

    Returns:
        The main regions and the others, each in their order.
    """
    if len(regions) <= MOST_BARS:
        return list(regions), []
    whole = join_regions("all regions", regions)

    def weigh(region: RegionCount) -> float:
        if region.name in MITOCHONDRIA:
            return 1.0
        return max(get_share(region, whole), region.length / (whole.length or 1))

    by_weight = sorted(regions, key=weigh, reverse=True)
    large = [region for region in by_weight if weigh(region) >= SMALLEST_MAIN_SHARE]
    main = set(large[:MOST_BARS] or by_weight[:FEWEST_MAIN_REGIONS])
    return [one for one in regions if one in main], [one for one in regions if one not in main]


def write_count_table(path: Path, summary: CountSummary) -> Path:
    """Write the counts as tab-separated text with one header line; return its path.

    R (read.delim), pandas and spreadsheets read it as it is: UTF-8, a name that holds a quote is
    quoted, what does not apply is empty.

    Columns (`COLUMNS`): region; start and end, 1-based and both included, as in samtools regions;
    length in bases; records; records per megabase; share of the total, from 0 to 1. The rows
    `*unplaced` and `*total` come last; the total is without the unplaced reads.
    """
    whole = summary.whole

    def measure(region: RegionCount) -> tuple[int, int, str, str]:
        share = get_share(region, whole)
        return region.length, region.records, f"{region.density:.10g}", f"{share:.10g}"

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, "excel-tab", lineterminator="\n")
        writer.writerow(COLUMNS)
        for region in summary.regions:
            writer.writerow((show_name(region.name), 1, region.length, *measure(region)))
        writer.writerow((UNPLACED_ROW, "", "", "", summary.unplaced, "", ""))
        writer.writerow((TOTAL_ROW, "", "", *measure(whole)))
    return path


def write_multiqc_section(path: Path, summary: CountSummary) -> Path:
    """Write the counts as custom content for MultiQC; return its path.

    MultiQC finds the file if its name ends in `_mqc.tsv`, and draws all such files of the same
    command as one plot: a bar for each sample, in pieces for its main regions, the others, and the
    unplaced reads.

    The count table cannot serve for this. Without comment lines MultiQC would stack all of its
    columns, lengths on counts; with them, R and pandas would need options.
    """
    main, others = split_regions(summary.regions)
    pieces = [(region.name, region.records) for region in main]
    if others:
        fold = join_regions("other regions", others)
        pieces.append((fold.name, fold.records))
    pieces.append(("unplaced reads", summary.unplaced))
    # In quotes, because MultiQC takes a first line with numbers in it for data, and contigs may
    # be called 1 and 2.
    header = ['"Sample"', *(f'"{show_name(name)}"' for name, _ in pieces)]
    values = [f'"{show_name(summary.sample)}"', *(str(records) for _, records in pieces)]
    lines = "\t".join(header) + "\n" + "\t".join(values) + "\n"
    # MultiQC reads YAML, of which a JSON string is a part, and shows it as HTML.
    command = escape(show_name(summary.command))
    configuration = MULTIQC_CONFIGURATION.format(
        id=re.sub(r"\W+", "_", f"samtools_count {summary.command}", flags=re.ASCII),
        description=json.dumps(f"{escape(summary.note)} Command: <code>{command}</code>"),
    )
    path.write_text(configuration + lines, encoding="utf-8")
    return path


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


def show_name(name: str) -> str:
    r"""Return a name as any program can read it: what is no text is escaped, as `\xff` or `\r`."""
    text = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


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
