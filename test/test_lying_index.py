"""An index made to deceive: it agrees with itself and with the shape of the BAM, but lies.

Each lie is told where large regions are cut into slices and where all share one call.
"""

import random
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import dxpy
import pytest

import tasks
from bam_builder import build_bam, sam_line
from bam_file import WholeFile, open_bam
from index_editor import PSEUDO_BIN, join_bai

REGIONS = [("A", 300_000), ("B", 300_000), ("C", 300_000)]
NUMBERS = {"A": 400, "B": 60, "C": 29}
UNPLACED = 12
TRUTH = "Region A: 400\nRegion B: 60\nRegion C: 29\nTotal reads: 489"


class Claim(NamedTuple):
    """What an index says of one region."""

    begin: int
    """Number of its first record in the file, from 0."""
    end: int
    """Number of the record after its last one."""
    records: int
    """How many it has."""


@pytest.fixture(params=[1, 1 << 30], ids=["cut", "shared"])
def bam(request, tmp_path, monkeypatch) -> Path:
    """Three regions, each of several blocks, and unplaced reads."""
    monkeypatch.setattr("tasks.SMALLEST_TASK", request.param)
    monkeypatch.setattr("tasks.SMALLEST_CHUNK", request.param)
    draw = random.Random(0)
    places = [(name, 1 + 600 * n) for name, number in NUMBERS.items() for n in range(number)]
    lines = [
        sam_line(f"r{n}", *place, sequence="".join(draw.choices("ACGT", k=2_000)))
        for n, place in enumerate([*places, *([("*", 0)] * UNPLACED)])
    ]
    return build_bam(tmp_path / "sample.bam", REGIONS, lines)


def find_records(bam: Path) -> list[int]:
    """Return the virtual offset of each record, and that of the end."""
    data, starts = b"", []
    compressed = bam.read_bytes()
    address = 0
    while address < len(compressed):
        size = int.from_bytes(compressed[address + 16 : address + 18], "little") + 1
        starts.append((len(data), address))
        data += zlib.decompress(compressed[address : address + size], wbits=31)
        address += size
    first = open_bam(WholeFile(bam)).first_record
    at = next(start for start, block in starts if block == first >> 16) + (first & 0xFFFF)
    offsets = []
    while at <= len(data):
        start, block = max(one for one in starts if one[0] <= at)
        offsets.append(block << 16 | at - start)
        if at == len(data):
            break
        at += 4 + int.from_bytes(data[at : at + 4], "little")
    return offsets


def forge_index(bam: Path, claims: list[Claim | None], unplaced: int) -> Path:
    """Write a BAI index that makes these claims, with a record start for every 16 kb window."""
    offsets = find_records(bam)
    bins, linear = [], []
    for claim in claims:
        if claim is None:
            bins.append([])
            linear.append(struct.pack("<i", 0))
            continue
        begin, end = offsets[claim.begin], offsets[claim.end]
        bins.append([struct.pack("<IiQQ", 0, 1, begin, end)])
        bins[-1].append(PSEUDO_BIN + struct.pack("<4Q", begin, end, claim.records, 0))
        windows = offsets[claim.begin : claim.end : 27]
        linear.append(struct.pack(f"<i{len(windows)}Q", len(windows), *windows))
    index = bam.with_name("forged.bai")
    index.write_bytes(join_bai(bins, linear, struct.pack("<Q", unplaced)))
    return index


@pytest.fixture(params=["count", "count_on_machines"], ids=["one machine", "three"])
def count(request):
    """Count on one machine or on three: the answers are the same, and so are the sentences."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def blame(count, bam):
    """Count with a forged index, which must be shown to lie; return the message."""

    def blame_index(claims: list[Claim | None], unplaced: int, **filters: str) -> str:
        with pytest.raises(dxpy.AppError) as error:
            count(bam, forge_index(bam, claims, unplaced), **filters)
        message = str(error.value)
        assert message.startswith("The index 'forged.bai' does not match 'sample.bam': it ")
        assert message.endswith(". Run the applet again without it.")
        return message

    return blame_index


A, B, C = Claim(0, 400, 400), Claim(400, 460, 60), Claim(460, 489, 29)


def test_an_index_that_does_not_lie_is_believed(count, bam):
    assert count(bam, forge_index(bam, [A, B, C], UNPLACED)) == TRUTH


def test_all_records_are_said_to_be_unplaced(blame):
    message = blame([None, None, None], 501)
    assert "lists 0 records in 'A', samtools counts 400" in message


def test_the_last_region_is_said_to_be_unplaced(blame):
    message = blame([A, B, None], 29 + UNPLACED)
    assert "lists 0 records in 'C', samtools counts 29" in message


@pytest.mark.parametrize("records", [400, 460])
def test_a_region_is_hidden_in_the_one_before(blame, records):
    blame([Claim(0, 460, records), None, C], UNPLACED)


def test_a_region_is_hidden_in_the_one_after(blame):
    blame([A, None, Claim(400, 489, 29)], UNPLACED)


def test_a_border_is_moved_and_the_numbers_with_it(blame):
    message = blame([Claim(0, 404, 400), Claim(404, 460, 56), C], UNPLACED)
    assert "lists 56 records in 'B', samtools counts 60" in message


@pytest.mark.parametrize("filters", [{}, {"exclude_flags": "1024"}], ids=["all", "filtered"])
def test_a_border_is_moved_and_the_numbers_are_not(count, bam, filters):
    """What is counted does not hang on where a border is said to be."""
    index = forge_index(bam, [Claim(0, 404, 400), Claim(404, 460, 60), C], UNPLACED)
    assert count(bam, index, **filters) == TRUTH


def test_a_region_is_said_to_begin_within_the_one_before(count, bam):
    claims = [Claim(0, 396, 400), Claim(396, 460, 60), C]
    assert count(bam, forge_index(bam, claims, UNPLACED)) == TRUTH


def test_a_slice_is_said_to_end_within_the_next_region(count, blame, bam):
    claims = [Claim(0, 410, 400), Claim(410, 460, 60), C]
    if tasks.SMALLEST_CHUNK == 1:
        assert "it lists a record of region 'A' at byte " in blame(claims, UNPLACED)
    else:
        assert count(bam, forge_index(bam, claims, UNPLACED)) == TRUTH


def test_a_record_is_given_from_one_region_to_another(blame):
    message = blame([A._replace(records=401), B._replace(records=59), C], UNPLACED)
    assert "lists 401 records in 'A', samtools counts 400" in message


def test_unplaced_reads_are_given_to_the_last_region(count, bam, capsys):
    index = forge_index(bam, [A, B, Claim(460, 493, 29)], UNPLACED - 4)
    assert count(bam, index) == TRUTH
    assert "lists 8 unplaced reads, samtools counts 12." in capsys.readouterr().out
