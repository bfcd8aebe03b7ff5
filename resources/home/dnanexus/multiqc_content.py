"""Writes the counts for MultiQC: a section with a plot, and columns of its general statistics.

MultiQC calls this custom content. It finds the files by the end of their names, `_mqc.json`, and
merges those of one id: each file adds a line to a plot, or a row to a table. The id contains the
filters, so counts of other records have a plot and columns of their own, with a title that says so.
One file has one plot or one table, so there are two files.

Format: https://docs.seqera.io/multiqc/custom_content
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from columns import list_outliers
from summary import AUTOSOME, Baseline, CountSummary, show_name

# MultiQC draws a bar behind a number, from `min` to `max`, and colours it by `scale`.
PERCENT = {"suffix": "%", "format": "{:,.2f}", "min": 0, "max": 100, "scale": "OrRd"}
COVERAGE = {"format": "{:,.2f}", "min": 0}


class Statistic(NamedTuple):
    """A column of the general statistics."""

    title: str
    description: str
    measure: Callable[[CountSummary], str | float | None]
    """Returns the value of a sample; None if there is none."""
    format: Mapping[str, Any] = {}
    """Other properties of the column."""


# MultiQC shows the columns in which any sample has a value.
STATISTICS = {
    "records": Statistic(
        "Records",
        "Alignment records in regions; a read may have several",
        lambda summary: summary.whole.records,
        {"format": "{:,.0f}", "min": 0, "scale": "Blues"},
    ),
    "filtered_out": Statistic(
        "Filtered out",
        "Records that did not pass the filters, as a share of those in regions",
        lambda summary: _to_percent(summary.filtered_share),
        PERCENT,
    ),
    "unplaced": Statistic(
        "Unplaced",
        "Reads without a region, as a share of all records",
        lambda summary: _to_percent(summary.unplaced_share),
        PERCENT,
    ),
    "mitochondrial": Statistic(
        "Mitochondrial",
        "Mitochondrial records, as a share of those in regions",
        lambda summary: _to_percent(summary.mitochondrial_share),
        PERCENT,
    ),
    "chrX": Statistic(
        "chrX",
        "Normalized coverage of chrX: about 1 with two X chromosomes, 0.5 with one",
        lambda summary: _measure_sex(summary, "chrX"),
        {**COVERAGE, "max": 1.25, "scale": "Purples"},
    ),
    "chrY": Statistic(
        "chrY",
        "Normalized coverage of chrY: near 0 without a Y chromosome",
        lambda summary: _measure_sex(summary, "chrY"),
        {**COVERAGE, "max": 0.5, "scale": "Greens"},
    ),
    "outliers": Statistic(
        "Far from median",
        "Chromosomes whose normalized coverage is far from 1: a hint, not a verdict",
        # MultiQC removes commas from the values of a table.
        lambda summary: "; ".join(list_outliers(summary)) or None,
    ),
    # No value for the usual `given` and `fresh`: a column in which all are equal is in the way.
    "index": Statistic(
        "Index",
        "Replaced: the given index did not match the BAM file; the count report says why",
        lambda summary: summary.index if summary.index_problem else None,
    ),
}


def write_multiqc_section(path: Path, summary: CountSummary) -> Path:
    """Write a plot as a section of a MultiQC report; return the path.

    The plot has a line of normalized coverage over the chromosomes for each sample, which shows a
    lost chromosome and the sex. Without a baseline it has a bar of records.
    """
    baseline = summary.baseline
    plot = _plot_coverage(summary, baseline) if baseline else _plot_records(summary)
    return _write_content(path, summary, plot)


def write_multiqc_general_stats(path: Path, summary: CountSummary) -> Path:
    """Write columns of MultiQC's general statistics table; return the path."""
    name = _make_id(summary, "general_stats")
    subset = summary.filters or ("" if summary.counted else "(not counted)")
    values = {key: one.measure(summary) for key, one in STATISTICS.items()}
    content = {
        "id": name,
        "plot_type": "generalstats",
        "headers": {
            f"{name}_{key}": {
                "title": f"{one.title} {subset}".strip(),
                "description": one.description,
                **one.format,
            }
            for key, one in STATISTICS.items()
        },
        "data": {f"{name}_{key}": value for key, value in values.items() if value is not None},
    }
    return _write_content(path, summary, content)


def _to_percent(share: float | None) -> float | None:
    """Return a share in percent."""
    return None if share is None else 100 * share


def _measure_sex(summary: CountSummary, name: str) -> float | None:
    """Return the normalized coverage of chrX or chrY; None if there is no such chromosome."""
    region = summary.sex_chromosomes.get(name)
    return summary.normalize(region) if region else None


def _plot_coverage(summary: CountSummary, baseline: Baseline) -> dict[str, Any]:
    """Return the normalized coverage of the chromosomes as content for MultiQC.

    Samples with another number of chromosomes have a plot of their own: they were aligned to
    another genome.
    """
    if baseline.autosomes:
        # One name and one order for all genomes: chr1 of one is 1 of another.
        autosomes = {_get_number(one.name): one for one in baseline.chromosomes}
        points = {f"chr{number}": autosome for number, autosome in sorted(autosomes.items())}
        points |= dict(sorted(summary.sex_chromosomes.items()))
    else:
        points = {show_name(one.name): one for one in baseline.chromosomes}
    what = "chromosomes" if baseline.autosomes else "large regions"
    sex = "chrX is about 1 with two X chromosomes and 0.5 with one. "
    section = _make_section(
        summary,
        f"coverage_of_{len(points)}_{what}",
        f"Normalized coverage of {len(points)} {what}",
        f"Records per megabase, relative to the {baseline.name}, which is 1. "
        f"{sex if summary.sex_chromosomes else ''}A value far from 1 is a hint, not a verdict: "
        "unsequenced bases, captured regions and expression change it, too.",
    )
    section["pconfig"] |= {
        "ylab": f"Normalized coverage (1: {baseline.name})",
        "categories": True,
        "style": "lines+markers",
        "ymin": 0,
        "tt_decimals": 2,
        # Without both, MultiQC 1.35 adds a category "[object Object]" or drops the first ones.
        "xmin": -0.5,
        "xmax": len(points) - 0.5,
    }
    data = {label: round(summary.normalize(one) or 0, 4) for label, one in points.items()}
    return {**section, "plot_type": "linegraph", "data": data}


def _plot_records(summary: CountSummary) -> dict[str, Any]:
    """Return the records of the charted regions, the others and the unplaced reads as a bar."""
    section = _make_section(
        summary, "records", "Alignment records per region", "Records of each region, and of others."
    )
    section["pconfig"] |= {"ylab": "Records"}
    data = {show_name(one.name): one.records for one in summary.charted}
    if len(data) < len(summary.regions):
        data["other regions"] = summary.whole.records - sum(data.values())
    data["unplaced reads"] = summary.unplaced
    return {**section, "plot_type": "bargraph", "data": data}


def _make_section(summary: CountSummary, kind: str, title: str, description: str) -> dict[str, Any]:
    """Return what all sections have, the same for all samples of the same filters."""
    name = _make_id(summary, kind)
    title = f"{title}{summary.subset}"
    command = " ".join(["samtools view -c", *filter(None, [summary.filters]), "FILE REGION"])
    how = f"Counted with <code>{command}</code>." if summary.counted else ""
    return {
        "id": name,
        "section_name": title,
        "description": f"{description} {how}".strip(),
        "pconfig": {"id": f"{name}_plot", "title": f"samtools count: {title}"},
    }


def _write_content(path: Path, summary: CountSummary, content: dict[str, Any]) -> Path:
    """Write content whose data is that of one sample; return the path."""
    content |= {
        "parent_id": "samtools_count",
        "parent_name": "samtools count",
        "parent_description": "counts the alignment records of each region of a BAM file.",
        "data": {show_name(summary.sample): content["data"]},
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _make_id(summary: CountSummary, kind: str) -> str:
    """Return the id that content of this kind has for all samples of the same filters."""
    subset = summary.filters if summary.counted else "from_index"
    return re.sub(r"[ -]+", "_", f"samtools_count_{kind} {subset}".strip())


def _get_number(name: str) -> int:
    """Return the number in an autosome's name."""
    match = AUTOSOME.fullmatch(name)
    assert match
    return int(match[1])
