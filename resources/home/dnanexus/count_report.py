"""The counts as files for programs: a table, and a section for MultiQC.

    summary = CountSummary("sample", "samtools view -c ...", regions, unplaced=0, ...)
    write_count_table(Path("sample_count.tsv"), summary)
    write_multiqc_section(Path("sample_count_mqc.tsv"), summary)

Nothing is counted here: a `CountSummary` holds all that a file says.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

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

# Always shown, small as it is.
MITOCHONDRIA = ("chrM", "chrMT", "M", "MT")

# MultiQC reads its configuration from comment lines ("Custom content" in its documentation). One
# id for all files: it draws them as one plot, a bar for each sample.
MULTIQC_CONFIGURATION = """\
# id: samtools_count
# section_name: Alignment records per region
# description: counted with samtools view -c
# plot_type: bargraph
# pconfig:
#   id: samtools_count_plot
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
    """The samtools command that counted, in its general form, with its filters."""
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

    MultiQC finds the file if its name ends in `_mqc.tsv`, and draws all such files as one plot: a
    bar for each sample, in pieces for its main regions, the others, and the unplaced reads.

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
    path.write_text(MULTIQC_CONFIGURATION + lines, encoding="utf-8")
    return path


def show_name(name: str) -> str:
    r"""Return a name as any program can read it: what is no text is escaped, as `\xff` or `\r`."""
    text = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
