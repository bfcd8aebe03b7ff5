"""Valid inputs: the counts of each of these BAM files are right, however the work is split."""

import gzip
import re
from pathlib import Path

import pytest

from bam_builder import (
    build_bam,
    build_bam_from_lines,
    compress_block,
    header_lines,
    index_bam,
    sam_line,
)

# A read every 20,000 bases: an index has a record start for each window of 16,384 bases, so that
# the smallest tasks begin and end at every read.
STEP = 20_000
TWO_REGIONS = [("chr1", 500_000), ("chr2", 500_000)]


def reads(region: str, number: int, step: int = STEP, **fields) -> list[str]:
    return [sam_line(f"{region}_{n}", region, 1 + n * step, **fields) for n in range(number)]


def count_file(regions: list[tuple[str, int]], counts: dict[str, int]) -> str:
    """Return the right count file for a BAM that was built with these numbers of reads."""
    lines = [f"Region {name}: {counts.get(name, 0)}\n" for name, _ in regions]
    return "".join(lines) + f"Total reads: {sum(counts.values())}"


@pytest.fixture
def check(count, task_size, tmp_path):
    """Check a BAM's counts against those it was built with, with an index or without."""

    def check_bam(
        bam: Path, counts: dict[str, int], regions: list[tuple[str, int]] = TWO_REGIONS
    ) -> None:
        assert count(bam) == count_file(regions, counts)
        if task_size == "smallest tasks":
            index = index_bam(bam, tmp_path / "given.bai")
            assert count(bam, index) == count_file(regions, counts)

    return check_bam


def test_an_ordinary_file(check, tmp_path, capsys, task_size):
    lines = reads("chr1", 20) + reads("chr2", 10) + [sam_line("unplaced")]
    check(build_bam(tmp_path / "x.bam", TWO_REGIONS, lines), {"chr1": 20, "chr2": 10})
    tasks = re.findall(r"in (\d+) tasks?, ", capsys.readouterr().out)
    assert set(tasks) == {"1" if task_size == "normal" else "4"}


def test_header_only(check, tmp_path):
    check(build_bam(tmp_path / "header_only.bam", TWO_REGIONS), {})


def test_all_reads_unplaced(check, tmp_path, capsys):
    lines = [sam_line(f"read{n}") for n in range(7)]
    check(build_bam(tmp_path / "all_unplaced.bam", TWO_REGIONS, lines), {})
    assert "Unplaced reads (in no region, not in the total): 7" in capsys.readouterr().out


def test_regions_without_reads_between_others(check, tmp_path):
    regions = [(f"chr{n}", 500_000) for n in range(9)]
    bam = build_bam(tmp_path / "gaps.bam", regions, reads("chr2", 5) + reads("chr7", 4))
    check(bam, {"chr2": 5, "chr7": 4}, regions)


def test_placed_unmapped_mates_are_counted(check, tmp_path):
    lines = [*reads("chr1", 3, flag=73), sam_line("mate", "chr1", 90_000, flag=133)]
    check(build_bam(tmp_path / "mates.bam", TWO_REGIONS, lines), {"chr1": 4})


def test_a_read_with_a_region_but_no_position_is_counted(check, tmp_path):
    """As samtools idxstats counts it; samtools view -c with a region passes over it."""
    lines = [sam_line("no_position", "chr1", 1, flag=4), *reads("chr1", 20_000, step=20)]
    bam = build_bam(tmp_path / "no_position.bam", TWO_REGIONS, lines)
    data = bytearray(gzip.decompress(bam.read_bytes()))
    position = data.index(b"no_position") - 28
    data[position : position + 4] = b"\xff" * 4
    blocks = [compress_block(data[at : at + 60_000]) for at in range(0, len(data), 60_000)]
    bam.write_bytes(b"".join([*blocks, compress_block(b"")]))
    check(bam, {"chr1": 20_001})


@pytest.mark.parametrize(
    "flag", [256, 2048, 1024, 512], ids=["secondary", "supplementary", "duplicate", "QC-fail"]
)
def test_flagged_records_are_counted(check, tmp_path, flag):
    lines = reads("chr1", 3, flag=flag)
    check(build_bam(tmp_path / "flagged.bam", TWO_REGIONS, lines), {"chr1": 3})


def test_sn_in_other_header_lines_is_no_region(check, tmp_path):
    header = [
        *header_lines(TWO_REGIONS),
        "@RG\tID:SN:group\tSM:SN:sample",
        "@PG\tID:tool\tCL:tool SN:phantom x",
        "@CO\tsee\tSN:comment\t@SQ SN:other",
    ]
    bam = build_bam_from_lines(tmp_path / "phantoms.bam", header + reads("chr2", 2))
    check(bam, {"chr2": 2})


def test_the_length_may_come_before_the_name(check, tmp_path):
    header = ["@HD\tVN:1.6\tSO:coordinate", "@SQ\tLN:100000\tM5:0\tSN:chr1"]
    bam = build_bam_from_lines(tmp_path / "ln_first.bam", header + reads("chr1", 2))
    check(bam, {"chr1": 2}, [("chr1", 100_000)])


def test_a_sorted_file_whose_header_says_unsorted(check, tmp_path):
    header = ["@HD\tVN:1.6\tSO:unsorted", "@SQ\tSN:chr1\tLN:100000"]
    bam = build_bam_from_lines(tmp_path / "so_unsorted.bam", header + reads("chr1", 5))
    check(bam, {"chr1": 5}, [("chr1", 100_000)])


def test_records_beyond_the_end_of_their_region(check, tmp_path):
    lines = reads("chr1", 40)
    check(build_bam(tmp_path / "beyond.bam", TWO_REGIONS, lines), {"chr1": 40})


@pytest.mark.parametrize(
    "names",
    [
        ["HLA-A*01:01", "HLA-A*01:01:01", "HLA-A*01:01:01:01"],
        ["chr1", "chr1:1-100", "chr1:1"],
        ["gi|1234|ref", "a=b", "track", "browser"],
        ["#first", "one,two", "1,000", "-n", "--", "."],
        ["n" * 250, "n" * 249],
        ["unplaced*", "ref@1", "'quoted'", "$(id)", ";ls", "&"],
        [b"chr\xe9".decode(errors="surrogateescape")],
        ["a\vb", "a\fb", "a\x1cb", "a\x85b", "a\u2028b"],
    ],
    ids=lambda names: ascii(names[0])[1:11],
)
def test_hostile_region_names(check, tmp_path, names):
    regions = [(name, 500_000) for name in names]
    counts = {name: number for number, name in enumerate(names, 4)}
    lines = [line for name, number in counts.items() for line in reads(name, number)]
    check(build_bam(tmp_path / "names.bam", regions, lines), counts, regions)


@pytest.mark.parametrize(
    "name",
    [
        "with space.bam",
        "Zoë Ω 数.bam",
        "-dash.bam",
        'it\'s "quoted".bam',
        "a;b$(c)|d.bam",
        "UPPER.BAM",
        "no_extension",
        "new\nline.bam",
        "%2F.bam",
        "n" * 251 + ".bam",
    ],
)
def test_hostile_file_names(check, tmp_path, name):
    bam = build_bam(tmp_path / "plain.bam", TWO_REGIONS, reads("chr1", 5))
    check(bam.rename(tmp_path / name), {"chr1": 5})


def test_empty_blocks_inside_the_file(check, tmp_path):
    first = build_bam(tmp_path / "1.bam", TWO_REGIONS, reads("chr1", 3))
    second = build_bam(tmp_path / "2.bam", TWO_REGIONS, reads("chr2", 4))
    header_size = len(read_first_block(second))
    bam = tmp_path / "joined.bam"
    bam.write_bytes(first.read_bytes() + second.read_bytes()[header_size:])
    check(bam, {"chr1": 3, "chr2": 4})


def read_first_block(bam: Path) -> bytes:
    data = bam.read_bytes()
    return data[: int.from_bytes(data[16:18], "little") + 1]


def test_many_end_of_file_blocks(check, tmp_path):
    bam = build_bam(tmp_path / "many_ends.bam", TWO_REGIONS, [*reads("chr1", 3), sam_line("u")])
    bam.write_bytes(bam.read_bytes() + bam.read_bytes()[-28:] * 5_000)
    check(bam, {"chr1": 3})


def test_a_block_with_another_extra_subfield_before_its_size(check, tmp_path, monkeypatch):
    """With more than one thread, samtools index (1.16.1) waits for itself on such a file."""
    monkeypatch.setattr("processes.STALL_SECONDS", 1)
    bam = build_bam(tmp_path / "subfield.bam", TWO_REGIONS, reads("chr1", 3))
    data = bam.read_bytes()
    at = len(read_first_block(bam))
    size = int.from_bytes(data[at + 16 : at + 18], "little") + 1
    subfield = b"XX\2\0ab"
    extra = subfield + b"BC\2\0" + (size + len(subfield) - 1).to_bytes(2, "little")
    head = data[at : at + 10] + len(extra).to_bytes(2, "little") + extra
    bam.write_bytes(data[:at] + head + data[at + 18 :])
    check(bam, {"chr1": 3})


def test_a_large_file_is_cut_at_its_usual_task_size(count, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tasks.SMALLEST_TASK", 50_000)
    monkeypatch.setattr("tasks.SMALLEST_CHUNK", 20_000)
    counts = {"chr1": 60_000, "chr2": 100}
    lines = [line for name, number in counts.items() for line in reads(name, number, step=8)]
    bam = build_bam(tmp_path / "large.bam", TWO_REGIONS, [*lines, sam_line("unplaced")])
    assert count(bam) == count_file(TWO_REGIONS, counts)
    tasks = re.search(r"in (\d+) tasks", capsys.readouterr().out)
    assert int(tasks[1]) > 4


def test_the_log_says_what_was_done(count, tmp_path, capsys):
    bam = build_bam(tmp_path / "ordinary.bam", TWO_REGIONS, [*reads("chr1", 3), sam_line("u")])
    count(bam, index_bam(bam, tmp_path / "x.bai"))
    log = capsys.readouterr().out
    assert "Regions in the header of 'ordinary.bam': 2\n" in log
    assert "Counting in 1 task, equivalent to samtools view -c ordinary.bam REGION\n" in log
    assert "Unplaced reads (in no region, not in the total): 1\n" in log
    assert "Seconds to count: " in log
    assert log.splitlines()[-1].startswith("Seconds in total: ")


def test_long_work_shows_progress(count, tmp_path, capsys, monkeypatch, sabotage_samtools):
    monkeypatch.setattr("pool.PROGRESS_SECONDS", 0.2)
    bam = build_bam(tmp_path / "slow.bam", TWO_REGIONS, [*reads("chr1", 3), sam_line("u")])
    sabotage_samtools('[ "$1" = idxstats ] && sleep 1')
    count(bam)
    assert "0 of 1 tasks are done\n" in capsys.readouterr().out
