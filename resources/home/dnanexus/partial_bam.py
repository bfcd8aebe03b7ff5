"""Fetches only the parts of a BAM file that are read, into a sparse file.

    bam = verify_bam(PartialFile.create(link))
    with bam.fetch(task.chunks, "region 'chr1'") as storage:
        run_cmd(["samtools", "view", "-c", "-X", str(storage.path), ...])

The sparse file has the BAM's size, and each fetched byte is at its position in the BAM. The rest
takes no disk space. So all virtual offsets are right, and samtools reads the file like the BAM.
What samtools reads must be fetched before; what Python reads (`open`) is fetched when it is read.
"""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import cpu_count, get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, cast

import dxpy
from dxpy.utils.file_load_utils import get_input_dir

from bam_file import LARGEST_BLOCK, Chunk, Storage
from job_log import explain_limits, log_seconds
from remote_file import RANGE_SIZE, RemoteFile

# Enough for the header with some thousand regions; for the last records and the end-of-file block.
HEAD_SIZE, TAIL_SIZE = 256 << 10, 64 << 10  # bytes


class PartialFile:
    """A storage that fetches the parts of a BAM that are read."""

    # While one process fetches its part of the BAM, another one counts.
    processes_per_cpu = 2

    def __init__(self, path: Path, remote: RemoteFile, what: str = "") -> None:
        """Make a sparse file in which nothing is fetched yet.

        Args:
            path: the file to make.
            remote: where its bytes are from.
            what: the name of its bytes in error messages.
        """
        self.path = path
        self._remote = remote
        self._what = what
        # Begin and end of the ranges that are fetched, disjoint and in order.
        self._fetched: list[tuple[int, int]] = []
        # Limits how many processes fetch at the same time. If all fetched at once, all would then
        # count at once, and the network would be idle.
        self._turns = get_context("fork").Semaphore(cpu_count())
        with path.open("wb") as file:
            file.truncate(remote.size)

    @classmethod
    def create(cls, link: dict[str, Any]) -> "PartialFile":
        """Fetch both ends of a BAM, to the path at which download_all_inputs would put the BAM.

        Raises:
            dxpy.AppError: fetching fails, or the disk is full.
        """
        remote = RemoteFile(link)
        with log_seconds("fetch the header"), explain_limits(f"the header of {remote.name!r}"):
            file = cls(_make_input_path("mappings_sorted_bam", remote.name), remote)
            file._fetch_range(0, HEAD_SIZE)
            file._fetch_range(max(0, remote.size - TAIL_SIZE), remote.size)
        return file

    def open(self) -> BinaryIO:
        """Open the BAM for reading; missing bytes are fetched when they are read."""
        return cast(BinaryIO, _FetchingReader(self))

    @contextmanager
    def fetch(self, chunks: Iterable[Chunk], what: str) -> Iterator[Storage]:
        """Fetch chunks into a file of their own, which is removed at the end.

        Args:
            chunks: parts of the BAM.
            what: their name in error messages.

        Raises:
            dxpy.AppError: fetching fails.
        """
        with TemporaryDirectory() as folder:
            # With the name of the BAM, because samtools names the file in its messages.
            copy = PartialFile(Path(folder) / self.path.name, self._remote, what)
            with self.path.open("rb") as source:
                for begin, end in self._fetched:
                    source.seek(begin)
                    copy._write(begin, source.read(end - begin))
            with self._turns:
                for chunk in chunks:
                    # The block in which a chunk ends is read, too.
                    copy._fetch_range(chunk.begin >> 16, (chunk.end >> 16) + LARGEST_BLOCK)
            yield copy

    def _fetch_range(self, begin: int, end: int) -> None:
        """Fetch what is missing between two bytes, up to the end of the file."""
        for gap_begin, gap_end in self._find_gaps(begin, min(end, self._remote.size)):
            for at in range(gap_begin, gap_end, RANGE_SIZE):
                data = self._remote.fetch(at, min(at + RANGE_SIZE, gap_end), self._what)
                self._write(at, data)

    def _find_gaps(self, begin: int, end: int) -> list[tuple[int, int]]:
        """Return the ranges between two bytes that are not fetched."""
        gaps = []
        for fetched_begin, fetched_end in self._fetched:
            if begin < min(fetched_begin, end):
                gaps.append((begin, min(fetched_begin, end)))
            begin = max(begin, fetched_end)
        return [*gaps, (begin, end)] if begin < end else gaps

    def _write(self, begin: int, data: bytes) -> None:
        with self.path.open("r+b") as target:
            target.seek(begin)
            target.write(data)
        merged: list[tuple[int, int]] = []
        for one_begin, one_end in sorted([*self._fetched, (begin, begin + len(data))]):
            if merged and merged[-1][1] == one_begin:
                one_begin = merged.pop()[0]
            merged.append((one_begin, one_end))
        self._fetched = merged


class _FetchingReader(io.FileIO):
    """Reads a partial file, after fetching what is missing."""

    def __init__(self, file: PartialFile) -> None:
        super().__init__(file.path, "rb")
        self._partial = file

    def read(self, size: int | None = -1, /) -> bytes:
        """Return `size` bytes, or all that are left."""
        begin = self.tell()
        end = self._partial._remote.size if size is None or size < 0 else begin + size
        # Sequential reader: fetch a whole block ahead.
        if any(fetched_end == begin for _, fetched_end in self._partial._fetched):
            end = max(end, begin + LARGEST_BLOCK)
        self._partial._fetch_range(begin, end)
        return super().read(size) or b""


def download_index(link: dict[str, Any]) -> Path:
    """Download an index to the path at which download_all_inputs would put it; return the path."""
    name = RemoteFile(link).name
    path = _make_input_path("mappings_sorted_bai", name)
    with log_seconds("download the index"), explain_limits(repr(name)):
        dxpy.download_dxfile(dxpy.DXFile(link), str(path))
    return path


def _make_input_path(field_name: str, name: str) -> Path:
    folder = Path(get_input_dir(), field_name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name
