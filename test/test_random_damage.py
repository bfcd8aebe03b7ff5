"""Random damage to an index or a BAM: the counts are right, or there is an AppError."""

import random
from pathlib import Path

import dxpy
import pytest

from bam_builder import build_bam, index_bam, sam_line

REGIONS = [(f"chr{n}", 100_000) for n in range(12)]


@pytest.fixture(autouse=True)
def small_shares(monkeypatch):
    """Cut even these small files, so that record starts from the index are used, too."""
    monkeypatch.setattr("tasks.SMALLEST_TASK", 1)
    monkeypatch.setattr("tasks.SMALLEST_CHUNK", 1)


@pytest.fixture(scope="module")
def bam(tmp_path_factory) -> Path:
    draw = random.Random(0)
    places = [(f"chr{region}", 1 + n * 40) for region in range(9) for n in range(500)]
    lines = [
        sam_line(f"read{n}", *place, sequence="".join(draw.choices("ACGT", k=80)))
        for n, place in enumerate([*places, *([("*", 0)] * 300)])
    ]
    return build_bam(tmp_path_factory.mktemp("bams") / "whole.bam", REGIONS, lines)


def damage(data: bytes, draw: random.Random) -> bytes:
    """Flip a bit, overwrite eight bytes, or cut off the end; once or more often."""
    damaged = bytearray(data)
    for _ in range(draw.choice([1, 1, 1, 3, 20])):
        at = draw.randrange(len(damaged))
        kind = draw.choices(["flip", "overwrite", "clear", "cut"], weights=[60, 20, 15, 5])[0]
        if kind == "flip":
            damaged[at] ^= 1 << draw.randrange(8)
        elif kind == "overwrite":
            damaged[at : at + 8] = draw.randbytes(8)
        elif kind == "clear":
            damaged[at : at + 8] = bytes(8)
        else:
            del damaged[max(at, 1) :]
    return bytes(damaged)


@pytest.mark.parametrize("kind", ["bai", "csi"])
def test_with_a_damaged_index_the_counts_are_right_or_it_is_blamed(count, bam, tmp_path, kind):
    good = index_bam(bam, tmp_path / f"good.{kind}")
    expected = count(bam, good)
    damaged = tmp_path / f"damaged.{kind}"
    messages = []
    for seed in range(50):
        damaged.write_bytes(damage(good.read_bytes(), random.Random(seed)))
        try:
            assert count(bam, damaged) == expected, f"seed {seed}"
        except dxpy.AppError as error:
            messages.append(str(error))
    assert len(messages) < 25
    assert all(
        "Run the applet again without it." in message or "is truncated: its index" in message
        for message in messages
    )


def test_a_damaged_bam_is_counted_right_or_refused(count, bam, tmp_path):
    index = index_bam(bam, tmp_path / "good.bai")
    expected = count(bam, index)
    damaged = tmp_path / "damaged.bam"
    refused = 0
    for seed in range(60):
        damaged.write_bytes(damage(bam.read_bytes(), random.Random(seed)))
        try:
            assert count(damaged, index if seed % 2 else None) == expected, f"seed {seed}"
        except dxpy.AppError:
            refused += 1
    assert refused > 30
