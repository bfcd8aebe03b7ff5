"""Writes the count report: one HTML page that needs no other file.

The page is the template `report.html`, filled. Figures and charts are HTML. The table is JSON, and
the page's script shows only some rows at a time, because a browser takes ten seconds for a table of
100,000 rows.
"""

import json
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from string import Template

from bar_chart import Chart, draw_chart
from columns import (
    COLUMNS,
    Column,
    choose_decimals,
    list_outliers,
    show_coverage,
    show_density,
    show_number,
    show_share,
)
from job_log import plural
from summary import HIGH, LOW, MOST_BARS, VERSION, CountSummary, show_name

TEMPLATE = Path(__file__).with_name("report.html")

# On a phone, a line of the table has room for this many values.
MOST_ACROSS = 5

# The figures at the top have room for this many names of outliers.
MOST_OUTLIERS = 4


def write_count_report(path: Path, summary: CountSummary) -> Path:
    """Write the counts as one HTML page that needs no other file; return its path."""
    without_records = len(summary.regions) - len(summary.with_records)
    # Every column but those that do not apply, such as coverage without a baseline.
    columns = [one for one in COLUMNS if one.measure(summary, summary.regions[0]) is not None]
    texts = {
        "sample": show_name(summary.sample),
        "subset": summary.subset,
        "command": show_name(summary.command),
        "filters": summary.filters or "none",
        "index": show_name(summary.index_description),
        "without_records": plural(without_records, "region"),
        "samtools_version": summary.samtools_version,
        "applet_version": VERSION,
        "date": summary.date,
    }
    fragments = {
        "figures": _draw_figures(summary),
        "charts": _draw_charts(summary),
        "headings": "\n".join(_write_heading(one.name, one.title) for one in columns),
        "across": str(min(len(columns) - 1, MOST_ACROSS)),
        "title_class": "muted" if summary.counted else "far",
        "any_empty": "" if without_records else "hidden",
        "hides_empty": "checked" if _hides_empty(summary) else "",
    }
    escaped = {key: escape(text) for key, text in texts.items()}
    before, after = TEMPLATE.read_text(encoding="utf-8").split("$regions")
    with path.open("w", encoding="utf-8") as file:
        file.write(Template(before).substitute(escaped, **fragments))
        file.writelines(_write_regions(summary, columns))
        file.write(Template(after).substitute(escaped, **fragments))
    return path


def _hides_empty(summary: CountSummary) -> bool:
    """Return whether the table at first hides the regions without records.

    Among a few regions a zero is news, such as a lost chromosome. Many zeros are in the way.
    """
    regions, with_records = len(summary.regions), len(summary.with_records)
    return with_records > 0 and (regions > MOST_BARS or regions > 2 * with_records)


def _write_heading(name: str, title: str) -> str:
    """Return the heading of a column, which sorts the table."""
    return f'<th scope="col" data-name="{name}"><button type="button">{title}</button></th>'


def _write_regions(summary: CountSummary, columns: Sequence[Column]) -> Iterator[str]:
    """Yield the table as JSON, piece by piece: the texts of its rows, without the row number.

    The rows of 100,000 regions together need much memory. Without `<`, no name can end the script
    element.
    """
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    yield "["
    for number, region in enumerate(summary.regions):
        row = encode([column.show(summary, region) for column in columns])
        yield f"{',' if number else ''}{row}".replace("<", "\\u003c")
    yield "]"


def _draw_figures(summary: CountSummary) -> str:
    """Return the figures at the top of the page as HTML."""
    return "\n".join(
        f"<div><dt>{escape(term)}</dt><dd>{escape(value)}</dd>"
        f'<dd class="muted">{escape(hint)}</dd></div>'
        for term, value, hint in _list_figures(summary)
    )


def _list_figures(summary: CountSummary) -> Iterator[tuple[str, str, str]]:
    """Yield the figures at the top of the page, each a term, its value and a hint."""
    whole, baseline = summary.whole, summary.baseline
    yield "Records in regions", f"{whole.records:,}", ""
    if summary.filtered_share is not None:
        share = f"{show_share(summary.filtered_share)} of the records in regions"
        yield "Filtered out", f"{summary.filtered_out:,}", share
    passing = " that pass the filters" if summary.filters else ""
    hint = "not in the total"
    if summary.unplaced_share is not None:
        hint = f"{show_share(summary.unplaced_share)} of all records; {hint}"
    yield f"Unplaced reads{passing}", f"{summary.unplaced:,}", hint
    with_records = f"{len(summary.with_records):,} with records"
    yield "Regions", f"{len(summary.regions):,}", with_records
    density = show_number(whole.density, choose_decimals(whole.density))
    hint = f"over {plural(whole.length, 'base')}"
    if baseline:
        hint = f"{baseline.name}: {show_density(summary, baseline.density)}"
    yield "Records per megabase", density, hint
    hints = {"chrX": "about 1 with two X, 0.5 with one", "chrY": "near 0 without a Y"}
    for name, region in sorted(summary.sex_chromosomes.items()):
        yield f"{name}, normalized coverage", show_coverage(summary, region), hints[name]
    if summary.mitochondrial_share is not None:
        yield (
            "Mitochondrial records",
            show_share(summary.mitochondrial_share),
            "of those in regions",
        )
    if baseline:
        outliers = list_outliers(summary)
        shown = ", ".join(outliers[:MOST_OUTLIERS]) or "none"
        if len(outliers) > MOST_OUTLIERS:
            shown += f" and {len(outliers) - MOST_OUTLIERS:,} more"
        yield f"Far from the {baseline.name}", shown, "a hint, not a verdict"


def _draw_charts(summary: CountSummary) -> str:
    """Return the charts as HTML, or a sentence if there is nothing to draw."""
    if not summary.whole.records:
        passing = " that passes the filters" if summary.filters else ""
        return f"<p>No region has a record{passing}, so there is nothing to draw.</p>"
    charts = {"Records": _chart_records(summary), "Records per megabase": _chart_densities(summary)}
    drawn = "".join(
        f"<div><h2>{title}</h2>{draw_chart(chart, summary.charted)}</div>"
        for title, chart in charts.items()
    )
    hints = [_explain_choice(summary), _explain_coverage(summary)]
    paragraphs = "".join(f'<p class="muted hint">{hint}</p>' for hint in filter(None, hints))
    return f'<div class="charts">{drawn}</div>{paragraphs}'


def _chart_records(summary: CountSummary) -> Chart:
    """Return the chart of records."""
    top = max(region.records for region in summary.charted)
    return Chart(lambda one: one.records, "{:,.0f}".format, top)


def _chart_densities(summary: CountSummary) -> Chart:
    """Return the chart of densities.

    The scale ends at the densest chromosome, or without a baseline at the densest region that is
    not mitochondrial. A cell has hundreds of mitochondria, and beside them the other bars would be
    too short to compare.
    """
    baseline = summary.baseline
    if baseline:
        compared = [*baseline.chromosomes, *summary.sex_chromosomes.values()]
    else:
        compared = [one for one in summary.charted if one not in summary.mitochondria]
    densest = max((one.density for one in compared), default=0)
    return Chart(
        measure=lambda one: one.density,
        show=lambda density: show_density(summary, density),
        # Records of a region of length 0 have no density.
        top=densest or max(one.density for one in summary.charted) or 1,
        line=(baseline.name, baseline.density) if baseline else None,
        marks={one: show_coverage(summary, one) for one in summary.outliers},
    )


def _explain_choice(summary: CountSummary) -> str:
    """Return which regions the charts show; empty if it is all of them."""
    drawn, everything = summary.charted, len(summary.regions)
    if len(drawn) == everything:
        return ""
    if drawn == summary.with_records:
        return f"Drawn: {plural(len(drawn), 'region')} with records, of {everything:,}."
    rest = summary.whole.records - sum(one.records for one in drawn)
    which = "the chromosomes and others with many" if summary.baseline else "those with the most"
    return (
        f"Drawn: {len(drawn):,} of {everything:,} regions, {which} records. "
        f"The other regions have {show_share(rest / summary.whole.records)} of the records."
    )


def _explain_coverage(summary: CountSummary) -> str:
    """Return what the line and the marks in the chart of densities mean; empty without a line."""
    if not summary.baseline:
        return ""
    return (
        f"Normalized coverage is records per megabase relative to the {summary.baseline.name}, "
        f"which the line marks. Chromosomes are marked low below {LOW} and high above {HIGH}, if "
        "they are also far outside the scatter of the others. This is a hint, not a verdict: "
        "unsequenced bases, captured regions and expression change the coverage, too."
    )
