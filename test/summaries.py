"""Made-up summaries, for the tests of what users get."""

from dataclasses import replace

from summary import CountSummary, RegionCount

HUMAN_LIKE = [
    *(RegionCount(f"chr{number}", 200_000_000 - number, 5_000_000) for number in range(1, 25)),
    RegionCount("chrM", 16_569, 0),
    *(RegionCount(f"chrUn_{number}", 5_000, number) for number in range(3_341)),
]


def summarize(regions: list[RegionCount], **facts: object) -> CountSummary:
    """Return a summary of these regions; the facts replace the usual ones."""
    summary = CountSummary(
        sample="sample",
        prefix="sample",
        command="samtools view -c sample.bam REGION",
        filters="",
        regions=regions,
        unplaced=0,
        samtools_version="samtools 1.19",
        date="2026-01-31 12:00:00 UTC",
    )
    return replace(summary, **facts)


def make_regions(**densities: int) -> list[RegionCount]:
    """Return regions of ten megabases with these numbers of records per megabase."""
    return [RegionCount(name, 10_000_000, 10 * density) for name, density in densities.items()]


def make_autosomes(**others: int) -> list[RegionCount]:
    """Return 22 autosomes of about 1,000 records per megabase; `others` replace some or follow."""
    return make_regions(**({f"chr{n}": 1_000 + n for n in range(1, 23)} | others))
