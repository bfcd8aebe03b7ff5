"""The output files: what is in them, what they are called, and their upload."""

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import dxpy

from job_log import explain_limits
from multiqc_content import write_multiqc_general_stats, write_multiqc_section
from report import write_count_report
from summary import (
    CountSummary,
    RegionCount,
    get_share,
    show_name,
)

JSON = "application/json"

# The names of the rows that are no region. SAM lets no reference name begin with an asterisk
# ("Sequence Alignment/Map Format Specification", 1.2.1).
UNPLACED_ROW = "*unplaced"
TOTAL_ROW = "*total"

COLUMNS = (
    "region",
    "start",
    "end",
    "length",
    "records",
    "records_per_megabase",
    "share_of_total",
    "normalized_coverage",
)


def write_counts(path: Path, summary: CountSummary) -> Path:
    """Write the count file, the tutorial's byte for byte: no line end after the total."""
    lines = [f"Region {region.name}: {region.records}\n" for region in summary.regions]
    path.write_bytes(os.fsencode(f"{''.join(lines)}Total reads: {summary.whole.records}"))
    return path


def write_count_table(path: Path, summary: CountSummary) -> Path:
    """Write the counts as tab-separated text with one header line; return its path.

    R (read.delim), pandas and spreadsheets read it as it is: UTF-8, a name that holds a quote is
    quoted, what does not apply is empty.

    Columns (`COLUMNS`): region; start and end, 1-based and both included, as in samtools regions;
    length in bases; records; records per megabase; share of the total, from 0 to 1; normalized
    coverage, the records per megabase relative to the median autosome, or empty. The rows
    `*unplaced` and `*total` come last; the total is without the unplaced reads.
    """
    whole = summary.whole

    def measure(region: RegionCount) -> tuple[int, int, str, str]:
        share = get_share(region, whole)
        return region.length, region.records, f"{region.density:.10g}", f"{share:.10g}"

    def normalize(region: RegionCount) -> str:
        coverage = summary.normalize(region)
        return "" if coverage is None else f"{coverage:.10g}"

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, "excel-tab", lineterminator="\n")
        writer.writerow(COLUMNS)
        for one in summary.regions:
            writer.writerow((show_name(one.name), 1, one.length, *measure(one), normalize(one)))
        writer.writerow((UNPLACED_ROW, "", "", "", summary.unplaced, "", "", ""))
        writer.writerow((TOTAL_ROW, "", "", *measure(whole), ""))
    return path


LONGEST_NAME = 255  # bytes: of a file on most disks, to which it will be downloaded


class Output(NamedTuple):
    """One of the files that a job leaves."""

    name: str
    """The output's name in dxapp.json."""
    suffix: str
    """The file's name is the sample's, and this."""
    write: Callable[[Path, CountSummary], Path]
    media_type: str


OUTPUTS = (
    Output("count_file", "_count.txt", write_counts, "text/plain"),
    Output("count_table", "_count.tsv", write_count_table, "text/tab-separated-values"),
    Output("multiqc_section", "_count_mqc.json", write_multiqc_section, JSON),
    Output("multiqc_general_stats", "_count_stats_mqc.json", write_multiqc_general_stats, JSON),
    Output("count_report", "_count.html", write_count_report, "text/html"),
)

# Of a property's value, in UTF-8 (/class-xxxx/setProperties in the platform's API documentation).
MOST_PROPERTY_BYTES = 700


def write_outputs(folder: Path, summary: CountSummary) -> dict[str, Path]:
    """Write all output files into a folder; return their paths by the names of the outputs.

    The names in the folder are without the sample's, which may be as long as a name can be.

    Raises:
        dxpy.AppError: the disk is full.
    """
    with explain_limits("the output files"):
        return {one.name: one.write(folder / one.suffix, summary) for one in OUTPUTS}


def upload_outputs(paths: dict[str, Path], summary: CountSummary) -> dict[str, Any]:
    """Upload the output files under their names; return a link to each, as the job's output.

    Args:
        paths: as of `write_outputs`.
        summary: names the files, and says what was counted in properties, which the web UI and
            dx describe show.
    """
    properties = {
        "command": summary.command,
        "filters": summary.filters or "none",
        "index": summary.index,
        "total_records": str(summary.whole.records),
        "unplaced_reads": str(summary.unplaced),
        "samtools_version": summary.samtools_version.removeprefix("samtools "),
    }
    return {
        one.name: dxpy.dxlink(
            dxpy.upload_local_file(
                str(paths[one.name]),
                name=name_file(summary.prefix, one.suffix),
                media_type=one.media_type,
                properties={key: fit_property(value) for key, value in properties.items()},
            )
        )
        for one in OUTPUTS
    }


def name_file(prefix: str, suffix: str) -> str:
    """Return the name of an output file; a prefix with which it would be too long is cut off."""
    room = LONGEST_NAME - len(os.fsencode(suffix))
    return os.fsencode(prefix)[:room].decode(errors="ignore") + suffix


def fit_property(value: str) -> str:
    """Return a property's value as the platform takes it: text, cut off if it is too long."""
    text = show_name(value).encode()
    if len(text) <= MOST_PROPERTY_BYTES:
        return text.decode()
    return text[: MOST_PROPERTY_BYTES - len("…".encode())].decode(errors="ignore") + "…"
