"""Filters: the counts are those of samtools view -c with the same options, region by region."""

import random
from collections import Counter
from pathlib import Path

import dxpy
import pytest

from bam_builder import build_bam, index_bam, sam_line
from index_editor import PSEUDO_BIN

REGIONS = [
    ("chr1", 300_000),
    ("empty", 99),
    ("HLA-A*01", 9_000),
    ("HLA-A*01:01", 9_000),
    ("chr2", 9_000),
]
NUMBERS = {"chr1": 4_000, "HLA-A*01": 70, "HLA-A*01:01": 50, "chr2": 30}
FLAGS = [0, 16, 4, 73, 133, 256, 512, 1024, 1040, 2048, 2064]


def draw_records() -> list[tuple[str, int, int]]:
    """Return the region, FLAG and MAPQ of each record."""
    draw = random.Random(0)
    placed = [
        (region, draw.choice(FLAGS), draw.randint(0, 70))
        for region, number in NUMBERS.items()
        for _ in range(number)
    ]
    return placed + [("*", 4, quality) for quality in range(40)]


RECORDS = draw_records()


@pytest.fixture(scope="module")
def bam(tmp_path_factory) -> Path:
    draw = random.Random(1)
    positions = Counter()
    lines = []
    for number, (region, flag, quality) in enumerate(RECORDS):
        sequence = "".join(draw.choices("ACGT", k=60))
        position = 0 if region == "*" else 1 + 50 * positions[region]
        lines.append(sam_line(f"r{number}", region, position, flag, quality, sequence))
        positions[region] += 1
    return build_bam(tmp_path_factory.mktemp("bams") / "flags.bam", REGIONS, lines)


def count_drawn(quality: int = 0, require: int = 0, exclude: int = 0) -> str:
    """Return the count file of the records that pass, from how they were drawn."""
    counts = Counter(
        region
        for region, flag, mapq in RECORDS
        if mapq >= quality and flag & require == require and not flag & exclude
    )
    lines = [f"Region {name}: {counts[name]}\n" for name, _ in REGIONS]
    return "".join(lines) + f"Total reads: {counts.total() - counts['*']}"


@pytest.mark.parametrize(
    "filters",
    [(0, 0, 0), (30, 0, 0), (0, 16, 0), (0, 0, 2308), (1, 1024, 4), (255, 0, 0), (0, 0, 4095)],
    ids=str,
)
@pytest.mark.usefixtures("task_size")
def test_exactly_the_records_that_pass_are_counted(count, bam, filters):
    quality, require, exclude = filters
    inputs = {"require_flags": str(require), "exclude_flags": str(exclude)}
    assert count(bam, min_mapping_quality=quality, **inputs) == count_drawn(*filters)


def test_the_command_with_its_filters_is_in_the_log(count, bam, capsys):
    count(bam, min_mapping_quality=30, exclude_flags="2308")
    assert (
        "equivalent to samtools view -c -q 30 -F 2308 flags.bam REGION\n" in capsys.readouterr().out
    )


def test_only_unplaced_reads_that_pass_are_reported(count, bam, capsys):
    count(bam, min_mapping_quality=30)
    assert "that pass the filters (in no region, not in the total): 10" in capsys.readouterr().out


def test_an_index_that_lists_fewer_records_than_pass_does_not_match(count, bam, tmp_path):
    index = index_bam(bam, tmp_path / "wrong.bai")
    data = bytearray(index.read_bytes())
    at = data.index(PSEUDO_BIN) + 24
    data[at : at + 16] = (5).to_bytes(8, "little") + bytes(8)
    index.write_bytes(data)
    with pytest.raises(dxpy.AppError, match="lists 5 records in 'chr1', samtools counts"):
        count(bam, index, min_mapping_quality=30)


def test_a_samtools_that_is_killed_under_filters_is_a_failure(count, bam, sabotage_samtools):
    sabotage_samtools('[ "$1" = idxstats ] && kill -9 $$')
    with pytest.raises(dxpy.AppError, match="samtools was killed"):
        count(bam, min_mapping_quality=1)
