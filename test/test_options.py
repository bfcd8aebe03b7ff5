"""Filters: the counts are those of samtools view -c with the same options, region by region."""

import random
import subprocess
from collections import Counter
from pathlib import Path

import dxpy
import pytest

import applet
from bam_builder import build_bam, index_bam, sam_line
from filters import FLAG_BITS, Filters, parse_flags, read_filters, verify_filters
from index_editor import PSEUDO_BIN

CONTIGS = [
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
        (contig, draw.choice(FLAGS), draw.randint(0, 70))
        for contig, number in NUMBERS.items()
        for _ in range(number)
    ]
    return placed + [("*", 4, quality) for quality in range(40)]


RECORDS = draw_records()


@pytest.fixture(scope="module")
def bam(tmp_path_factory) -> Path:
    draw = random.Random(1)
    positions = Counter()
    lines = []
    for number, (contig, flag, quality) in enumerate(RECORDS):
        sequence = "".join(draw.choices("ACGT", k=60))
        position = 0 if contig == "*" else 1 + 50 * positions[contig]
        lines.append(sam_line(f"r{number}", contig, position, flag, quality, sequence))
        positions[contig] += 1
    return build_bam(tmp_path_factory.mktemp("bams") / "flags.bam", CONTIGS, lines)


def count_drawn(quality: int = 0, require: int = 0, exclude: int = 0) -> str:
    """Return the count file of the records that pass, from how they were drawn."""
    counts = Counter(
        contig
        for contig, flag, mapq in RECORDS
        if mapq >= quality and flag & require == require and not flag & exclude
    )
    lines = [f"Region {name}: {counts[name]}\n" for name, _ in CONTIGS]
    return "".join(lines) + f"Total reads: {counts.total() - counts['*']}"


@pytest.mark.parametrize("share", [1, 1 << 20], ids=["cut", "shared"])
@pytest.mark.parametrize(
    "filters",
    [(0, 0, 0), (30, 0, 0), (0, 16, 0), (0, 0, 2308), (1, 1024, 4), (255, 0, 0), (0, 0, 4095)],
    ids=str,
)
def test_exactly_the_records_that_pass_are_counted(count, bam, monkeypatch, share, filters):
    monkeypatch.setattr("slices.SMALLEST_SHARE", share)
    monkeypatch.setattr("slices.SMALLEST_SLICE", share)
    quality, require, exclude = filters
    inputs = {"require_flags": str(require), "exclude_flags": str(exclude)}
    assert count(bam, min_mapping_quality=quality, **inputs) == count_drawn(*filters)


def test_the_command_with_its_filters_is_in_the_log(count, bam, capsys):
    count(bam, min_mapping_quality=30, exclude_flags="2308")
    assert "like samtools view -c -q 30 -F 2308 flags.bam chr1, in" in capsys.readouterr().out


def test_only_unplaced_reads_that_pass_are_reported(count, bam, capsys):
    count(bam, min_mapping_quality=30)
    assert "that pass the filters, in no region and not in the total: 10" in capsys.readouterr().out


def test_an_index_that_promises_fewer_records_is_blamed(count, bam, tmp_path):
    index = index_bam(bam, tmp_path / "wrong.bai")
    data = bytearray(index.read_bytes())
    at = data.index(PSEUDO_BIN) + 24
    data[at : at + 16] = (5).to_bytes(8, "little") + bytes(8)
    index.write_bytes(data)
    with pytest.raises(dxpy.AppError, match="promises 5 records in region 'chr1', but samtools"):
        count(bam, index, min_mapping_quality=30)


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        (Filters(min_mapping_quality=256), "min_mapping_quality is 256. .* from 0 to 255"),
        (Filters(min_mapping_quality=-1), "min_mapping_quality is -1. .* from 0 to 255"),
        (Filters(require_flags=4096), "require_flags is 4096. .* from 0 to 4095"),
        (Filters(exclude_flags=-4), "exclude_flags is -4. .* from 0 to 4095"),
    ],
)
def test_a_filter_out_of_range_is_refused(filters, message):
    with pytest.raises(dxpy.AppError, match=message):
        verify_filters(filters)


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("", 0),
        ("0", 0),
        ("2308", 2308),
        ("0x904", 2308),
        ("UNMAP", 4),
        ("UNMAP,SECONDARY,SUPPLEMENTARY", 2308),
        (" dup, unmap ,DUP,", 1028),
    ],
)
def test_flags_are_a_sum_or_names(text, flags):
    assert parse_flags("require_flags", text) == flags


@pytest.mark.parametrize("text", ["1,024", "UNMAP,256", "DUPLICATE", "010", "4.0", "UNMAP|DUP"])
def test_flags_that_are_neither_are_refused_with_the_names(text):
    with pytest.raises(dxpy.AppError, match=r"^exclude_flags is .* names are PAIRED, PROPER_PAIR,"):
        parse_flags("exclude_flags", text)


def test_the_names_of_flags_are_those_of_samtools():
    listed = subprocess.run(["samtools", "flags"], capture_output=True, text=True)
    rows = [line.split() for line in (listed.stdout + listed.stderr).splitlines() if "0x" in line]
    assert {row[2]: int(row[1]) for row in rows} == FLAG_BITS


def test_filters_are_read_and_verified():
    assert read_filters(30, "", "DUP") == Filters(30, 0, 1024)
    with pytest.raises(dxpy.AppError, match="require_flags is -4"):
        read_filters(0, "-4", "")


@pytest.mark.parametrize(
    ("filters", "name"),
    [
        (Filters(), ""),
        (Filters(min_mapping_quality=30, exclude_flags=2308), "_q30_exclude2308"),
        (Filters(require_flags=4), "_require4"),
        (Filters(exclude_flags=4), "_exclude4"),
    ],
)
def test_filters_have_a_name_unless_all_records_pass(filters, name):
    assert filters.name == name


def test_filters_that_no_record_can_pass_say_why():
    contradiction = Filters(require_flags=4 + 16, exclude_flags=4 + 1024).contradiction
    assert contradiction == "No record can pass: UNMAP is both required and excluded."
    assert Filters(require_flags=4, exclude_flags=1024).contradiction is None


def test_filters_and_counts_from_the_index_exclude_each_other():
    with pytest.raises(dxpy.AppError, match="no counts of filtered records"):
        applet.main({}, min_mapping_quality=1, count_from_index=True)


def test_a_prefix_that_is_a_path_is_refused():
    with pytest.raises(dxpy.AppError, match="output_prefix is 'a/b', and a file's name has no '/'"):
        applet.main({}, output_prefix="a/b")


def test_a_call_killed_in_the_middle_of_a_pipeline_is_a_failure(count, bam, sabotage_samtools):
    sabotage_samtools('[ "$2" = -u ] && kill -9 $$')
    with pytest.raises(dxpy.AppError, match="killed by SIGKILL"):
        count(bam, min_mapping_quality=1)
