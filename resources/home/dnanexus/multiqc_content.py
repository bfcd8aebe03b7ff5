"""The counts for MultiQC: a section with a plot, and columns of its general statistics.

MultiQC calls this custom content. It finds the files by their names' ends, `_mqc.json`, and merges
those of one id, so that each file adds a line to a plot or a row to a table. An id is made of the
filters: counts of other records are drawn apart, under a title that says so. One file holds one
plot or table, so there are two.

Format: https://docs.seqera.io/multiqc/custom_content
"""

import json
import re
from html import escape
from pathlib import Path
from typing import Any

from summary import AUTOSOME, CountSummary, Reference, join_regions, show_name, split_regions

# The columns of the general statistics. MultiQC shows those for which any sample has a value.
PERCENT = {"suffix": "%", "format": "{:,.2f}", "min": 0, "max": 100, "scale": "OrRd"}
RATIO = {"format": "{:,.2f}", "min": 0, "max": 2, "scale": "PuOr"}
STATISTICS: dict[str, dict[str, Any]] = {
    "records": {
        "title": "Records",
        "description": "Alignment records in regions; a read may have several",
        "format": "{:,.0f}",
        "min": 0,
        "scale": "Blues",
    },
    "unplaced": {
        "title": "Unplaced",
        "description": "Reads in no region, as a share of all records",
        **PERCENT,
    },
    "mitochondrial": {
        "title": "Mitochondrial",
        "description": "Mitochondrial records, as a share of those in regions",
        **PERCENT,
    },
    "chrX": {
        "title": "chrX",
        "description": "Records per megabase of chrX, relative to the median autosome",
        **RATIO,
    },
    "chrY": {
        "title": "chrY",
        "description": "Records per megabase of chrY, relative to the median autosome",
        **RATIO,
    },
    "outliers": {
        "title": "Far from median",
        "description": "Chromosomes whose normalized coverage is far from 1: a hint, no verdict",
    },
    "index": {
        "title": "Index",
        "description": "Which index was used, and why, where it is not the given one",
    },
}


def write_multiqc_section(path: Path, summary: CountSummary) -> Path:
    """Write a plot as a section of a MultiQC report; return its path.

    It is a line of normalized coverage over the chromosomes, in which a lost chromosome and the
    sex can be seen. Where there is no reference for that, it is a bar of records.
    """
    reference = summary.reference
    plot = plot_coverage(summary, reference) if reference else plot_records(summary)
    return write_content(path, summary, plot)


def write_multiqc_general_stats(path: Path, summary: CountSummary) -> Path:
    """Write columns of MultiQC's general statistics table; return their path."""
    name = make_id(summary, "general_stats")
    filters = f" {summary.filters}" if summary.filters else ""
    content = {
        "id": name,
        "plot_type": "generalstats",
        "headers": {
            f"{name}_{key}": {**column, "title": column["title"] + filters}
            for key, column in STATISTICS.items()
        },
        "data": {
            f"{name}_{key}": value
            for key, value in get_statistics(summary).items()
            if value is not None
        },
    }
    return write_content(path, summary, content)


def get_statistics(summary: CountSummary) -> dict[str, Any]:
    """Return a value for each column of `STATISTICS` that applies; None says that it does not."""
    outliers = [
        f"{show_name(one.name)} {summary.normalize(one):.2f}"
        for one in summary.regions
        if one in summary.outliers
    ]
    return {
        "records": summary.whole.records,
        "unplaced": to_percent(summary.unplaced_share),
        "mitochondrial": to_percent(summary.mitochondrial_share),
        **{key: summary.normalize(one) for key, one in summary.sex_chromosomes.items()},
        "outliers": ", ".join(outliers) or None,
        "index": None if summary.index == "given" else escape(show_name(summary.index)),
    }


def plot_coverage(summary: CountSummary, reference: Reference) -> dict[str, Any]:
    """Return the normalized coverage of the chromosomes as content for MultiQC.

    Samples of another number of chromosomes are drawn apart: they were aligned to another genome.
    """
    if reference.autosomes:
        # Under one name, in one order: chr1 of one genome is 1 of another.
        autosomes = {get_number(one.name): one for one in reference.chromosomes}
        points = {f"chr{number}": autosome for number, autosome in sorted(autosomes.items())}
        points |= dict(sorted(summary.sex_chromosomes.items()))
    else:
        points = {show_name(one.name): one for one in reference.chromosomes}
    what = "chromosomes" if reference.autosomes else "large regions"
    title = f"Normalized coverage of {len(points)} {what}{describe_filters(summary)}"
    sex = "chrX is about 1 with two X chromosomes and 0.5 with one. "
    name = make_id(summary, f"coverage_of_{len(points)}_{what}")
    return {
        "id": name,
        "section_name": title,
        "description": f"Records per megabase, relative to the {reference.name}: 1 is as much. "
        f"{sex if summary.sex_chromosomes else ''}What is far from 1 is a hint, not a verdict: "
        "unsequenced bases, captured regions and expression move it, too.",
        "plot_type": "linegraph",
        "pconfig": {
            "id": f"{name}_plot",
            "title": f"samtools count: {title}",
            "ylab": f"Normalized coverage (1: {reference.name})",
            "categories": True,
            "style": "lines+markers",
            "ymin": 0,
            "tt_decimals": 2,
            # Without both, MultiQC 1.35 adds a category "[object Object]" or drops the first ones.
            "xmin": -0.5,
            "xmax": len(points) - 0.5,
        },
        "data": {label: round(summary.normalize(one) or 0, 4) for label, one in points.items()},
    }


def plot_records(summary: CountSummary) -> dict[str, Any]:
    """Return the records of the main regions, the others and the unplaced as a bar for MultiQC."""
    main, others = split_regions(summary.regions)
    if others:
        main.append(join_regions("other regions", others))
    pieces = {show_name(one.name): one.records for one in main}
    title = f"Alignment records per region{describe_filters(summary)}"
    name = make_id(summary, "records")
    return {
        "id": name,
        "section_name": title,
        "plot_type": "bargraph",
        "pconfig": {
            "id": f"{name}_plot",
            "title": f"samtools count: {title}",
            "ylab": "Records",
        },
        "data": pieces | {"unplaced reads": summary.unplaced},
    }


def write_content(path: Path, summary: CountSummary, content: dict[str, Any]) -> Path:
    """Write content whose data is that of one sample; return its path."""
    content |= {
        "parent_id": "samtools_count",
        "parent_name": "samtools count",
        "parent_description": "counts the alignment records of each region of a BAM file.",
        "data": {show_name(summary.sample): content["data"]},
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def make_id(summary: CountSummary, kind: str) -> str:
    """Return the id that content of this kind shares with that of samples of the same filters."""
    return re.sub(r"[ -]+", "_", f"samtools_count_{kind} {summary.filters}".strip())


def describe_filters(summary: CountSummary) -> str:
    """Return the end of a title: which records it is about, if not all."""
    return f", records that pass {summary.filters}" if summary.filters else ""


def get_number(name: str) -> int:
    """Return the number in an autosome's name."""
    match = AUTOSOME.fullmatch(name)
    assert match
    return int(match[1])


def to_percent(share: float | None) -> float | None:
    """Return a share in percent, if there is one."""
    return None if share is None else 100 * share
