"""Splits the workload into tasks: runs of samtools, each on one or more chunks of the BAM file.

Counting should cost about one pass over the file, shared evenly by all CPUs, whatever the regions
look like. So large regions are cut into chunks, and there are two kinds of task:

- A `ViewTask` counts one chunk of one region with samtools view -c. The chunk begins and ends at a
  record of the region. A sorted file has only records of that region between two of them, so
  samtools, which stops at the first record of another region, reads the chunk to its end.
- An `IdxstatsTask` counts chunks of several regions: small regions, and both ends of large ones.
  samtools idxstats reads them through a pipe, and counts the records by region.

Together, the tasks read every record exactly once. So a wrong index makes counting slow, or the job
fails, but no count is wrong.

    for task in split_workload(bam, index, cpus=4, machines=1)[0]:
        with bam.fetch(task.chunks, task.describe(bam)) as storage:
            counts = task.parse(bam, task.run(bam, storage, filters))
"""

import heapq
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NamedTuple

from bam_file import UNPLACED, Bam, Chunk, Storage, copy_chunks, has_no_data_from, read_reference_id
from bam_index import BamIndex, BamIndexError
from options import Filters
from processes import CommandResult, run_cmd

# While the last task runs, all other CPUs may be idle. So the more CPUs there are, the smaller a
# task must be, but not so small that the start of samtools matters (5 ms, the time to read 1 MB).
TASKS_PER_OTHER_CPU = 20
SMALLEST_TASK = 12 << 20  # compressed bytes

# A task that is fetched needs this much disk. Larger tasks would not be faster.
LARGEST_TASK = 256 << 20  # compressed bytes

# A chunk gets a ViewTask if copying it into the pipe of an IdxstatsTask would cost more than
# starting samtools.
SMALLEST_CHUNK = 2 << 20  # compressed bytes

# A large task that cannot be cut gets more threads, which decompress. One thread still has to read
# all records, a third of the work, so a fifth thread would not help (measured).
MOST_THREADS = 4

# In the index of a chunk, bin 0 covers every position, however long the region is.
_MIN_SHIFT, _DEPTH = 40, 0


class ViewTask(NamedTuple):
    """Counts a chunk that begins and ends at records of one region, with samtools view -c."""

    chunks: list[Chunk]
    """The one chunk."""
    number: int
    """Of the region."""

    @property
    def size(self) -> int:
        """How much of the file the task reads, in compressed bytes."""
        return self.chunks[0].size

    def describe(self, bam: Bam) -> str:
        """Return the name of the task in messages."""
        return f"region {bam.regions[self.number]!r}"

    def run(self, bam: Bam, storage: Storage, filters: Filters) -> CommandResult:
        """Run samtools view -c with an index of the chunk."""
        region = bam.regions[self.number]
        with NamedTemporaryFile(suffix=".csi") as file:
            index = Path(file.name)
            write_chunk_index(index, self.number, self.chunks[0])
            return run_cmd(create_region_view_cmd(storage.path, index, region, filters))

    def parse(self, bam: Bam, stdout: str) -> dict[int, int]:  # noqa: ARG002 - one number only
        """Return the number of records, by region number."""
        return {self.number: int(stdout)}


class IdxstatsTask(NamedTuple):
    """Counts chunks of several regions by region, with samtools idxstats."""

    chunks: list[Chunk]
    """In file order."""
    numbers: list[int]
    """Of the regions that the index lists there; UNPLACED for the unplaced reads."""
    threads: int = 1
    """More than one if a large chunk cannot be cut."""

    @property
    def size(self) -> int:
        """How much of the file the task reads, in compressed bytes."""
        return sum(chunk.size for chunk in self.chunks)

    def describe(self, bam: Bam) -> str:
        """Return the name of the task in messages."""
        regions = [bam.regions[number] for number in self.numbers if number != UNPLACED]
        names = [f"region {region!r}" for region in regions]
        if len(regions) > 1:
            names = [f"the {len(regions):,} regions from {regions[0]!r} to {regions[-1]!r}"]
        if UNPLACED in self.numbers:
            names.append("the unplaced reads")
        return " and ".join(names)

    def run(self, bam: Bam, storage: Storage, filters: Filters) -> CommandResult:
        """Run samtools idxstats on a copy of the chunks."""
        feed = partial(copy_chunks, bam, storage, self.chunks)
        return run_cmd(create_idxstats_cmd(filters, self.threads), feed)

    def parse(self, bam: Bam, stdout: str) -> dict[int, int]:
        """Return the numbers of records, by region number; that of UNPLACED is the unplaced reads.

        samtools prints a row for each region of the header, and one for the unplaced reads: name,
        length, number of mapped and of unmapped records.

        Raises:
            ValueError: the rows are not those of the header.
        """
        *rows, unplaced = stdout.removesuffix("\n").split("\n")
        counts = {UNPLACED: int(unplaced.removeprefix("*\t0\t0\t"))}
        for number, (row, empty_row) in enumerate(zip(rows, bam.empty_rows, strict=True)):
            if row != empty_row:
                region, mapped, unmapped = row.rsplit("\t", 2)
                if region != empty_row.removesuffix("\t0\t0"):
                    raise ValueError(f"row {number + 1} is {row!r}")
                counts[number] = int(mapped) + int(unmapped)
        return counts


Task = ViewTask | IdxstatsTask


def create_region_view_cmd(bam: Path, index: Path, region: str, filters: Filters) -> list[str]:
    """Return the command that counts the records of a region.

    Args:
        bam: the BAM file.
        index: an index of the file or of a chunk of it; with -X it may be in any folder.
        region: its name. In braces, samtools reads all of it as a name. Without braces,
            HLA-A*01:01 could also mean base 1 of a region HLA-A*01.
        filters: which records to count.
    """
    options = ["-c", *filters.view_options]
    return ["samtools", "view", *options, "-X", "--", str(bam), str(index), f"{{{region}}}"]


def create_idxstats_cmd(filters: Filters, threads: int) -> list[str]:
    """Return the command that counts records by region, of a BAM that it reads from a pipe."""
    options = ["-@", str(threads)] if threads > 1 else []
    if filters.expression:
        options += ["--input-fmt-option", f"filter={filters.expression}"]
    return ["samtools", "idxstats", *options, "-"]


def split_workload(bam: Bam, index: BamIndex, cpus: int, machines: int) -> list[list[Task]]:
    """Split the workload into a share of tasks for each machine.

    The tasks cover the file from the end of the header to the end of the file, without overlap.

    Args:
        bam: the file.
        index: of the file.
        cpus: of each machine.
        machines: how many there are. If there are fewer tasks, there are fewer shares.

    Returns:
        The shares, about equal in size; the largest tasks of each come first.
    """
    task_size = get_task_size(bam.size, cpus, machines)
    view_tasks: list[Task] = []
    idxstats_chunks: list[tuple[Chunk, int]] = []
    for chunk, number in index.sort_chunks():
        starts = index.record_starts[number] if chunk.size >= SMALLEST_CHUNK else ()
        first, *inner, last = cut_chunk(chunk, starts, task_size)
        if inner and Chunk(first.end, last.begin).size >= SMALLEST_CHUNK:
            view_tasks += [ViewTask([one], number) for one in inner]
            idxstats_chunks += [(first, number), (last, number)]
        else:
            idxstats_chunks.append((chunk, number))
    idxstats_chunks.append((Chunk(index.get_end(bam), bam.records.end), UNPLACED))
    tasks = view_tasks + _group(idxstats_chunks, task_size, cpus)
    return _share(sorted(tasks, key=lambda task: task.size, reverse=True), machines)


def get_task_size(size: int, cpus: int, machines: int) -> float:
    """Return the wanted maximum size of a task, in compressed bytes, for a file of this size.

    Every machine should have something to do.
    """
    other_cpus = max(1, cpus * machines - 1)
    task_size = size / (other_cpus * TASKS_PER_OTHER_CPU)
    task_size = min(max(task_size, SMALLEST_TASK), LARGEST_TASK)
    return task_size if machines == 1 else min(task_size, size / machines)


def cut_chunk(chunk: Chunk, record_starts: Iterable[int], size: float) -> list[Chunk]:
    """Cut the chunk of a region at record starts.

    Args:
        chunk: what to cut.
        record_starts: virtual offsets of records, in any order; those outside are ignored.
        size: the largest wanted size, in compressed bytes.

    Returns:
        Chunks that together are the chunk: one up to the first record start inside, some of equal
        size, as nearly as the record starts allow, and one from the last record start on.
    """
    starts = sorted(record_starts)
    starts = starts[bisect_right(starts, chunk.begin) : bisect_left(starts, chunk.end)]
    if not starts:
        return [chunk, Chunk(chunk.end, chunk.end)]
    inner = Chunk(starts[0], starts[-1])
    wanted = max(1, -(-inner.size // max(1, int(size))))
    cuts = [inner.begin]
    for number in range(1, wanted + 1):
        at = bisect_left(starts, inner.begin + ((inner.size * number // wanted) << 16))
        cut = starts[at] if number < wanted else inner.end
        if cut > cuts[-1]:
            cuts.append(cut)
    ends = [*cuts, chunk.end]
    return [Chunk(*pair) for pair in zip([chunk.begin, *cuts], ends, strict=True)]


def _group(numbered: Iterable[tuple[Chunk, int]], task_size: float, cpus: int) -> list[Task]:
    """Group chunks, each with the number of its region, into tasks of at most a size."""
    tasks: list[IdxstatsTask] = []
    size = 0
    for chunk, number in numbered:
        if not tasks or size + chunk.size > task_size:
            threads = min(max(1, round(chunk.size / task_size)), cpus, MOST_THREADS)
            tasks.append(IdxstatsTask([chunk], [number], threads))
            size = chunk.size
            continue
        size += chunk.size
        chunks, numbers = tasks[-1].chunks, tasks[-1].numbers
        if chunks[-1].end == chunk.begin:
            chunks[-1] = Chunk(chunks[-1].begin, chunk.end)
        else:
            chunks.append(chunk)
        if number != numbers[-1]:
            numbers.append(number)
    return list(tasks)


def _share(tasks: Sequence[Task], machines: int) -> list[list[Task]]:
    """Share tasks among machines, the largest first: each goes to the smallest share so far."""
    shares: list[list[Task]] = [[] for _ in range(min(machines, len(tasks)))]
    sizes = [(0, number) for number in range(len(shares))]
    for task in tasks:
        size, number = sizes[0]
        shares[number].append(task)
        heapq.heapreplace(sizes, (size + task.size, number))
    return shares


def write_chunk_index(path: Path, number: int, chunk: Chunk) -> None:
    """Write an index that lists only one chunk of one region.

    It is an uncompressed CSI index, in which the region has only bin 0, with only this chunk. So
    samtools reads exactly the records that begin in the chunk. Loading the whole index would take
    three quarters of the time of a small task.

    Args:
        path: the file to write.
        number: of the region.
        chunk: the chunk.
    """
    head = struct.pack("<4siiii", b"CSI\1", _MIN_SHIFT, _DEPTH, 0, number + 1)
    bins = struct.pack("<iIQiQQ", 1, 0, chunk.begin, 1, chunk.begin, chunk.end)
    path.write_bytes(head + bytes(4 * number) + bins + bytes(8))


def check_chunk_ends(bam: Bam, storage: Storage, task: Task) -> None:
    """Check that each chunk of a task begins and ends at a record, in a ViewTask of its region.

    Raises:
        BamIndexError: a chunk begins or ends elsewhere.
        DamagedBamError: a block is damaged.
    """
    region = task.number if isinstance(task, ViewTask) else None
    with storage.open() as file:
        for offset in sorted({offset for chunk in task.chunks for offset in chunk}):
            number = read_reference_id(file, offset)
            if number is None and has_no_data_from(file, offset):
                continue
            if number is None or region not in (None, number):
                what = "a record" if region is None else f"a record of {task.describe(bam)}"
                raise BamIndexError(
                    f"it lists {what} at byte {offset >> 16:,}, where there is none"
                )
