"""The sample that `make run` and `make web` count: small, and like a human one.

It is a man's, with a third chr21. Its report shows the median line, the sex and an outlier.
"""

import random
from collections.abc import Iterator
from pathlib import Path

from bam_builder import build_bam, index_bam, sam_line

# GRCh38, chr1 to chr22, chrX, chrY, chrM: lengths in bases, from the assembly's report.
HUMAN_CHROMOSOMES = [
    ("chr1", 248_956_422),
    ("chr2", 242_193_529),
    ("chr3", 198_295_559),
    ("chr4", 190_214_555),
    ("chr5", 181_538_259),
    ("chr6", 170_805_979),
    ("chr7", 159_345_973),
    ("chr8", 145_138_636),
    ("chr9", 138_394_717),
    ("chr10", 133_797_422),
    ("chr11", 135_086_622),
    ("chr12", 133_275_309),
    ("chr13", 114_364_328),
    ("chr14", 107_043_718),
    ("chr15", 101_991_189),
    ("chr16", 90_338_345),
    ("chr17", 83_257_441),
    ("chr18", 80_373_285),
    ("chr19", 58_617_616),
    ("chr20", 64_444_167),
    ("chr21", 46_709_983),
    ("chr22", 50_818_468),
    ("chrX", 156_040_895),
    ("chrY", 57_227_415),
    ("chrM", 16_569),
]
SMALL_REGIONS = [
    ("chr1_KI270706v1_random", 175_055),
    ("chrUn_KI270302v1", 2_274),
    ("chrUn_GL000220v1", 161_802),
    ("chrEBV", 171_823),
]

READS_PER_MEGABASE = 12
# How many copies of a chromosome there are, where it is not two; of chrM there are many.
COPIES = {"chrX": 1, "chrY": 1, "chr21": 3, "chrM": 8_000, "chrEBV": 0}
UNPLACED_READS = 400


def build_demo(folder: Path) -> list[Path]:
    """Build the BAM file and its index in a folder; return their paths."""
    bam = build_bam(folder / "demo.bam", [*HUMAN_CHROMOSOMES, *SMALL_REGIONS], list_reads())
    return [bam, index_bam(bam, folder / "demo.bam.bai")]


def list_reads() -> Iterator[str]:
    """Yield the alignment lines in the order of the file, the same ones each time."""
    rng = random.Random("demo")
    for name, length in [*HUMAN_CHROMOSOMES, *SMALL_REGIONS]:
        expected = READS_PER_MEGABASE * length / 1e6 * COPIES.get(name, 2) / 2
        # Like a Poisson distribution, in which the variance is the mean.
        count = max(0, round(rng.gauss(expected, expected**0.5)))
        for number, start in enumerate(sorted(rng.choices(range(1, length - 9), k=count))):
            yield sam_line(f"{name}.{number}", name, start)
    for number in range(UNPLACED_READS):
        yield sam_line(f"unplaced.{number}")
