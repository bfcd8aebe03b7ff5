"""Bad input: each ends in one AppError that names the file and what to do."""

import gzip
import struct
import subprocess
import zlib
from pathlib import Path

import dxpy
import pytest

import applet
from bam_builder import build_bam, build_bam_from_lines, header_lines, index_bam, sam_line
from bam_index import BamHeader, read_index
from filters import Filters

CONTIGS = [("chr1", 300_000), ("chr2", 300_000), ("chr3", 300_000)]
REMEDIES = ("samtools ", "Upload it again", "Give a ", "Run the applet", "instance type")


@pytest.fixture
def refuse(count):
    """Count a BAM that must be refused; return the message."""

    def refuse_bam(bam: Path, index: Path | None = None) -> str:
        with pytest.raises(dxpy.AppError) as refusal:
            count(bam, index)
        message = str(refusal.value)
        print(f"AppError: {message}")
        assert repr(bam.name) in message
        assert any(remedy in message for remedy in REMEDIES)
        assert "Traceback" not in message
        assert "\n" not in message
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


def compress_block(data: bytes) -> bytes:
    """Return one BGZF block ("Sequence Alignment/Map Format Specification", 4.1)."""
    compressor = zlib.compressobj(wbits=-15)
    deflated = compressor.compress(data) + compressor.flush()
    size = len(deflated) + 26
    head = b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff\x06\x00BC\x02\x00" + struct.pack("<H", size - 1)
    return head + deflated + struct.pack("<II", zlib.crc32(data), len(data))


def corrupt_the_middle_of(contig: int, bam: Path, index: Path) -> None:
    """Overwrite some bytes in a block that holds records of one contig only."""
    begin, end = read_index(index).extents[contig].stretch
    data = bytearray(bam.read_bytes())
    inside = [address for address in block_addresses(data) if begin >> 16 < address < end >> 16]
    middle = inside[len(inside) // 2]
    data[middle + 100 : middle + 110] = bytes(10)
    bam.write_bytes(data)


def test_an_empty_file(refuse, tmp_path):
    bam = tmp_path / "empty.bam"
    bam.touch()
    assert "is empty (0 bytes)" in refuse(bam)


def test_a_text_file(refuse, tmp_path):
    bam = tmp_path / "text.bam"
    bam.write_text(">chr1 is FASTA\nACGT\n")
    assert "is not a BAM file" in refuse(bam)


def test_an_ordinary_gzip_file(refuse, tmp_path):
    bam = tmp_path / "gzip.bam"
    bam.write_bytes(gzip.compress(b"some text"))
    assert "is an ordinary gzip file" in refuse(bam)


def test_a_sam_file_compressed_in_blocks(refuse, tmp_path):
    bam = tmp_path / "sam_gz.bam"
    bam.write_bytes(compress_block("\n".join(header_lines(CONTIGS)).encode()))
    assert "but is something else" in refuse(bam)


def test_a_sam_file(refuse, tmp_path):
    bam = tmp_path / "sam.bam"
    bam.write_text("\n".join(header_lines(CONTIGS)))
    assert "is SAM text" in refuse(bam)


def test_a_cram_file(refuse, bam, tmp_path):
    cram = tmp_path / "cram.bam"
    options = ["-C", "--output-fmt-option", "no_ref=1"]
    subprocess.run(["samtools", "view", *options, "-o", cram, bam], check=True)
    assert "is a CRAM file" in refuse(cram)


def test_cut_off_in_the_middle_of_a_block(refuse, bam):
    bam.write_bytes(bam.read_bytes()[:-5_000])
    assert "is cut off or damaged" in refuse(bam)


def test_cut_off_within_the_header(refuse, bam):
    bam.write_bytes(bam.read_bytes()[:60])
    assert "within its header" in refuse(bam)


def test_cut_off_at_a_block_within_a_record(refuse, tmp_path):
    lines = [sam_line(f"r{n}", "chr1", 1, sequence="ACGT" * 30_000) for n in range(3)]
    bam = build_bam(tmp_path / "long_reads.bam", CONTIGS, lines)
    data = bam.read_bytes()
    bam.write_bytes(data[: block_addresses(data)[3]] + data[-28:])
    assert "could not be indexed: it is damaged" in refuse(bam)


def test_no_end_of_file_block(refuse, bam):
    bam.write_bytes(bam.read_bytes()[:-28])
    assert "was missing EOF block" in refuse(bam)


@pytest.mark.parametrize("with_index", [True, False], ids=["index given", "no index"])
def test_a_corrupt_block_names_the_region(refuse, bam, tmp_path, with_index):
    index = index_bam(bam, tmp_path / "good.bai")
    corrupt_the_middle_of(1, bam, index)
    assert "'chr2'" in refuse(bam, index if with_index else None)


@pytest.mark.parametrize(
    "places",
    [
        [("chr1", 500), ("chr1", 10)],
        [("chr1", 1), ("chr2", 1), ("chr1", 2)],
        [("*", 0), ("chr1", 1)],
    ],
    ids=["positions", "contigs", "unplaced first"],
)
@pytest.mark.parametrize("with_index", [True, False], ids=["index given", "no index"])
def test_not_sorted(refuse, tmp_path, places, with_index):
    lines = [sam_line(f"read{n}", *place) for n, place in enumerate(places)]
    bam = build_bam(tmp_path / "unsorted.bam", CONTIGS, lines)
    index = None
    if with_index:
        subprocess.run(["samtools", "sort", "-o", tmp_path / "sorted.bam", bam], check=True)
        index = index_bam(tmp_path / "sorted.bam", tmp_path / "sorted.bai")
    assert "is not sorted by coordinate" in refuse(bam, index)


def test_no_regions_in_the_header(refuse, tmp_path):
    lines = ["@HD\tVN:1.6\tSO:unsorted", sam_line("unaligned")]
    assert "has no @SQ line" in refuse(build_bam_from_lines(tmp_path / "unaligned.bam", lines))


def test_a_header_that_contradicts_itself(refuse, tmp_path):
    bam = build_bam(tmp_path / "contradiction.bam", [("chr1", 9), ("chr2", 9)])
    data = bam.read_bytes()
    first_block = data[: block_addresses(data)[1]]
    header = gzip.decompress(first_block)
    renamed = header.replace(b"SN:chr2", b"SN:chrX", 1)
    bam.write_bytes(compress_block(renamed) + data[len(first_block) :])
    assert "contradicts itself" in refuse(bam)


def test_samtools_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(dxpy.AppError, match=r"samtools is not installed .* apt-get install"):
        applet.get_samtools_version()


@pytest.mark.parametrize(
    ("subcommand", "said"),
    [
        ("view -c", "could not be counted in the 3 regions from 'chr1' to 'chr3'"),
        ("index -b", "could not be indexed"),
    ],
)
def test_samtools_is_killed(refuse, bam, sabotage_samtools, subcommand, said):
    sabotage_samtools(f'[ "$1 $2" = "{subcommand}" ] && kill -9 $$')
    message = refuse(bam)
    assert said in message
    assert "killed by SIGKILL" in message


def test_a_process_of_the_pool_is_killed(count, bam, monkeypatch, sabotage_samtools):
    monkeypatch.setattr("applet.PROGRESS_SECONDS", 0.2)
    sabotage_samtools('[ "$2" = -c ] && kill -9 $PPID && sleep 1')
    with pytest.raises(dxpy.AppError, match="process was killed"):
        count(bam)


@pytest.mark.parametrize(
    ("size", "what"), [(65_536, "for the index"), (60_000, "slice")], ids=["index", "slices"]
)
def test_the_disk_is_full_when_an_index_is_written(refuse, bam, small_disk, tmp_path, size, what):
    (small_disk / "filler").write_bytes(bytes(size))
    (tmp_path / "work").symlink_to(small_disk)
    message = refuse(bam)
    assert "No space left on" in message
    assert what in message


def test_the_disk_is_full_when_the_output_files_are_written(small_disk, tmp_path):
    header = BamHeader([f"a_region_with_a_long_name_{n}" for n in range(5_000)], [1] * 5_000, 0)
    bam = tmp_path / "sample.bam"
    summary = applet.summarize(
        bam.name, header, applet.Counter(), Filters(), count_from_index=False
    )
    with pytest.raises(dxpy.AppError, match=r"No space left on the disk for the output files\. R"):
        applet.write_outputs(small_disk, summary)
