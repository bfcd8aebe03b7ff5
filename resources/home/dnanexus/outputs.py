"""Writes the output files, names them, and uploads them."""

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import dxpy

from columns import COLUMNS
from job_log import explain_limits
from multiqc_content import write_multiqc_general_stats, write_multiqc_section
from report import write_count_report
from summary import CountSummary, show_name

JSON = "application/json"

LONGEST_NAME = 255  # bytes, on most disks to which the files are downloaded

# The limit of a property's value, in UTF-8 (/class-xxxx/setProperties in the API documentation).
MOST_PROPERTY_BYTES = 700


def write_counts(path: Path, summary: CountSummary) -> Path:
    """Write the count file, byte-identical to the tutorial's: no newline after the total."""
    lines = [f"Region {region.name}: {region.records}\n" for region in summary.regions]
    path.write_bytes(os.fsencode(f"{''.join(lines)}Total reads: {summary.whole.records}"))
    return path


def write_count_table(path: Path, summary: CountSummary) -> Path:
    """Write the counts as tab-separated values with one header line; return the path.

    R (read.delim), pandas and spreadsheets read it without options: UTF-8, a name with a quote is
    quoted, and what does not apply is empty. The last row, `*`, is the unplaced reads, as in
    samtools idxstats.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, "excel-tab", lineterminator="\n")
        writer.writerow([column.name for column in COLUMNS])
        for region in summary.regions:
            values = [column.measure(summary, region) for column in COLUMNS]
            writer.writerow([f"{one:.10g}" if isinstance(one, float) else one for one in values])
        unplaced = {"region": "*", "length": 0, "records": summary.unplaced}
        writer.writerow([unplaced.get(column.name) for column in COLUMNS])
    return path


class Output(NamedTuple):
    """One of the files that a job uploads."""

    name: str
    """The output's name in dxapp.json."""
    suffix: str
    """The end of the file's name, after the prefix."""
    write: Callable[[Path, CountSummary], Path]
    """Writes the file, and returns its path."""
    media_type: str


OUTPUTS = (
    Output("count_file", "_count.txt", write_counts, "text/plain"),
    Output("count_table", "_count.tsv", write_count_table, "text/tab-separated-values"),
    Output("multiqc_section", "_count_mqc.json", write_multiqc_section, JSON),
    Output("multiqc_general_stats", "_count_stats_mqc.json", write_multiqc_general_stats, JSON),
    Output("count_report", "_count.html", write_count_report, "text/html"),
)


def write_outputs(folder: Path, summary: CountSummary) -> dict[str, Path]:
    """Write all output files into a folder; return their paths by output name.

    In the folder the files are named by their suffixes only: a prefix may be as long as a file's
    name can be.

    Raises:
        dxpy.AppError: the disk is full.
    """
    with explain_limits("the output files"):
        return {one.name: one.write(folder / one.suffix, summary) for one in OUTPUTS}


def upload_outputs(paths: dict[str, Path], summary: CountSummary) -> dict[str, Any]:
    """Upload the output files; return a link to each by output name, which is the job's output.

    Args:
        paths: the return value of `write_outputs`.
        summary: gives the names of the files, and their properties, which the web UI and dx
            describe show.
    """
    properties = {
        "command": summary.command,
        "filters": summary.filters or "none",
        "index": summary.index_description,
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
    """Return the name of an output file; a prefix that makes it too long is cut."""
    room = LONGEST_NAME - len(os.fsencode(suffix))
    return os.fsencode(prefix)[:room].decode(errors="ignore") + suffix


def fit_property(value: str) -> str:
    """Return a property's value that the platform accepts: text, cut if it is too long."""
    text = show_name(value).encode()
    if len(text) <= MOST_PROPERTY_BYTES:
        return text.decode()
    return text[: MOST_PROPERTY_BYTES - len("…".encode())].decode(errors="ignore") + "…"
