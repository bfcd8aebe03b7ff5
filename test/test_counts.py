"""Valid inputs: every one of these BAM files has right counts."""

import gzip
import re
import subprocess
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

TWO_CONTIGS = [("chr1", 10_000), ("chr2", 10_000)]


def reads(contig: str, number: int, step: int = 10, **fields) -> list[str]:
    return [sam_line(f"{contig}_{n}", contig, 1 + n * step, **fields) for n in range(number)]


def count_with_idxstats(bam: Path, folder: Path, kind: str) -> str:
    """Count with samtools idxstats on a fresh index, and check it by the whole file's count."""
    alone = folder / "oracle.bam"
    alone.symlink_to(bam)
    index_bam(alone, folder / f"oracle.bam.{kind}")
    rows = [
        line.split("\t")
        for line in subprocess.check_output(
            ["samtools", "idxstats", alone], encoding="utf-8", errors="surrogateescape"
        ).splitlines()
    ]
    counts = {name: int(mapped) + int(unmapped) for name, _, mapped, unmapped in rows}
    unplaced = counts.pop("*")
    whole = int(subprocess.check_output(["samtools", "view", "-c", bam]))
    assert sum(counts.values()) + unplaced == whole
    lines = [f"Region {region}: {count}\n" for region, count in counts.items()]
    return "".join(lines) + f"Total reads: {sum(counts.values())}"


@pytest.fixture
def check(count, count_parts, tmp_path):
    """Check a BAM's counts against idxstats: with no index, with a good one, and in parts."""

    def check_bam(bam: Path, kind: str = "bai") -> str:
        expected = count_with_idxstats(bam, tmp_path, kind)
        assert count(bam) == expected
        index = index_bam(bam, tmp_path / f"given.{kind}")
        assert count(bam, index) == expected
        assert count_parts(bam, index) == expected
        return expected

    return check_bam


def test_header_only(check, tmp_path):
    expected = check(build_bam(tmp_path / "header_only.bam", TWO_CONTIGS))
    assert expected == "Region chr1: 0\nRegion chr2: 0\nTotal reads: 0"


def test_all_reads_unplaced(check, tmp_path, capsys):
    lines = [sam_line(f"read{n}") for n in range(7)]
    check(build_bam(tmp_path / "all_unplaced.bam", TWO_CONTIGS, lines))
    assert "Unplaced reads, in no region and not in the total: 7" in capsys.readouterr().out


def test_contigs_without_reads_between_others(check, tmp_path):
    contigs = [(f"chr{n}", 1_000) for n in range(9)]
    check(build_bam(tmp_path / "gaps.bam", contigs, reads("chr2", 5) + reads("chr7", 4)))


def test_placed_unmapped_mates_are_counted(check, tmp_path):
    lines = [*reads("chr1", 3, flag=73), sam_line("mate", "chr1", 31, flag=133)]
    assert "Region chr1: 4" in check(build_bam(tmp_path / "mates.bam", TWO_CONTIGS, lines))


@pytest.mark.parametrize("smallest_slice", [1, 1 << 20], ids=["cut", "shared"])
def test_a_read_with_a_region_but_no_position_is_counted(
    check, tmp_path, monkeypatch, smallest_slice
):
    """As samtools idxstats counts it; samtools view -c with a region passes over it."""
    monkeypatch.setattr("slices.SMALLEST_SLICE", smallest_slice)
    lines = [sam_line("no_position", "chr1", 1, flag=4), *reads("chr1", 20_000)]
    bam = build_bam(tmp_path / "no_position.bam", [("chr1", 300_000), ("chr2", 10)], lines)
    data = bytearray(gzip.decompress(bam.read_bytes()))
    position = data.index(b"no_position") - 28
    data[position : position + 4] = b"\xff" * 4
    blocks = [compress_block(data[at : at + 60_000]) for at in range(0, len(data), 60_000)]
    bam.write_bytes(b"".join([*blocks, compress_block(b"")]))
    assert "Region chr1: 20001\n" in check(bam)


@pytest.mark.parametrize(
    "flag", [256, 2048, 1024, 512], ids=["secondary", "supplementary", "duplicate", "QC-fail"]
)
def test_flagged_records_are_counted(check, tmp_path, flag):
    lines = reads("chr1", 3, flag=flag)
    assert "Region chr1: 3" in check(build_bam(tmp_path / "flagged.bam", TWO_CONTIGS, lines))


def test_sn_in_other_header_lines_is_no_region(check, tmp_path):
    header = [
        *header_lines(TWO_CONTIGS),
        "@RG\tID:SN:group\tSM:SN:sample",
        "@PG\tID:tool\tCL:tool SN:phantom x",
        "@CO\tsee\tSN:comment\t@SQ SN:other",
    ]
    bam = build_bam_from_lines(tmp_path / "phantoms.bam", header + reads("chr2", 2))
    assert check(bam) == "Region chr1: 0\nRegion chr2: 2\nTotal reads: 2"


def test_length_may_stand_before_the_name(check, tmp_path):
    header = ["@HD\tVN:1.6\tSO:coordinate", "@SQ\tLN:1000\tM5:0\tSN:chr1"]
    check(build_bam_from_lines(tmp_path / "ln_first.bam", header + reads("chr1", 2)))


def test_a_sorted_file_whose_header_says_unsorted(check, tmp_path):
    header = ["@HD\tVN:1.6\tSO:unsorted", "@SQ\tSN:chr1\tLN:1000"]
    check(build_bam_from_lines(tmp_path / "so_unsorted.bam", header + reads("chr1", 5)))


def test_contigs_in_another_order_than_the_headers(check, tmp_path):
    check(build_bam(tmp_path / "order.bam", TWO_CONTIGS, reads("chr2", 3) + reads("chr1", 2)))


def test_11003_contigs(check, tmp_path):
    contigs = [(f"S{n}", 500) for n in range(11_003)]
    lines = [line for n in range(0, 11_003, 7) for line in reads(f"S{n}", n % 3)]
    check(build_bam(tmp_path / "many.bam", contigs, lines))


def test_a_contig_longer_than_a_bai_can_hold(check, tmp_path):
    contigs = [("short", 1_000), ("long", 600_000_000)]
    lines = [*reads("short", 2), sam_line("far", "long", 599_999_000)]
    check(build_bam(tmp_path / "long.bam", contigs, lines), kind="csi")


def test_records_beyond_the_end_of_their_contig(check, tmp_path):
    check(build_bam(tmp_path / "beyond.bam", TWO_CONTIGS, [sam_line("read", "chr1", 50_000)]))


@pytest.mark.parametrize(
    "names",
    [
        ["HLA-A*01:01", "HLA-A*01:01:01", "HLA-A*01:01:01:01"],
        ["chr1", "chr1:1-100", "chr1:1"],
        ["gi|1234|ref", "a=b", "track", "browser"],
        ["#first", "one,two", "1,000", "-n", "--", "."],
        ["n" * 250, "n" * 249],
        ["unplaced*", "ref@1", "'quoted'", "$(id)", ";ls", "&"],
    ],
    ids=lambda names: names[0][:10],
)
def test_hostile_contig_names(check, tmp_path, names):
    contigs = [(name, 1_000) for name in names]
    lines = [line for n, name in enumerate(names) for line in reads(name, n + 1)]
    check(build_bam(tmp_path / "names.bam", contigs, lines))


def test_contig_name_that_is_not_utf8(check, tmp_path):
    name = b"chr\xe9".decode(errors="surrogateescape")
    check(build_bam(tmp_path / "latin1.bam", [(name, 1_000)], reads(name, 3)))


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
    bam = build_bam(tmp_path / "plain.bam", TWO_CONTIGS, reads("chr1", 3))
    check(bam.rename(tmp_path / name))


def test_a_file_name_that_htslib_takes_for_two(count, tmp_path):
    bam = build_bam(tmp_path / "plain.bam", TWO_CONTIGS, reads("chr1", 3))
    assert count(bam.rename(tmp_path / "a##idx##b.bam")).endswith("Total reads: 3")


def test_empty_blocks_inside_the_file(check, tmp_path):
    first = build_bam(tmp_path / "1.bam", TWO_CONTIGS, reads("chr1", 3))
    second = build_bam(tmp_path / "2.bam", TWO_CONTIGS, reads("chr2", 4))
    header_size = len(read_first_block(second))
    bam = tmp_path / "joined.bam"
    bam.write_bytes(first.read_bytes() + second.read_bytes()[header_size:])
    assert check(bam).endswith("Total reads: 7")


def read_first_block(bam: Path) -> bytes:
    data = bam.read_bytes()
    return data[: int.from_bytes(data[16:18], "little") + 1]


def test_two_end_of_file_blocks(check, tmp_path):
    bam = build_bam(tmp_path / "two_ends.bam", TWO_CONTIGS, reads("chr1", 3))
    bam.write_bytes(bam.read_bytes() + bam.read_bytes()[-28:])
    check(bam)


def test_a_block_with_another_extra_subfield_before_its_size(check, tmp_path, monkeypatch):
    """With more than one thread, samtools index (1.16.1) waits for itself on such a file."""
    monkeypatch.setattr("samtools.STALL_SECONDS", 1)
    bam = build_bam(tmp_path / "subfield.bam", TWO_CONTIGS, reads("chr1", 3))
    data = bam.read_bytes()
    at = len(read_first_block(bam))
    size = int.from_bytes(data[at + 16 : at + 18], "little") + 1
    subfield = b"XX\2\0ab"
    extra = subfield + b"BC\2\0" + (size + len(subfield) - 1).to_bytes(2, "little")
    head = data[at : at + 10] + len(extra).to_bytes(2, "little") + extra
    bam.write_bytes(data[:at] + head + data[at + 18 :])
    check(bam)


def test_many_end_of_file_blocks(check, tmp_path):
    bam = build_bam(tmp_path / "many_ends.bam", TWO_CONTIGS, [*reads("chr1", 3), sam_line("u")])
    bam.write_bytes(bam.read_bytes() + bam.read_bytes()[-28:] * 50_000)
    check(bam)


@pytest.mark.parametrize("name", ["a\vb", "a\fb", "a\x1cb", "a\x85b", "a\u2028b"])
def test_contig_names_that_python_takes_for_line_ends(count, tmp_path, name):
    bam = build_bam(tmp_path / "lines.bam", [(name, 1_000), ("chr2", 99)], reads(name, 3))
    assert count(bam) == f"Region {name}: 3\nRegion chr2: 0\nTotal reads: 3"
    assert count(bam, min_mapping_quality=1) == count(bam)


def test_a_large_contig_is_cut_and_still_counted_right(check, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("slices.SMALLEST_SHARE", 1)
    monkeypatch.setattr("slices.SMALLEST_SLICE", 1)
    lines = reads("chr1", 60_000) + reads("chr2", 100) + [sam_line("unplaced")]
    contigs = [("chr1", 1_000_000), ("chr2", 10_000)]
    check(build_bam(tmp_path / "large.bam", contigs, lines))
    calls = re.search(r"in calls: (\d+)", capsys.readouterr().out)
    assert int(calls[1]) > 4


def test_the_log_says_what_was_done(count, tmp_path, capsys):
    bam = build_bam(tmp_path / "ordinary.bam", TWO_CONTIGS, [*reads("chr1", 3), sam_line("u")])
    count(bam, index_bam(bam, tmp_path / "x.bai"))
    log = capsys.readouterr().out
    assert "Regions in the header of 'ordinary.bam': 2" in log
    assert "each region like samtools view -c ordinary.bam chr1, in calls: 1\n" in log
    assert "not in the total: 1" in log
    assert "Seconds to count: " in log


def test_long_work_shows_progress(count, tmp_path, capsys, monkeypatch, sabotage_samtools):
    monkeypatch.setattr("job_log.PROGRESS_SECONDS", 0.2)
    bam = build_bam(tmp_path / "slow.bam", TWO_CONTIGS, [*reads("chr1", 3), sam_line("u")])
    sabotage_samtools('[ "$1" = idxstats ] && sleep 1')
    count(bam)
    assert re.search(r"0 of 1 calls done, 0% of the file", capsys.readouterr().out)
