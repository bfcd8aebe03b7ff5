"""What was counted, and what follows from it: facts only, no files and no HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import NamedTuple

from bam_file import UNPLACED, Bam
from bam_index import BamIndex
from filters import Filters

VERSION = "1.0.0"  # of the applet, as in dxapp.json

MEGABASE = 1_000_000

# A chart shows each region only as long as a person can read it. If there are more, those with
# less than this share of the bases and of the records are folded into one bar.
MOST_BARS = 50
SMALLEST_MAIN_SHARE = 0.005
FEWEST_MAIN_REGIONS = 25

# Always shown, small as it is. A cell has hundreds of copies, so its bar may run off the linear
# scale of densities, where it would leave the other regions no room.
MITOCHONDRIA = ("chrM", "chrMT", "M", "MT")


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


@dataclass(frozen=True)
class CountSummary:
    """What was counted, how, and the counts."""

    sample: str
    """The name of the BAM file less `.bam`, unless another one was given."""
    prefix: str
    """What the names of the output files begin with."""
    command: str
    """The samtools command that counted, as a person can run it; or `none`."""
    filters: str
    """The options of samtools view that say which records are counted; empty if all are."""
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
    index: str = "given"
    """Which index was used, and why if it is not the given one."""

    @cached_property
    def whole(self) -> RegionCount:
        """All regions together."""
        return join_regions("all regions", self.regions)


def summarize(
    bam: Bam,
    regions: Sequence[str],
    counts: Mapping[int, int],
    index: BamIndex,
    filters: Filters,
    count_from_index: bool,
    output_prefix: str,
    samtools_version: str,
) -> CountSummary:
    """Pair the regions with their counts, and say how they were counted.

    Filtered counts are of the same sample, in files that must not be taken for those of all
    records; a prefix that is given names both.
    """
    sample = output_prefix or bam.name.removesuffix(".bam")
    if count_from_index:
        note = "The counts are those in the index; no record was read."
    elif filters.options:
        note = "Of all records and unplaced reads, those that pass the filters are counted."
    else:
        note = "Every record of the file was read."
    return CountSummary(
        sample=sample,
        prefix=output_prefix or f"{sample}{filters.name}",
        command="none" if count_from_index else filters.describe_command(bam.name, regions[0]),
        filters=" ".join(filters.options),
        regions=[
            RegionCount(region, length, counts[number])
            for number, (region, length) in enumerate(zip(regions, bam.lengths, strict=True))
        ],
        unplaced=counts[UNPLACED],
        samtools_version=samtools_version,
        applet_version=VERSION,
        date=f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC",
        note=note,
        index=index.origin,
    )


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


def show_name(name: str) -> str:
    r"""Return a name as any program can read it: what is no text is escaped, as `\xff` or `\r`."""
    text = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
