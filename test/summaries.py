"""Summaries of counts that nobody counted, for the tests of what people get."""

from dataclasses import replace

from summary import CountSummary, RegionCount

HUMAN_LIKE = [
    *(RegionCount(f"chr{number}", 200_000_000 - number, 5_000_000) for number in range(1, 25)),
    RegionCount("chrM", 16_569, 0),
    *(RegionCount(f"chrUn_{number}", 5_000, number) for number in range(3_341)),
]


def summarize(regions: list[RegionCount], **facts: str | int) -> CountSummary:
    """Return a summary of these regions, with other facts than the usual ones where given."""
    summary = CountSummary(
        sample="sample",
        prefix="sample",
        command="samtools view -c sample.bam chr1",
        filters="",
        regions=regions,
        unplaced=0,
        samtools_version="samtools 1.19",
        applet_version="1.0.0",
        date="2026-01-31 12:00:00 UTC",
        note="Counted record by record.",
    )
    return replace(summary, **facts)


def make_regions(**densities: int) -> list[RegionCount]:
    """Return a region of ten megabases for each number of records a megabase."""
    return [RegionCount(name, 10_000_000, 10 * density) for name, density in densities.items()]


def make_autosomes(**others: int) -> list[RegionCount]:
    """Return 22 autosomes of about 1,000 records a megabase, some of them otherwise, and others."""
    return make_regions(**({f"chr{n}": 1_000 + n for n in range(1, 23)} | others))
