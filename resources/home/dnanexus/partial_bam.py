"""A file of a BAM's size and shape that holds only the parts of it that are needed.

    bam = verify_bam(fetch_ends(link))
    with hold_stretches(bam, call.stretches, "region 'chr1'") as held:
        run_cmd(["samtools", "view", "-c", "-X", str(held.path), ...])

Each byte that was fetched lies where it lies in the BAM, and the rest is a hole that takes no room
on the disk. So all virtual offsets stay true, and whatever works on a BAM works on such a file.

samtools must find everything it reads already there. What is read in Python (`Bam.open`) is fetched
when it is read, so the answers are those of the whole file.
"""

import fcntl
import io
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, BinaryIO, cast

import dxpy
from dxpy.utils.describe import get_size_str
from dxpy.utils.file_load_utils import get_input_dir

from bam_file import BLOCK_HEAD_SIZE, LARGEST_BLOCK, Bam, Stretch
from job_log import explain_limits, log, log_seconds
from remote_file import (
    CONNECTIONS,
    RANGE_SIZE,
    RemoteFile,
    fetch_range,
    find_remote_file,
    get_fetched_size,
)

# The header of a BAM of some thousand regions; the last records, and the block that ends every BAM.
HEAD_SIZE, TAIL_SIZE = 256 << 10, 64 << 10  # bytes
END_BLOCK_SIZE = 28  # bytes

# How many processes have asked for a turn, and which of them this one was.
_asked = multiprocessing.Value("L")
_place: int | None = None


@dataclass(frozen=True)
class PartialFile:
    """A sparse file of a remote file's size."""

    path: Path
    remote: RemoteFile
    held: list[tuple[int, int]] = field(default_factory=list)
    """The ranges that were fetched: begin and end, disjoint and in order."""

    def open(self) -> BinaryIO:
        """Open the file so that what is read and not held is fetched."""
        return cast(BinaryIO, _FetchingReader(self))

    def fetch(self, begin: int, end: int) -> None:
        """Fetch what is not yet held of a range; what lies behind the end of the file is left out.

        Raises:
            dxpy.AppError: it does not come.
        """
        for gap_begin, gap_end in self._find_gaps(begin, min(end, self.remote.size)):
            for at in range(gap_begin, gap_end, RANGE_SIZE):
                self._write(at, fetch_range(self.remote, at, min(at + RANGE_SIZE, gap_end)))

    def fetch_heads(self, addresses: Iterable[int]) -> None:
        """Fetch the heads of blocks, several at once: most of their time is latency.

        Raises:
            dxpy.AppError: one does not come.
        """
        ends = [(address, address + BLOCK_HEAD_SIZE) for address in sorted(addresses)]
        gaps = [gap for begin, end in ends for gap in self._find_gaps(begin, end)]
        with ThreadPoolExecutor(CONNECTIONS) as executor:
            fetched = executor.map(lambda gap: fetch_range(self.remote, *gap), gaps)
            for (begin, _), data in zip(gaps, fetched, strict=True):
                self._write(begin, data)

    def copy_ends(self, path: Path, header_end: int, part: str) -> "PartialFile":
        """Make another partial file of the same remote one, with the two ends that this one has.

        Args:
            path: the file to make.
            header_end: how many bytes of the beginning are needed.
            part: how an error names what will be fetched into it.
        """
        copy = PartialFile(path, self.remote._replace(part=part))
        copy.make()
        with self.open() as source:
            tail = max(0, self.remote.size - END_BLOCK_SIZE)
            for begin, end in [(0, header_end), (tail, self.remote.size)]:
                for gap_begin, gap_end in copy._find_gaps(begin, end):
                    source.seek(gap_begin)
                    copy._write(gap_begin, source.read(gap_end - gap_begin))
        return copy

    def make(self) -> None:
        """Make the file: all of it is a hole."""
        with self.path.open("wb") as target:
            target.truncate(self.remote.size)

    def _find_gaps(self, begin: int, end: int) -> list[tuple[int, int]]:
        """Return the ranges between two bytes that are not held."""
        gaps = []
        for held_begin, held_end in self.held:
            if begin < min(held_begin, end):
                gaps.append((begin, min(held_begin, end)))
            begin = max(begin, held_end)
        return [*gaps, (begin, end)] if begin < end else gaps

    def _write(self, begin: int, data: bytes) -> None:
        with self.path.open("r+b") as target:
            target.seek(begin)
            target.write(data)
        merged: list[tuple[int, int]] = []
        for one_begin, one_end in sorted([*self.held, (begin, begin + len(data))]):
            if merged and merged[-1][1] == one_begin:
                one_begin = merged.pop()[0]
            merged.append((one_begin, one_end))
        self.held[:] = merged


# Where a BAM is: all of it here, or a part.
BamFile = Path | PartialFile


class _FetchingReader(io.FileIO):
    """Reads a partial file, and fetches first what is not there."""

    def __init__(self, file: PartialFile) -> None:
        super().__init__(file.path, "rb")
        self._partial = file

    def read(self, size: int | None = -1, /) -> bytes:
        """Return `size` bytes, or fewer where the file ends; all that are left without a size."""
        begin = self.tell()
        end = self._partial.remote.size if size is None or size < 0 else begin + size
        # Who reads on from what is there will read on.
        if any(held_end == begin for _, held_end in self._partial.held):
            end = max(end, begin + LARGEST_BLOCK)
        self._partial.fetch(begin, end)
        return super().read(size) or b""


def fetch_inputs(bam: dict[str, Any], index: dict[str, Any] | None) -> tuple[BamFile, Path | None]:
    """Fetch the two ends of a BAM, and its index, if one is given; the parameters are links."""
    return fetch_ends(bam), fetch_index(index) if index else None


def fetch_ends(link: dict[str, Any]) -> PartialFile:
    """Make a partial file of a BAM that holds its two ends: the header, and the end block.

    It lies where dxpy.download_all_inputs would put the whole file.

    Raises:
        dxpy.AppError: they do not come, or the disk is full.
    """
    remote = find_remote_file(link)
    with log_seconds("fetch the header"), explain_limits(f"the header of {remote.name!r}"):
        file = PartialFile(_make_input_path("mappings_sorted_bam", remote.name), remote)
        file.make()
        file.fetch(0, HEAD_SIZE)
        file.fetch(max(0, remote.size - TAIL_SIZE), remote.size)
    return file


def fetch_index(link: dict[str, Any]) -> Path:
    """Download an index to where dxpy.download_all_inputs would put it, and return its path."""
    remote = find_remote_file(link)
    path = _make_input_path("mappings_sorted_bai", remote.name)
    with log_seconds("download the index"), explain_limits(repr(remote.name)):
        dxpy.download_dxfile(dxpy.DXFile(link), str(path))
    return path


def _make_input_path(field_name: str, name: str) -> Path:
    folder = Path(get_input_dir(), field_name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def log_fetched(bam: Bam) -> None:
    """Log how much of a partial BAM this job has fetched."""
    if bam.source:
        log(f"Fetched {get_fetched_size():,} of {bam.size:,} bytes of {bam.name!r}")


@contextmanager
def hold_stretches(bam: Bam, stretches: Sequence[Stretch], what: str) -> Iterator[Bam]:
    """Have the bytes of some stretches on the disk: all that counting them reads.

    Args:
        bam: a BAM, whole or partial. A whole one is yielded as it is.
        stretches: parts of it.
        what: how an error names them.

    Yields:
        The same BAM, in a file that is removed at the end.

    Raises:
        dxpy.AppError: they do not come.
    """
    if not isinstance(bam.source, PartialFile):
        yield bam
        return
    with NamedTemporaryFile(suffix=".bam") as file:
        block, within = divmod(bam.first_record, 1 << 16)
        header_end = min(block + (LARGEST_BLOCK if within else 0), bam.size)
        held = bam.source.copy_ends(Path(file.name), header_end, f" in {what}")
        with _take_turn(bam.source.path):
            for begin, end in stretches:
                # The block in which a stretch ends is read, too.
                held.fetch(begin >> 16, (end >> 16) + LARGEST_BLOCK)
        yield bam._replace(path=held.path, source=held)


@contextmanager
def _take_turn(file: Path) -> Iterator[None]:
    """Wait for a turn to fetch, of which there is one for each CPU.

    If all processes fetched at once, they would be done at once, and while all of them count the
    network would be idle. A turn is a lock on a byte, which ends with the process that has it.
    """
    global _place
    if _place is None:
        with _asked.get_lock():
            _place = _asked.value = _asked.value + 1
    with file.open("r+b") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX, 1, _place % multiprocessing.cpu_count())
        yield


def _forget_place() -> None:
    global _place
    _place = None


os.register_at_fork(after_in_child=_forget_place)


@contextmanager
def hold_whole(bam: Bam) -> Iterator[Bam]:
    """Have all of a BAM on the disk: what is partial is downloaded, and removed at the end."""
    if not isinstance(bam.source, PartialFile):
        yield bam
        return
    log(f"That needs all of {bam.name!r} on this machine: downloading {get_size_str(bam.size)}")
    with explain_limits(f"all of {bam.name!r}"), NamedTemporaryFile(suffix=".bam") as file:
        dxpy.download_dxfile(dxpy.DXFile(bam.source.remote.link), file.name)
        yield bam._replace(path=Path(file.name), source=None)
