"""The output files: what is in them, what they are called, and their upload."""

import csv
import json
import os
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import dxpy

from job_log import explain_limits
from report import write_count_report
from summary import (
    CountSummary,
    RegionCount,
    get_share,
    join_regions,
    show_name,
    split_regions,
)

# The names of the rows that are no region. SAM lets no reference name begin with an asterisk
# ("Sequence Alignment/Map Format Specification", 1.2.1).
UNPLACED_ROW = "*unplaced"
TOTAL_ROW = "*total"

COLUMNS = ("region", "start", "end", "length", "records", "records_per_megabase", "share_of_total")

# MultiQC reads its configuration from comment lines ("Custom content" in its documentation). Files
# of one id are drawn as one plot, a bar for each sample; so each choice of filters has its own.
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
    filters as one plot: a bar for each sample, in pieces for its main regions, the others, and the
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
        id=re.sub(r"[ -]+", "_", f"samtools_count {summary.filters}".strip()),
        description=json.dumps(f"{escape(summary.note)} Command: <code>{command}</code>"),
    )
    path.write_text(configuration + lines, encoding="utf-8")
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
    Output("multiqc_section", "_count_mqc.tsv", write_multiqc_section, "text/tab-separated-values"),
    Output("count_report", "_count.html", write_count_report, "text/html"),
)


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
                properties=properties,
            )
        )
        for one in OUTPUTS
    }


def name_file(prefix: str, suffix: str) -> str:
    """Return the name of an output file; a prefix with which it would be too long is cut off."""
    room = LONGEST_NAME - len(os.fsencode(suffix))
    return os.fsencode(prefix)[:room].decode(errors="ignore") + suffix
