"""The count report: one HTML page for a person, which needs no other file.

The page is the template `report.html`, filled. What it shows is in its HTML, and its script only
sorts and filters the table, so that it can be read where scripts may not run. Of very many regions
the HTML has a part, and the script makes the rows of the others from text when they are wanted: a
browser takes ten seconds for 100,000 rows.
"""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from bar_chart import Chart, draw_chart
from summary import (
    HIGH,
    LOW,
    MITOCHONDRIA,
    CountSummary,
    RegionCount,
    get_share,
    show_name,
    split_regions,
)

TEMPLATE = Path(__file__).with_name("report.html")

# So many rows are in the HTML, and in the table at once.
MOST_ROWS = 5_000

# So many names are listed among the figures.
MOST_OUTLIERS = 4


def write_count_report(path: Path, summary: CountSummary) -> Path:
    """Write the counts as one HTML page that needs no other file; return its path."""
    whole = summary.whole
    shown = _choose_rows(summary.regions)
    is_whole = len(shown) == len(summary.regions)
    passing = " that pass the filters" if summary.filters else ""
    texts = {
        "sample": show_name(summary.sample),
        "counted": f"Alignment records{passing} per region",
        "note": summary.note,
        "command": show_name(summary.command),
        "filters": summary.filters or "none",
        "index": show_name(summary.index),
        "unplaced_label": f"Unplaced reads{passing}",
        "total": f"{whole.records:,}",
        "unplaced": f"{summary.unplaced:,}",
        "length": f"{whole.length:,}",
        "density": show_density(whole.density),
        "share": show_share(get_share(whole, whole)),
        "most_rows": str(MOST_ROWS),
        "with_records_shown": f"{sum(region.records > 0 for _, region in shown):,}",
        "regions": f"{len(summary.regions):,}",
        "samtools_version": summary.samtools_version,
        "applet_version": summary.applet_version,
        "date": summary.date,
    }
    fragments = {
        "figures": _draw_figures(summary, passing),
        "charts": _draw_charts(summary),
        "coverage_heading": _COVERAGE_HEADING if summary.reference else "",
        "coverage_cell": "<td></td>" if summary.reference else "",
        "rows": "\n".join(_write_row(summary, number, region) for number, region in shown),
        "without_script": "" if is_whole else _WITHOUT_SCRIPT,
        "all_regions": "" if is_whole else _write_all_regions(summary),
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


def show_coverage(coverage: float) -> str:
    """Return a normalized coverage as a person reads it; what is not zero never looks so."""
    return "< 0.01" if 0 < coverage < 0.01 else f"{coverage:,.{0 if coverage >= 100 else 2}f}"


def _describe_coverage(summary: CountSummary, region: RegionCount) -> str:
    """Return a region's normalized coverage, and in a word if it is far from 1."""
    coverage = summary.normalize(region) or 0
    far = "" if region not in summary.outliers else "low " if coverage < 1 else "high "
    return far + show_coverage(coverage)


def _draw_figures(summary: CountSummary, passing: str) -> str:
    """Return the figures at the top of the page as HTML."""
    whole = summary.whole
    reference = summary.reference
    with_records = sum(region.records > 0 for region in summary.regions)
    not_in_total = "not in the total"
    if summary.unplaced_share is not None:
        not_in_total = f"{show_share(summary.unplaced_share)} of all records; {not_in_total}"
    density_hint = f"over {whole.length:,} bases"
    if reference:
        density_hint = f"{reference.name}: {show_density(reference.density)}"
    figures = [
        ("Records in regions", f"{whole.records:,}", ""),
        (f"Unplaced reads{passing}", f"{summary.unplaced:,}", not_in_total),
        ("Regions", f"{len(summary.regions):,}", f"{with_records:,} with records"),
        ("Records per megabase", show_density(whole.density), density_hint),
    ]
    hints = {"chrX": "about 1 with two X, 0.5 with one", "chrY": "near 0 without a Y"}
    figures += [
        (f"{name}, normalized coverage", _describe_coverage(summary, region), hints[name])
        for name, region in sorted(summary.sex_chromosomes.items())
    ]
    if summary.mitochondrial_share is not None:
        share = show_share(summary.mitochondrial_share)
        figures.append(("Mitochondrial records", share, "of those in regions"))
    if reference:
        figures.append((f"Far from the {reference.name}", *_list_outliers(summary)))
    return "\n".join(
        f"<div><dt>{escape(term)}</dt><dd>{escape(value)}</dd>"
        f'<dd class="muted">{escape(hint)}</dd></div>'
        for term, value, hint in figures
    )


def _list_outliers(summary: CountSummary) -> tuple[str, str]:
    """Return which chromosomes are far from the median one, and a hint at what that says."""
    names = [
        f"{show_name(region.name)} {_describe_coverage(summary, region)}"
        for region in summary.regions
        if region in summary.outliers
    ]
    more = f" and {len(names) - MOST_OUTLIERS:,} more" if len(names) > MOST_OUTLIERS else ""
    return (", ".join(names[:MOST_OUTLIERS]) or "none") + more, "a hint, not a verdict"


def _choose_rows(regions: Sequence[RegionCount]) -> list[tuple[int, RegionCount]]:
    """Return the numbers, from 1, and the regions whose rows are in the HTML."""
    numbered = list(enumerate(regions, 1))
    if len(numbered) <= MOST_ROWS:
        return numbered
    largest = sorted(numbered, key=lambda one: one[1].records, reverse=True)
    return sorted(largest[:MOST_ROWS])


def _get_cells(summary: CountSummary, region: RegionCount) -> list[str]:
    """Return the texts of a region's row, after its number."""
    return [
        show_name(region.name),
        f"{region.length:,}",
        f"{region.records:,}",
        show_density(region.density),
        *([_describe_coverage(summary, region)] if summary.reference else []),
        show_share(get_share(region, summary.whole)),
    ]


def _write_row(summary: CountSummary, number: int, region: RegionCount) -> str:
    """Return a region's row in the page's table."""
    name, *values = _get_cells(summary, region)
    empty = "" if region.records else " class=empty"
    cells = "".join(map(_write_cell, values))
    return f"<tr{empty}><td>{number:,}</td><th scope=row>{escape(name)}</th>{cells}</tr>"


def _write_cell(value: str) -> str:
    """Return a cell that is no name."""
    far = " class=far" if value.startswith(("low ", "high ")) else ""
    return f"<td{far}>{escape(value)}</td>"


def _write_all_regions(summary: CountSummary) -> str:
    """Return the texts of all rows, for the script: a JSON string of lines of tab-separated cells.

    `show_name` leaves no tab or line end in a cell; without `<` a name cannot end the element.
    """
    lines = "\n".join("\t".join(_get_cells(summary, region)) for region in summary.regions)
    text = json.dumps(lines, ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="regions">{text}</script>'


_WITHOUT_SCRIPT = (
    f"<noscript><p>Here are the {MOST_ROWS:,} regions with the most records; "
    "with JavaScript the table has all, as the count table has.</p></noscript>"
)

_COVERAGE_HEADING = (
    '<th scope="col" data-key="density"><button type="button">Normalized coverage</button></th>'
)


def _draw_charts(summary: CountSummary) -> str:
    """Return the charts as HTML, or a sentence where there is nothing to draw."""
    if not summary.whole.records:
        passing = " that passes the filters" if summary.filters else ""
        return f"<p>No region has a record{passing}, so there is nothing to draw.</p>"
    main, others = split_regions(summary.regions)
    if not main:
        return (
            f"<p>All {len(others):,} regions are alike in records, so none is drawn; "
            "the table has them.</p>"
        )
    density_chart = _make_density_chart(summary, main)
    top = max(region.records for region in main)
    records_chart = Chart(lambda one: one.records, "{:,.0f}".format, top)
    hint = _explain_coverage(summary) if summary.reference else ""
    if others and min(one.records for one in main) > max(one.records for one in others):
        hint += f'<p class="muted hint">Shown are the {len(main)} regions of the most records.</p>'
    return (
        f'<div class="charts"><div><h2>Records</h2>{draw_chart(records_chart, main, others)}</div>'
        f"<div><h2>Records per megabase</h2>{draw_chart(density_chart, main, others)}</div></div>"
        f"{hint}"
    )


def _make_density_chart(summary: CountSummary, main: Sequence[RegionCount]) -> Chart:
    """Return the chart of densities.

    Its linear scale has room for the chromosomes, or else for all but the mitochondria: a cell has
    hundreds of their copies, and the others would look empty beside them.
    """
    reference = summary.reference
    if reference:
        compared = [*reference.chromosomes, *summary.sex_chromosomes.values()]
    else:
        compared = [one for one in main if one.name not in MITOCHONDRIA]
    top = max((one.density for one in compared), default=0) or max(one.density for one in main)

    line = (reference.name, reference.density) if reference else None
    marks = {one: _describe_coverage(summary, one) for one in summary.outliers}
    return Chart(lambda one: one.density, show_density, top, line, marks)


def _explain_coverage(summary: CountSummary) -> str:
    """Return what the line and the marks in the density chart say, as HTML."""
    assert summary.reference
    return (
        '<p class="muted hint">Normalized coverage is records per megabase relative to the '
        f"{summary.reference.name}, which the line marks. Chromosomes are marked low below {LOW} "
        f"and high above {HIGH}, if they are also far outside the scatter of the others: a hint "
        "to look there, not a verdict. Unsequenced bases, captured regions and expression move it, "
        "too.</p>"
    )
