"""Bad input: each ends in one AppError that names the file and what to do."""

import gzip
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import dxpy
import pytest

from bam_builder import (
    build_bam,
    build_bam_from_lines,
    compress_block,
    header_lines,
    index_bam,
    sam_line,
)
from bam_file import open_bam
from bam_index import read_index
from job_log import MORE_DISK, MORE_MEMORY
from outputs import write_outputs
from samtools import get_samtools_version, run_pipeline
from summary import CountSummary, RegionCount

CONTIGS = [("chr1", 300_000), ("chr2", 300_000), ("chr3", 300_000)]

SORT = "Sort it with samtools sort."
GIVE_A_BAM = "Give a BAM file sorted by coordinate; samtools sort makes one of SAM, BAM or CRAM."
UPLOAD_CHECKED = "Upload it again, from a copy that passes samtools quickcheck."
UPLOAD_READ = "Upload it again, from a copy that samtools view -c reads to its end."
REHEADER = "Write the file anew with samtools reheader."
ALIGN = "Give a BAM file of aligned reads."
WITHOUT_INDEX = "Upload it again, or count what is there without the index."


@pytest.fixture
def refuse(count):
    """Count a BAM that must be refused with this remedy; return the message."""

    def refuse_bam(bam: Path, remedy: str, index: Path | None = None) -> str:
        with pytest.raises(dxpy.AppError) as refusal:
            count(bam, index)
        message = str(refusal.value)
        print(f"AppError: {message}")
        assert repr(bam.name) in message
        assert message.endswith(f" {remedy}")
        assert "\n" not in message
        assert str(bam.parent) not in message
        return message

    return refuse_bam


@pytest.fixture
def bam(tmp_path) -> Path:
    """Three contigs with enough reads that each fills several blocks."""
    lines = [
        sam_line(f"{contig}_{n}", contig, 1 + n * 20, sequence="ACGT" * 25)
        for contig, _ in CONTIGS
        for n in range(2_000)
    ]
    return build_bam(tmp_path / "sample.bam", CONTIGS, lines)


def block_addresses(data: bytes) -> list[int]:
    addresses = [0]
    while addresses[-1] < len(data):
        size = int.from_bytes(data[addresses[-1] + 16 : addresses[-1] + 18], "little") + 1
        addresses.append(addresses[-1] + size)
    return addresses[:-1]


def corrupt_the_middle_of(contig: int, bam: Path, index: Path) -> None:
    """Overwrite some bytes in a block that holds records of one contig only."""
    begin, end = read_index(index, open_bam(bam)).extents[contig].stretch
    data = bytearray(bam.read_bytes())
    inside = [address for address in block_addresses(data) if begin >> 16 < address < end >> 16]
    middle = inside[len(inside) // 2]
    data[middle + 100 : middle + 110] = bytes(10)
    bam.write_bytes(data)


def test_an_empty_file(refuse, tmp_path):
    bam = tmp_path / "empty.bam"
    bam.touch()
    assert "is empty (0 bytes)" in refuse(bam, GIVE_A_BAM)


def test_a_text_file(refuse, tmp_path):
    bam = tmp_path / "text.bam"
    bam.write_text(">chr1 is FASTA\nACGT\n")
    assert "is not a BAM file" in refuse(bam, GIVE_A_BAM)


def test_an_ordinary_gzip_file(refuse, tmp_path):
    bam = tmp_path / "gzip.bam"
    bam.write_bytes(gzip.compress(b"some text"))
    assert "is an ordinary gzip file" in refuse(bam, GIVE_A_BAM)


def test_a_sam_file_compressed_in_blocks(refuse, tmp_path):
    bam = tmp_path / "sam_gz.bam"
    bam.write_bytes(compress_block("\n".join(header_lines(CONTIGS)).encode()))
    assert "but is something else" in refuse(bam, GIVE_A_BAM)


def test_a_sam_file(refuse, tmp_path):
    bam = tmp_path / "sam.bam"
    bam.write_text("\n".join(header_lines(CONTIGS)))
    assert "is SAM text" in refuse(bam, GIVE_A_BAM)


def test_a_cram_file(refuse, bam, tmp_path):
    cram = tmp_path / "cram.bam"
    options = ["-C", "--output-fmt-option", "no_ref=1"]
    subprocess.run(["samtools", "view", *options, "-o", cram, bam], check=True)
    assert "is a CRAM file" in refuse(cram, GIVE_A_BAM)


def test_cut_off_in_the_middle_of_a_block(refuse, bam):
    bam.write_bytes(bam.read_bytes()[:-5_000])
    assert "is cut off or damaged" in refuse(bam, UPLOAD_CHECKED)


def test_cut_off_within_the_header(refuse, bam):
    bam.write_bytes(bam.read_bytes()[:60])
    assert "within its header" in refuse(bam, GIVE_A_BAM)


def test_cut_off_at_a_block_within_a_record(refuse, tmp_path):
    lines = [sam_line(f"r{n}", "chr1", 1, sequence="ACGT" * 30_000) for n in range(3)]
    bam = build_bam(tmp_path / "long_reads.bam", CONTIGS, lines)
    data = bam.read_bytes()
    bam.write_bytes(data[: block_addresses(data)[3]] + data[-28:])
    assert "could not be indexed: it is damaged" in refuse(bam, UPLOAD_READ)


def test_no_end_of_file_block(refuse, bam):
    bam.write_bytes(bam.read_bytes()[:-28])
    assert "was missing EOF block" in refuse(bam, UPLOAD_CHECKED)


@pytest.mark.parametrize("with_index", [True, False], ids=["index given", "no index"])
def test_a_corrupt_block_names_the_region(refuse, bam, tmp_path, with_index):
    index = index_bam(bam, tmp_path / "good.bai")
    corrupt_the_middle_of(1, bam, index)
    assert "'chr2'" in refuse(bam, UPLOAD_READ, index if with_index else None)


@pytest.mark.parametrize(
    "places",
    [
        [("chr1", 500), ("chr1", 10)],
        [("chr1", 1), ("chr2", 1), ("chr1", 2)],
        [("*", 0), ("chr1", 1)],
    ],
    ids=["positions", "contigs", "unplaced first"],
)
def test_not_sorted(refuse, tmp_path, places):
    lines = [sam_line(f"read{n}", *place) for n, place in enumerate(places)]
    bam = build_bam(tmp_path / "unsorted.bam", CONTIGS, lines)
    assert "is not sorted by coordinate" in refuse(bam, SORT)


def test_cut_off_since_the_index_was_made(refuse, bam, tmp_path):
    index = index_bam(bam, tmp_path / "whole.bai")
    data = bam.read_bytes()
    addresses = block_addresses(data)
    bam.write_bytes(data[: addresses[len(addresses) // 2]] + data[-28:])
    assert "was cut off" in refuse(bam, WITHOUT_INDEX, index)


def test_no_regions_in_the_header(refuse, tmp_path):
    lines = ["@HD\tVN:1.6\tSO:unsorted", sam_line("unaligned")]
    bam = build_bam_from_lines(tmp_path / "unaligned.bam", lines)
    assert "has no @SQ line" in refuse(bam, ALIGN)


def test_a_header_that_contradicts_itself(refuse, tmp_path):
    bam = build_bam(tmp_path / "contradiction.bam", [("chr1", 9), ("chr2", 9)])
    data = bam.read_bytes()
    first_block = data[: block_addresses(data)[1]]
    header = gzip.decompress(first_block)
    renamed = header.replace(b"SN:chr2", b"SN:chrX", 1)
    bam.write_bytes(compress_block(renamed) + data[len(first_block) :])
    assert "contradicts itself" in refuse(bam, REHEADER)


def test_samtools_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(dxpy.AppError, match=r"samtools is not installed .* apt-get install"):
        get_samtools_version()


@pytest.mark.parametrize(
    ("subcommand", "said"),
    [
        ("idxstats", "could not be counted in the 3 regions from 'chr1' to 'chr3'"),
        ("view -c", "could not be counted in region 'chr"),
        ("index", "could not be indexed"),
    ],
)
@pytest.mark.parametrize(("signal", "name"), [("9", "SIGKILL"), ("35", "signal 35")])
def test_samtools_is_killed(
    refuse, bam, sabotage_samtools, monkeypatch, subcommand, said, signal, name
):
    if subcommand == "view -c":
        monkeypatch.setattr("slices.SMALLEST_SLICE", 1)
    suicide = f"import os; os.kill(os.getpid(), {signal})"
    sabotage_samtools(f'case "$*" in "{subcommand} "*) exec python3 -c "{suicide}";; esac')
    message = refuse(bam, MORE_MEMORY)
    assert said in message
    assert f"samtools was killed by {name}" in message


def test_a_killed_samtools_does_not_have_the_file_counted_again(
    count, bam, tmp_path, sabotage_samtools, capsys
):
    sabotage_samtools('[ "$1" = idxstats ] && kill -9 $$')
    with pytest.raises(dxpy.AppError, match="killed by SIGKILL"):
        count(bam, index_bam(bam, tmp_path / "good.bai"))
    log = capsys.readouterr().out
    assert "is not used" not in log
    assert log.count("Counting each region") == 1


def test_a_process_of_the_pool_is_killed(count, bam, monkeypatch, sabotage_samtools):
    monkeypatch.setattr("job_log.PROGRESS_SECONDS", 0.2)
    sabotage_samtools('[ "$1" = idxstats ] && kill -9 $PPID && sleep 1')
    with pytest.raises(dxpy.AppError, match=f"process was killed.* {re.escape(MORE_MEMORY)}"):
        count(bam)


def test_samtools_index_that_waits_for_itself_is_run_with_one_thread(
    count, bam, monkeypatch, sabotage_samtools
):
    monkeypatch.setattr("samtools.STALL_SECONDS", 0.3)
    monkeypatch.setattr("samtools.STALL_SHARE", 0.1)
    sabotage_samtools('case "$*" in "index -b -@ 0 "*) ;; index*) exec sleep 100;; esac')
    monkeypatch.setattr("applet.cpu_count", lambda: 3)
    assert count(bam).endswith("Total reads: 6000")


def test_a_call_that_makes_no_progress_ends(refuse, bam, monkeypatch, sabotage_samtools):
    monkeypatch.setattr("samtools.STALL_SECONDS", 0.3)
    monkeypatch.setattr("samtools.STALL_SHARE", 0.1)
    sabotage_samtools('[ "$1" = idxstats ] && exec sleep 100')
    assert "samtools made no progress for 0.3 seconds" in refuse(bam, MORE_MEMORY)


def test_too_few_files_may_be_open(tmp_path, bam):
    """In a process of its own, because the limit would stay."""
    index = index_bam(bam, tmp_path / "x.bai")
    code = (
        "import resource, sys, applet, dxpy\n"
        "from pathlib import Path\n"
        "applet.download_inputs = lambda _: tuple(map(Path, sys.argv[1:]))\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))\n"
        "try:\n    applet.main({}, {'given': True})\n"
        "except dxpy.AppError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, bam, index],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1].startswith("Too many files are open for ")
    assert done.stderr == ""


def test_the_disk_is_full_when_an_index_is_built(refuse, bam, small_disk, monkeypatch):
    (small_disk / "filler").write_bytes(bytes(65_536))
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    assert "No space left on the disk for the index" in refuse(bam, MORE_DISK)


def test_the_disk_is_full_when_a_slice_index_is_written(
    refuse, bam, tmp_path, small_disk, monkeypatch
):
    index = index_bam(bam, tmp_path / "x.bai")
    (small_disk / "filler").write_bytes(bytes(65_536))
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    monkeypatch.setattr("slices.SMALLEST_SLICE", 1)
    assert "No space left on the disk for counting" in refuse(bam, MORE_DISK, index)


def test_the_disk_is_full_when_the_output_files_are_written(small_disk):
    regions = [RegionCount(f"a_region_with_a_long_name_{n}", 1, 0) for n in range(5_000)]
    summary = CountSummary("sample", "sample", "none", "", regions, 0, "", "", "")
    with pytest.raises(dxpy.AppError, match=r"No space left on the disk for the output files\. R"):
        write_outputs(small_disk, summary)


def test_an_error_on_stderr_is_a_failure_though_samtools_exits_with_0(
    refuse, bam, sabotage_samtools
):
    sabotage_samtools('[ "$1" = idxstats ] && echo "[E::x] unknown reference name" >&2')
    assert 'samtools says: "[E::x] unknown reference name"' in refuse(bam, UPLOAD_READ)


def test_what_cannot_be_fed_whole_is_a_failure_though_samtools_exits_with_0():
    def feed_half(target):
        target.write(b"half")
        raise zlib.error("the block is damaged")

    result = run_pipeline([["cat"]], feed_half)
    assert result == ("half", "the block is damaged\n", 1, False)
