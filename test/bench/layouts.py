"""The benchmark's BAM files: four layouts of contigs, with reads like a short-read sequencer's.

Everything is drawn from one seed, so a layout is the same records on every machine. A file is
built once and kept in `test/bench/bams/`, which git ignores.
"""

import random
from collections.abc import Iterator
from pathlib import Path

from bam_builder import build_bam, index_bam
from demo_bam import HUMAN_CHROMOSOMES

SEED = 20_230_117
READ_LENGTH = 150
UNPLACED_SHARE = 0.015


def _decoys_and_hla() -> list[tuple[str, int]]:
    """Return 3,341 small contigs, numbered and named like those of GRCh38 with decoys and HLA."""
    rng = random.Random(SEED)
    names = [f"chr{1 + n % 22}_KI27{n:04d}v1_random" for n in range(42)]
    names += [f"chrUn_KI27{n:04d}v1" for n in range(127)]
    names += ["chrEBV"]
    names += [f"chr{1 + n % 22}_KI28{n:04d}v1_alt" for n in range(261)]
    names += [f"chrUn_JTFH0100{n:04d}v1_decoy" for n in range(2385)]
    # Each pair is a name and the same name with a colon and digits: ambiguous if not in braces.
    names += [
        f"HLA-{'ABC'[n % 3]}*{1 + n // 6:02d}:01" + (":01" if n % 6 >= 3 else "")
        for n in range(525)
    ]
    return [(name, rng.randint(1_000, 40_000)) for name in names]


LAYOUTS = {
    "25_contigs": HUMAN_CHROMOSOMES,
    "3366_contigs": HUMAN_CHROMOSOMES + _decoys_and_hla(),
    "1_contig": [("chr1", 248_956_422)],
    "11000_contigs": [(f"scaffold_{n}", 1_000 + 37 * n % 9_000) for n in range(11_000)],
}


def layout_bam(folder: Path, layout: str, millions: float) -> tuple[Path, Path]:
    """Return the paths of a layout's BAM and its BAI, built in `folder` if they are not there yet.

    Args:
        folder: the cache.
        layout: a key of `LAYOUTS`.
        millions: number of records, in millions.
    """
    bam = folder / f"{layout}_{millions:g}M.bam"
    index = bam.with_suffix(".bam.bai")
    if not index.exists():
        folder.mkdir(parents=True, exist_ok=True)
        print(f"building {bam.name}", flush=True)
        contigs = LAYOUTS[layout]
        build_bam(bam, contigs, _records(contigs, int(millions * 1_000_000)), threads=1)
        index_bam(bam, index)
    return bam, index


def _records(contigs: list[tuple[str, int]], count: int) -> Iterator[str]:
    """Yield `count` sorted lines: placed in proportion to the contigs' lengths, then unplaced."""
    rng = random.Random(SEED)
    genome = "".join(rng.choices("ACGT", k=1_000_000))
    qualities = [_quality(rng) for _ in range(20_000)]
    unplaced = int(count * UNPLACED_SHARE)
    placed = count - unplaced
    bases = sum(length for _, length in contigs)
    name = 0
    reached = 0
    for contig, length in contigs:
        before, reached = reached, reached + length
        reads = placed * reached // bases - placed * before // bases
        for position in sorted(rng.choices(range(1, max(2, length - READ_LENGTH)), k=reads)):
            name += 1
            start = position % (len(genome) - READ_LENGTH)
            yield (
                f"A01:77:HK{name % 4}:{name * 7919 % 99991}\t{16 * (name & 1)}"
                f"\t{contig}\t{position}\t60\t{READ_LENGTH}M\t*\t0\t0"
                f"\t{genome[start : start + READ_LENGTH]}"
                f"\t{qualities[name * 31 % 20_000]}\tNM:i:0\tAS:i:{READ_LENGTH}"
            )
    for number in range(unplaced):
        start = number * 97 % (len(genome) - READ_LENGTH)
        yield (
            f"A01:77:HKU:{number}\t4\t*\t0\t0\t*\t*\t0\t0"
            f"\t{genome[start : start + READ_LENGTH]}\t{qualities[number % 20_000]}"
        )


def _quality(rng: random.Random) -> str:
    """Return a quality string of the four levels a current sequencer reports, in runs."""
    quality = ""
    while len(quality) < READ_LENGTH:
        quality += rng.choices("F:,#", weights=[88, 8, 3, 1])[0] * rng.randint(1, 25)
    return quality[:READ_LENGTH]
