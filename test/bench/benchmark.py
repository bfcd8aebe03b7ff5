"""Compare the applet's counting with other ways, in one run: `make bench`.

Each way is run several times, all ways in turn, and the median is taken, so that whatever else the
machine does meets them alike. The times are of counting only: from the files on disk to the counts.
"""

import argparse
import contextlib
import heapq
import io
import multiprocessing
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest import mock

import applet
import tutorial
from bam_file import Bam, Chunk, WholeFile, open_bam
from bam_index import BamIndex, read_index
from layouts import layout_bam
from options import Filters
from outputs import write_counts
from processes import run_cmd
from samtools import verify_bam
from summary import CountSummary
from tasks import Task, split_workload

CPUS = multiprocessing.cpu_count()

FORWARD = Filters(min_mapping_quality=30, exclude_flags=2308 + 16)

Way = Callable[[Path, Path], int | None]
"""Counts a BAM by its index; returns the total of placed records, or None if it tells none."""


def count_with_applet(bam: Path, index: Path) -> int:
    """Count as the applet does."""
    return _run_applet(bam, index)


def take_counts_from_index(bam: Path, index: Path) -> int:
    """Count as the applet does with count_from_index."""
    return _run_applet(bam, index, count_from_index=True)


def count_filtered_with_applet(bam: Path, index: Path) -> None:
    """Count forward reads of good quality as the applet does."""
    quality, require, exclude = FORWARD
    inputs = {"require_flags": str(require), "exclude_flags": str(exclude)}
    _run_applet(bam, index, min_mapping_quality=quality, **inputs)


def count_filtered_in_one_pass(bam: Path, index: Path) -> None:  # noqa: ARG001 - reads the whole file
    """Count forward reads of good quality with one samtools view -c."""
    run_cmd(["samtools", "view", "-c", *FORWARD.view_options, "-@", str(CPUS - 1), str(bam)])


def _run_applet(bam: Path, index: Path, **inputs: int | str) -> int:
    """Do what the applet's main does, from its inputs on disk to the count file."""
    totals: list[int] = []

    def write_count_file(folder: Path, summary: CountSummary) -> dict[str, Path]:
        totals.append(summary.whole.records)
        return {"count_file": write_counts(folder / "counts.txt", summary)}

    applet.download_inputs = lambda *_: (verify_bam(WholeFile(bam)), index)
    applet.write_outputs = write_count_file
    applet.upload_outputs = lambda *_: {}
    with contextlib.redirect_stdout(io.StringIO()):
        applet.main({}, {"given": True}, **inputs)
    return totals[0]


def count_like_the_tutorial(bam: Path, index: Path) -> None:
    """Run the tutorial's applet, from its inputs on disk to its count file.

    It tells no total: it loses the records of regions with ambiguous names.
    """
    before = Path.cwd()
    with TemporaryDirectory() as folder:
        paths = [Path(folder, "in", path.name) for path in (bam, index)]
        paths[0].parent.mkdir()
        for link, path in zip(paths, (bam, index), strict=True):
            link.symlink_to(path.absolute())
        names = ("mappings_sorted_bam_path", "mappings_sorted_bai_path")
        inputs = {name: [str(path)] for name, path in zip(names, paths, strict=True)}
        os.chdir(folder)
        with (
            mock.patch("dxpy.download_all_inputs", return_value=inputs),
            mock.patch("dxpy.upload_local_file", return_value="file-" + 24 * "x"),
        ):
            tutorial.main({}, {})
        os.chdir(before)


def count_in_one_pass(bam: Path, index: Path) -> int:
    """Count the whole file with one samtools view -c, less the unplaced reads."""
    threads = str(CPUS - 1)
    whole = int(run_cmd(["samtools", "view", "-c", "-@", threads, str(bam)]).stdout)
    return whole - read_index(index, open_bam(WholeFile(bam))).unplaced


def count_with_idxstats(bam: Path, index: Path) -> int:  # noqa: ARG001 - found beside the BAM
    """Read the index with samtools idxstats."""
    rows = [
        line.split("\t") for line in run_cmd(["samtools", "idxstats", str(bam)]).stdout.split("\n")
    ]
    return sum(int(row[2]) + int(row[3]) for row in rows if row[0] not in ("", "*"))


def count_with_sambamba(bam: Path, index: Path) -> int:
    """Count the whole file with sambamba view -c, less the unplaced reads."""
    command = ["sambamba", "view", "-q", "-c", "-t", str(CPUS), str(bam)]
    return int(run_cmd(command).stdout) - (
        read_index(index, open_bam(WholeFile(bam))).unplaced or 0
    )


def measure_depth_with_mosdepth(bam: Path, index: Path) -> None:  # noqa: ARG001
    """Measure depth by region with mosdepth; it tells no counts."""
    with TemporaryDirectory() as folder:
        command = ["mosdepth", "-n", "-x", "-t", str(CPUS - 1), f"{folder}/x", str(bam)]
        subprocess.run(command, check=True, capture_output=True)


WAYS: dict[str, Way] = {
    "applet": count_with_applet,
    "one pass": count_in_one_pass,
    "tutorial": count_like_the_tutorial,
    "from index": take_counts_from_index,
    "filtered": count_filtered_with_applet,
    "filtered pass": count_filtered_in_one_pass,
    "idxstats": count_with_idxstats,
    "sambamba": count_with_sambamba,
    "mosdepth": measure_depth_with_mosdepth,
}


class Bar(NamedTuple):
    """A ratio of two medians that should not be exceeded."""

    way: str
    other: str
    most: float


class Case(NamedTuple):
    """A BAM to measure on."""

    layout: str
    millions: float
    bars: list[Bar]
    slow_ways: bool = True
    """Whether ways that cost minutes are run on it, too."""


CASES = [
    Case("25_contigs", 10, [Bar("applet", "one pass", 0.65)], slow_ways=False),
    Case("3366_contigs", 10, [Bar("applet", "one pass", 0.65)], slow_ways=False),
    Case(
        "3366_contigs",
        2,
        [
            Bar("applet", "one pass", 1.0),
            Bar("applet", "tutorial", 1 / 50),
            Bar("from index", "idxstats", 5),
            Bar("filtered", "filtered pass", 2),
        ],
    ),
    Case("1_contig", 10, [Bar("applet", "tutorial", 1 / 1.7)]),
    Case("11000_contigs", 0.2, [Bar("applet", "tutorial", 1 / 100)]),
]


def measure(case: Case, bam: Path, index: Path, rounds: int) -> dict[str, float]:
    """Run every way `rounds` times in turn; return the median of each, in seconds.

    Raises:
        SystemExit: two ways disagree on the total.
    """
    ways = dict(WAYS)
    for program in ("sambamba", "mosdepth"):
        if not shutil.which(program):
            del ways[program]
    if not case.slow_ways:
        for slow in ("tutorial", "mosdepth"):
            ways.pop(slow, None)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    totals: dict[str, int | None] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            totals[name] = way(bam, index)
            seconds[name].append(time.perf_counter() - started)
    if len(set(totals.values()) - {None}) != 1:
        sys.exit(f"{bam.name}: the totals differ: {totals}")
    return {name: statistics.median(times) for name, times in seconds.items()}


def measure_memory(bam: Path, index: Path) -> float:
    """Return the memory of the largest process while the applet counts, in megabytes."""
    command = [sys.executable, __file__, "--memory", str(bam), str(index)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_memory(bam: Path, index: Path) -> None:
    """Count, then print the largest resident size of this process or a child, in megabytes."""
    count_with_applet(bam, index)
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    print(max(resource.getrusage(kind).ru_maxrss for kind in kinds) / 1024)


def scale(bam: Bam, index: BamIndex, times: int) -> tuple[Bam, BamIndex]:
    """Return what the BAM and its index would be with more reads everywhere."""

    def scale_offset(offset: int) -> int:
        return (offset >> 16) * times << 16

    chunks = [chunk and Chunk(*map(scale_offset, chunk)) for chunk in index.chunks]
    starts = [[scale_offset(start) for start in region] for region in index.record_starts]
    scaled = index._replace(chunks=chunks, record_starts=starts)
    return replace(bam, size=bam.size * times), scaled


def simulate_sharing(work: list[float], cpus: int) -> float:
    """Return how near to perfect sharing a pool gets that hands out work in this order (0 to 1)."""
    busy_until = [0.0] * cpus
    for part in work:
        heapq.heapreplace(busy_until, busy_until[0] + part)
    return sum(work) / cpus / max(busy_until)


def count_parts(task: Task) -> int:
    """Return the number of equal parts that a task counts as."""
    return min(getattr(task, "threads", 1), 3)


def print_simulation(bam_path: Path, index_path: Path, times: int) -> None:
    """Print the sharing of the applet's tasks, and of whole regions longest first, by CPUs.

    A task that cannot be cut, with n threads, counts as n equal parts, but three at most: one
    thread has to read all records, a third of the work (measured).
    """
    bam = open_bam(WholeFile(bam_path))
    bam, index = scale(bam, read_index(index_path, bam), times)
    chunks = [*filter(None, index.chunks), Chunk(index.get_end(bam), bam.size << 16)]
    whole_work = sorted((float(chunk.size) for chunk in chunks), reverse=True)
    print("| CPUs | tasks | sharing | whole regions, longest first |\n|---|---|---|---|")
    for cpus in (4, 8, 16, 36, 72, 96):
        (tasks,) = split_workload(bam, index, cpus, machines=1)
        work = [
            task.size / parts
            for task, parts in ((task, count_parts(task)) for task in tasks)
            for _ in range(parts)
        ]
        sharing = simulate_sharing(sorted(work, reverse=True), cpus)
        whole_sharing = simulate_sharing(whole_work, cpus)
        print(f"| {cpus} | {len(tasks):,} | {sharing:.0%} | {whole_sharing:.0%} |")


def describe_machine() -> str:
    """Return date, processor, CPUs and samtools, for the line above a table."""
    names = [
        line.partition(": ")[2]
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    processor = names[0] if names else platform.machine()
    samtools = run_cmd(["samtools", "--version"]).stdout.partition("\n")[0]
    return (
        f"{date.today()}, {processor}, {CPUS} CPUs, {samtools}, Python {platform.python_version()}"
    )


def main() -> None:
    """Measure all cases and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each way is run")
    parser.add_argument("--only", default="", help="a part of the names of the BAMs to measure")
    parser.add_argument("--memory", nargs=2, type=Path, metavar=("BAM", "INDEX"), help="internal")
    arguments = parser.parse_args()
    if arguments.memory:
        print_memory(*arguments.memory)
        return
    folder = Path(__file__).parent / "bams"
    print(f"{describe_machine()}; seconds, medians of {arguments.rounds}\n", flush=True)
    print(f"| BAM | {' | '.join(WAYS)} | memory |\n|---|{'---|' * len(WAYS)}---|", flush=True)
    verdicts = []
    for case in CASES:
        bam, index = layout_bam(folder, case.layout, case.millions)
        if arguments.only not in bam.name:
            continue
        medians = measure(case, bam, index, arguments.rounds)
        cells = [f"{medians[name]:.2f}" if name in medians else "" for name in WAYS]
        memory = measure_memory(bam, index)
        print(f"| {bam.stem} | {' | '.join(cells)} | {memory:.0f} MB |", flush=True)
        for bar in case.bars:
            ratio = medians[bar.way] / medians[bar.other]
            verdict = "reached" if ratio <= bar.most else "MISSED"
            cells = [
                bam.stem,
                f"{bar.way} / {bar.other}",
                f"{ratio:.3g}",
                f"{bar.most:.3g}",
                verdict,
            ]
            verdicts.append(f"| {' | '.join(cells)} |")
    print("\n| BAM | ratio | measured | at most | |\n|---|---|---|---|---|")
    print("\n".join(verdicts))
    bam, index = layout_bam(folder, "25_contigs", 10)
    for times in (30, 100):
        gigabytes = bam.stat().st_size * times / 1e9
        print(f"\nSimulated: {bam.stem} with {times} times the reads, {gigabytes:.0f} GB\n")
        print_simulation(bam, index, times)


if __name__ == "__main__":
    main()
