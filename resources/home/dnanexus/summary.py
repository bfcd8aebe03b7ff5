"""What was counted, and what follows from it: facts only, no files and no HTML."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from statistics import median
from typing import NamedTuple

from bam_file import UNPLACED, Bam
from options import Options

VERSION = "1.0.0"  # of the applet, as in dxapp.json

MEGABASE = 1_000_000

# A chart shows each region only as long as a person can read it. If there are more, those with
# less than this share of the bases and of the records are folded into one bar.
MOST_BARS = 50
SMALLEST_MAIN_SHARE = 0.005
FEWEST_MAIN_REGIONS = 25

# The usual names: those of UCSC ("chr1"), and of Ensembl and NCBI ("1").
AUTOSOME = re.compile(r"(?:chr)?([1-9][0-9]?)", re.IGNORECASE)
SEX_CHROMOSOMES = {"chrX": "chrX", "X": "chrX", "chrY": "chrY", "Y": "chrY"}
MITOCHONDRIA = ("chrM", "chrMT", "M", "MT")

# Fewer chromosomes, or a median one with so few records that chance alone moves it by more than a
# tenth, say nothing about the others.
FEWEST_CHROMOSOMES = 3
FEWEST_MEDIAN_RECORDS = 100
# Where names tell nothing, chromosomes are the regions of at least this share of the longest one.
# They are not so many, and together they hold most of the bases, or the file is no assembly of
# chromosomes.
SMALLEST_CHROMOSOME = 0.1
MOST_CHROMOSOMES = 100

# A chromosome is far from the median if it is beyond these bounds, and by more than three scaled
# median absolute deviations, the usual rule for outliers (Leys et al. 2013, J. Exp. Soc. Psychol.
# 49: 764). The bounds are not symmetric: unsequenced bases (N) count as length, so that a sound
# chr22 of GRCh37 is at 0.7; nothing lifts a sound chromosome as far.
LOW, HIGH = 0.65, 1.25
MOST_DEVIATIONS = 3
DEVIATION_SCALE = 1.4826


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


class Reference(NamedTuple):
    """What the densities of the regions are compared with."""

    name: str
    """What it is, for a person."""
    density: float
    """Records per megabase; more than 0."""
    chromosomes: list[RegionCount]
    """Those of which it is the median."""
    autosomes: bool
    """Whether their names say that they are autosomes."""


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
    """Reads without a region that pass the filters; the total is without them."""
    samtools_version: str
    applet_version: str
    date: str
    """ISO date and time, UTC."""
    note: str
    """One sentence on where the counts are from; may be empty."""
    index: str = "given"
    """Which index was used: `given`, or a phrase that says which one, and why not the given one."""

    @cached_property
    def whole(self) -> RegionCount:
        """All regions together."""
        return join_regions("all regions", self.regions)

    @cached_property
    def reference(self) -> Reference | None:
        """What the densities are compared with; None where a comparison would say nothing."""
        return find_reference(self.regions)

    @cached_property
    def outliers(self) -> frozenset[RegionCount]:
        """The chromosomes that are far from the median one."""
        return find_outliers(self.reference) if self.reference else frozenset()

    @cached_property
    def sex_chromosomes(self) -> dict[str, RegionCount]:
        """The regions chrX and chrY by these names, where the others are autosomes by theirs.

        Elsewhere a name says less: the chrX of yeast is the tenth chromosome.
        """
        if self.reference is None or not self.reference.autosomes:
            return {}
        return {
            SEX_CHROMOSOMES[one.name]: one for one in self.regions if one.name in SEX_CHROMOSOMES
        }

    @property
    def unplaced_share(self) -> float | None:
        """Share of all records; None if there are none, or only those that pass filters."""
        everything = self.whole.records + self.unplaced
        return self.unplaced / everything if everything and not self.filters else None

    @property
    def mitochondrial_share(self) -> float | None:
        """Share of the records in regions; None if there are none, or no such region."""
        mitochondria = [one for one in self.regions if one.name in MITOCHONDRIA]
        if not mitochondria or not self.whole.records:
            return None
        return get_share(join_regions("mitochondria", mitochondria), self.whole)

    def normalize(self, region: RegionCount) -> float | None:
        """Return a region's normalized coverage: its density relative to the reference's.

        As in Picard's CollectGcBiasMetrics it is a ratio of numbers of reads over equal lengths,
        so depth and length of the reads do not matter; 1 is as much as the reference.
        """
        return region.density / self.reference.density if self.reference else None


def summarize(
    bam: Bam,
    regions: Sequence[str],
    counts: Mapping[int, int],
    index: str,
    options: Options,
    samtools_version: str,
) -> CountSummary:
    """Pair the regions with their counts, and say how they were counted.

    The names of files with filtered counts say so; a prefix that is given is used as it is.

    Args:
        bam: the file counted.
        regions: its regions.
        counts: number of records by region number; that of UNPLACED is the unplaced reads.
        index: which index was used, and why.
        options: what was asked for.
        samtools_version: the version that counted.
    """
    filters, sample = options.filters, options.output_prefix or bam.name.removesuffix(".bam")
    if options.count_from_index:
        note = "The counts are those in the index; no record was read."
    elif filters.view_options:
        note = "Of all records and unplaced reads, those that pass the filters are counted."
    else:
        note = "Every record of the file was read."
    return CountSummary(
        sample=sample,
        prefix=options.output_prefix or f"{sample}{filters.suffix}",
        command="none" if options.count_from_index else filters.describe_command(bam.name),
        filters=" ".join(filters.view_options),
        regions=[
            RegionCount(region, length, counts[number])
            for number, (region, length) in enumerate(zip(regions, bam.lengths, strict=True))
        ],
        unplaced=counts[UNPLACED],
        samtools_version=samtools_version,
        applet_version=VERSION,
        date=f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC",
        note=note,
        index=index,
    )


def join_regions(name: str, regions: Sequence[RegionCount]) -> RegionCount:
    """Return one region of the length and the records of these together."""
    length = sum(region.length for region in regions)
    return RegionCount(name, length, sum(region.records for region in regions))


def get_share(region: RegionCount, whole: RegionCount) -> float:
    """Return which share of all records the region has; 0 where there are no records."""
    return region.records / whole.records if whole.records else 0.0


def find_reference(regions: Sequence[RegionCount]) -> Reference | None:
    """Return the median autosome, or the median large region where no names tell autosomes.

    Returns:
        None where it would say nothing: the regions are no chromosomes, or have hardly a record.
    """
    longest = max(region.length for region in regions)
    everything = sum(region.length for region in regions)
    candidates = {
        "median autosome": [one for one in regions if AUTOSOME.fullmatch(one.name)],
        "median large region": [
            one
            for one in regions
            if one.length >= SMALLEST_CHROMOSOME * longest and one.name not in SEX_CHROMOSOMES
        ],
    }
    for name, chromosomes in candidates.items():
        length = sum(one.length for one in chromosomes)
        are_chromosomes = FEWEST_CHROMOSOMES <= len(chromosomes) <= MOST_CHROMOSOMES
        if are_chromosomes and length > everything / 2:
            if median(one.records for one in chromosomes) < FEWEST_MEDIAN_RECORDS:
                return None
            density = median(one.density for one in chromosomes)
            return Reference(name, density, chromosomes, name == "median autosome")
    return None


def find_outliers(reference: Reference) -> frozenset[RegionCount]:
    """Return the chromosomes whose density is far from the median one's."""
    ratios = {one: one.density / reference.density for one in reference.chromosomes}
    deviation = DEVIATION_SCALE * median(abs(ratio - 1) for ratio in ratios.values())
    return frozenset(
        one
        for one, ratio in ratios.items()
        if not LOW <= ratio <= HIGH and abs(ratio - 1) > MOST_DEVIATIONS * deviation
    )


def split_regions(
    regions: Sequence[RegionCount],
) -> tuple[list[RegionCount], list[RegionCount]]:
    """Tell the regions that a chart shows each from those it folds into one bar.

    Returns:
        The main regions and the others, each in their order. There are no main ones if all are
        alike.
    """
    if len(regions) <= MOST_BARS:
        return list(regions), []
    whole = join_regions("all regions", regions)

    def weigh(region: RegionCount) -> float:
        # Always shown, small as it is.
        if region.name in MITOCHONDRIA:
            return 1.0
        return max(get_share(region, whole), region.length / (whole.length or 1))

    if max(map(weigh, regions)) >= SMALLEST_MAIN_SHARE:
        large = [region for region in regions if weigh(region) >= SMALLEST_MAIN_SHARE]
        main = take_largest(large, weigh, MOST_BARS)
    else:
        main = take_largest(regions, lambda region: region.records, FEWEST_MAIN_REGIONS)
    return [one for one in regions if one in main], [one for one in regions if one not in main]


def take_largest(
    regions: Sequence[RegionCount], weigh: Callable[[RegionCount], float], most: int
) -> set[RegionCount]:
    """Return the heaviest regions, at most so many; none that weighs no more than one left out."""
    by_weight = sorted(regions, key=weigh, reverse=True)
    if len(by_weight) <= most:
        return set(by_weight)
    limit = weigh(by_weight[most])
    return {region for region in by_weight[:most] if weigh(region) > limit}


def show_name(name: str) -> str:
    r"""Return a name as any program can read it: what is no text is escaped, as `\xff` or `\r`."""
    text = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
