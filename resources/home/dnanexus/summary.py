"""Derives the reported figures from the counts; writes no files and no HTML."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from statistics import median
from typing import NamedTuple

from bam_file import UNPLACED, Bam
from bam_index import ChosenIndex
from options import Options

VERSION = "1.0.0"  # of the applet, as in dxapp.json

MEGABASE = 1_000_000

# A chart with more bars does not fit on a screen. Regions that are not chromosomes get a bar
# only with at least this share of the records.
MOST_BARS = 40
SMALLEST_SHARE = 0.005

# The usual names: "chr1" in UCSC genomes, "1" in Ensembl and NCBI genomes.
AUTOSOME = re.compile(r"(?:chr)?([1-9][0-9]?)", re.IGNORECASE)
SEX_CHROMOSOMES = {"chrX": "chrX", "X": "chrX", "chrY": "chrY", "Y": "chrY"}
MITOCHONDRIA = ("chrM", "chrMT", "M", "MT")

# A median of fewer chromosomes is not a baseline. With fewer records in the median chromosome,
# chance alone moves a density by more than a tenth.
FEWEST_CHROMOSOMES = 3
FEWEST_MEDIAN_RECORDS = 100
# If no names are those of autosomes, the chromosomes are the regions of at least this share of the
# longest region. More than MOST_CHROMOSOMES of them are the scaffolds of a draft assembly.
SMALLEST_CHROMOSOME = 0.1
MOST_CHROMOSOMES = 100

# A chromosome is an outlier if its normalized coverage is outside these bounds, and more than three
# scaled median absolute deviations from 1 (Leys et al. 2013, J. Exp. Soc. Psychol. 49: 764). The
# bounds are not symmetric because unsequenced bases (N) count as length: a normal chr22 of GRCh37
# has 0.7, and nothing raises a normal chromosome as far.
LOW, HIGH = 0.65, 1.25
MOST_DEVIATIONS = 3
DEVIATION_SCALE = 1.4826


class RegionCount(NamedTuple):
    """The number of records of a region."""

    name: str
    """As in the header; bytes that are not UTF-8 are surrogates, as in file names."""
    length: int
    """In bases."""
    records: int

    @property
    def density(self) -> float:
        """Records per megabase; 0 for a region of length 0."""
        return self.records * MEGABASE / self.length if self.length else 0.0


class Baseline(NamedTuple):
    """The density that all densities are compared with: the median of some chromosomes."""

    name: str
    """For a person: `median autosome` or `median large region`."""
    density: float
    """Records per megabase; more than 0."""
    chromosomes: list[RegionCount]
    """The chromosomes of which it is the median."""
    autosomes: bool
    """Whether the names of these chromosomes are those of autosomes."""


@dataclass(frozen=True)
class CountSummary:
    """What was counted, how, and the counts."""

    sample: str
    """The name of the BAM file without `.bam`, or the given output prefix."""
    prefix: str
    """The beginning of the names of the output files."""
    command: str
    """The samtools command that gives the count of a region; `none` if nothing was counted."""
    filters: str
    """The options of samtools view that select records; empty if all are counted."""
    regions: list[RegionCount]
    """In header order; at least one."""
    unplaced: int
    """Unplaced reads that pass the filters; not in the total."""
    samtools_version: str
    date: str
    """ISO date and time, UTC."""
    counted: bool = True
    """False if the numbers are those stored in the index."""
    filtered_out: int | None = None
    """Records in regions that did not pass the filters; None without filters."""
    index: str = "given"
    """`given`, `fresh` (none was given) or `replaced` (the given one did not match)."""
    index_problem: str = ""
    """Why the given index was replaced."""

    @cached_property
    def whole(self) -> RegionCount:
        """All regions together."""
        return join_regions("all regions", self.regions)

    @cached_property
    def with_records(self) -> list[RegionCount]:
        """The regions that have a record."""
        return [one for one in self.regions if one.records]

    @cached_property
    def typical_density(self) -> float:
        """The density of the regions with records, together."""
        return join_regions("regions with records", self.with_records).density

    @cached_property
    def baseline(self) -> Baseline | None:
        """What densities are compared with; None if a comparison would say nothing."""
        return find_baseline(self.regions)

    @cached_property
    def outliers(self) -> frozenset[RegionCount]:
        """The chromosomes whose density is far from the baseline."""
        return find_outliers(self.baseline) if self.baseline else frozenset()

    @cached_property
    def sex_chromosomes(self) -> dict[str, RegionCount]:
        """The regions chrX and chrY by these names, if the baseline is the median autosome.

        In other genomes the names mean something else: the chrX of yeast is chromosome ten.
        """
        if self.baseline is None or not self.baseline.autosomes:
            return {}
        return {
            SEX_CHROMOSOMES[one.name]: one for one in self.regions if one.name in SEX_CHROMOSOMES
        }

    @cached_property
    def mitochondria(self) -> list[RegionCount]:
        """The regions with a mitochondrial name."""
        return [one for one in self.regions if one.name in MITOCHONDRIA]

    @cached_property
    def charted(self) -> list[RegionCount]:
        """The regions to draw in a chart, in header order.

        Of a few regions these are all. Of many they are those with the most records, but if there
        are chromosomes, then these come first, even without records.
        """
        if len(self.regions) <= MOST_BARS:
            return self.regions
        chromosomes = {*self.sex_chromosomes.values()}
        fewest = 1.0
        if self.baseline:
            chromosomes.update(self.baseline.chromosomes, self.mitochondria)
            fewest = SMALLEST_SHARE * self.whole.records
        candidates = [one for one in self.regions if one in chromosomes or one.records >= fewest]
        candidates.sort(key=lambda one: (one in chromosomes, one.records), reverse=True)
        chosen = set(candidates[:MOST_BARS])
        return [one for one in self.regions if one in chosen]

    @property
    def subset(self) -> str:
        """The end of a title: which records the numbers are about; empty if all are counted."""
        if not self.counted:
            return ", from the index, not counted"
        return f", only those that pass {self.filters}" if self.filters else ""

    @property
    def index_description(self) -> str:
        """Which index was used, and why if it is not the given one."""
        return f"{self.index}: {self.index_problem}" if self.index_problem else self.index

    @property
    def unplaced_share(self) -> float | None:
        """Unplaced reads as a share of all records; None if there are none, or with filters."""
        everything = self.whole.records + self.unplaced
        return self.unplaced / everything if everything and not self.filters else None

    @property
    def mitochondrial_share(self) -> float | None:
        """Mitochondrial records as a share of those in regions; None if it is undefined."""
        if not self.mitochondria or not self.whole.records:
            return None
        return self.get_share(join_regions("mitochondria", self.mitochondria))

    @property
    def filtered_share(self) -> float | None:
        """Records that were filtered out as a share of those in regions; None if unknown."""
        if self.filtered_out is None:
            return None
        return self.filtered_out / ((self.whole.records + self.filtered_out) or 1)

    def get_share(self, region: RegionCount) -> float:
        """Return the records of a region as a share of those in all regions."""
        return region.records / (self.whole.records or 1)

    def normalize(self, region: RegionCount) -> float | None:
        """Return the normalized coverage of a region: its density relative to the baseline.

        As in Picard's CollectGcBiasMetrics it is a ratio of numbers of reads per length, so depth
        and read length do not matter. 1 is the baseline.
        """
        return region.density / self.baseline.density if self.baseline else None


def summarize(
    bam: Bam,
    regions: Sequence[str],
    counts: Mapping[int, int],
    index: ChosenIndex,
    options: Options,
    samtools_version: str,
) -> CountSummary:
    """Pair the regions with their counts, and describe how they were counted.

    The names of files with filtered counts say so, unless an output prefix is given. The names of
    files with numbers that were not counted always say so.

    Args:
        bam: the file counted.
        regions: its regions.
        counts: number of records by region number; that of UNPLACED is the unplaced reads.
        index: the index that was used.
        options: the inputs other than files.
        samtools_version: of the samtools that counted.
    """
    filters, from_index = options.filters, options.count_from_index
    filtered_out = sum(index.content.counts) - sum(counts[n] for n in range(len(regions)))
    sample = options.output_prefix or bam.name.removesuffix(".bam")
    prefix = options.output_prefix or f"{sample}{filters.suffix}"
    return CountSummary(
        sample=sample,
        prefix=f"{prefix}_from_index" if from_index else prefix,
        command="none" if from_index else filters.describe_command(bam.name),
        filters=" ".join(filters.view_options),
        regions=[
            RegionCount(region, length, counts[number])
            for number, (region, length) in enumerate(zip(regions, bam.lengths, strict=True))
        ],
        unplaced=counts[UNPLACED],
        samtools_version=samtools_version,
        date=f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC",
        counted=not from_index,
        filtered_out=filtered_out if filters.view_options else None,
        index=index.origin,
        index_problem=index.problem,
    )


def join_regions(name: str, regions: Sequence[RegionCount]) -> RegionCount:
    """Return one region with the length and the records of all of these."""
    length = sum(region.length for region in regions)
    return RegionCount(name, length, sum(region.records for region in regions))


def find_baseline(regions: Sequence[RegionCount]) -> Baseline | None:
    """Return the median autosome, or the median large region if no names are those of autosomes.

    Returns:
        None if the regions are not chromosomes, or have too few records.
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
            return Baseline(name, density, chromosomes, name == "median autosome")
    return None


def find_outliers(baseline: Baseline) -> frozenset[RegionCount]:
    """Return the chromosomes whose density is far from the baseline."""
    ratios = {one: one.density / baseline.density for one in baseline.chromosomes}
    deviation = DEVIATION_SCALE * median(abs(ratio - 1) for ratio in ratios.values())
    return frozenset(
        one
        for one, ratio in ratios.items()
        if not LOW <= ratio <= HIGH and abs(ratio - 1) > MOST_DEVIATIONS * deviation
    )


def show_name(name: str) -> str:
    r"""Return a name that any program can read: what is not text is escaped, as `\xff` or `\r`."""
    if name.isprintable():
        return name
    text = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
