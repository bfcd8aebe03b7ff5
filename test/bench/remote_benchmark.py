"""Measure counting on several machines: bytes, and times compared with a mere transfer.

This is a part of `make bench`. A server on this machine stands in for DNAnexus: each answer comes
after 20 ms, and all of them together at 100 MB/s. Times are medians, and each is compared with
another time of the same rounds.
"""

import contextlib
import io
import json
import multiprocessing
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dxpy

import applet
from bam_index import ChosenIndex, read_index
from benchmark import describe_machine
from layouts import layout_bam
from options import Options
from partial_bam import PartialFile, download_index
from remote_file import RANGE_SIZE, RemoteFile
from samtools import verify_bam
from slow_server import SlowServer
from subjobs import make_inputs
from tasks import Task, split_workload

APPLET = Path(__file__).parents[2]
LATENCY, RATE = 0.02, 100e6  # seconds; bytes a second
ROUNDS = 3
MACHINES = 4
CPUS = multiprocessing.cpu_count()

Row = tuple[str, float, float]
"""What was measured, the figure, and the most it should be."""


def main() -> None:
    """Measure everything, and print a table."""
    bam, index = layout_bam(Path(__file__).parent / "bams", "3366_contigs", 10)
    project = dxpy.api.project_new({"name": "benchmark"})["id"]
    dxpy.set_workspace_id(project)
    dxpy.set_project_context(project)
    links = {"bam": upload(bam), "index": upload(index)}
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        rows = [*measure_subjobs(links, bam.stat().st_size)]
        files = {
            dxpy.DXFile(link).get_id(): path
            for link, path in zip(links.values(), [bam, index], strict=True)
        }
        with SlowServer(os.environ["DX_APISERVER_PORT"], LATENCY, RATE, files) as server:
            dxpy.set_api_server_info(host="127.0.0.1", port=server.port, protocol="http")
            rows += measure_count_from_index(server, links, index.stat().st_size)
            rows += measure_share(links)
    print(f"\n{describe_machine()}; {bam.stem}, {bam.stat().st_size / 1e6:.0f} MB\n")
    print("| what | measured | at most | |\n|---|---|---|---|")
    for what, measured, most in rows:
        verdict = "reached" if measured <= most else "MISSED"
        print(f"| {what} | {measured:,.3g} | {most:,.3g} | {verdict} |")


def upload(path: Path) -> dict:
    """Upload a file, and return a link to it."""
    return dxpy.dxlink(dxpy.upload_local_file(str(path), wait_on_close=True))


def run_quietly(function: Callable, *arguments: object, **named: object) -> tuple[object, float]:
    """Return what a function returns, and how many seconds it took."""
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        returned = function(*arguments, **named)
    return returned, time.perf_counter() - started


def measure_subjobs(links: dict, size: int) -> list[Row]:
    """Run the applet on one and on four machines of the local platform, as a person would."""
    dx = str(Path(sys.executable).parent / "dx")
    built = subprocess.check_output(
        [dx, "build", str(APPLET), "--destination", f"{dxpy.WORKSPACE_ID}:/"]
    )
    inputs = {"mappings_sorted_bam": links["bam"], "mappings_sorted_bai": links["index"]}
    jobs = [
        dxpy.DXApplet(json.loads(built)["id"]).run(inputs | {"machines": machines})
        for machines in (1, MACHINES)
    ]
    for job in jobs:
        job.wait_on_done()
    one, four = (dxpy.DXFile(job.describe()["output"]["count_file"]).read() for job in jobs)
    parts = [
        one["describe"]
        for one in dxpy.find_jobs(parent_job=jobs[1].get_id(), describe={"output": True})
    ]
    shares = [read_share(dx, part["id"]) for part in parts]
    return [
        ("machines=4: lines that differ from machines=1", float(one != four), 0),
        ("machines=4: bytes of the subjobs' shares / size of the BAM", sum(shares) / size, 0.76),
        ("machines=4: largest / smallest share", max(shares) / min(shares), 1.05),
    ]


def read_share(dx: str, job: str) -> int:
    """Return how many bytes of the BAM a subjob says it counts."""
    log = subprocess.check_output([dx, "watch", job, "--get-stdout", "--no-timestamps"], text=True)
    return int(re.search(r"([\d,]+) bytes of the BAM", log)[1].replace(",", ""))


def measure_count_from_index(server: SlowServer, links: dict, index_size: int) -> list[Row]:
    """Take the counts from the index, and compare that with fetching the index alone."""
    applet.upload_outputs = lambda *_: {}
    seconds, alone, sizes = [], [], []
    for _ in range(ROUNDS):
        # What is there already is not downloaded again.
        shutil.rmtree(Path.home() / "in", ignore_errors=True)
        alone.append(run_quietly(download_index, links["index"])[1])
        shutil.rmtree(Path.home() / "in")
        before = len(server.ranges())
        inputs = (links["bam"], links["index"])
        seconds.append(run_quietly(applet.main, *inputs, count_from_index=True)[1])
        sizes = [size for _, _, size in server.ranges()[before:]]
    return [
        ("count_from_index: bytes fetched beside the index", sum(sizes) - index_size, 1e6),
        ("count_from_index: requests", len(sizes), 45),
        (
            "count_from_index: seconds beside the transfer of the index",
            statistics.median(seconds) - statistics.median(alone),
            1,
        ),
    ]


def measure_share(links: dict) -> list[Row]:
    """Count all of the BAM as one share, and compare that with the bare transfer of its bytes."""
    bam = verify_bam(PartialFile.create(links["bam"]))
    content = read_index(download_index(links["index"]), bam)
    (share,) = split_workload(bam, content, CPUS, machines=1)
    inputs = make_inputs(ChosenIndex(content, "x.bai"), Options(), links)
    seconds, bare, peaks = [], [], []
    for _ in range(ROUNDS):
        bare.append(run_quietly(transfer, links["bam"], share)[1])
        with watching_disk() as peak:
            seconds.append(run_quietly(applet.count_share, **inputs, number=0)[1])
        peaks.append(peak[0])
    largest = max(task.size for task in share)
    return [
        (
            "a share: seconds / seconds of its bare transfer",
            statistics.median(seconds) / statistics.median(bare),
            1.15,
        ),
        (
            "a share: peak of the disk / (2 x CPUs x largest task)",
            max(peaks) / (2 * CPUS * largest),
            1,
        ),
    ]


def transfer(link: dict, share: list[Task]) -> None:
    """Fetch the bytes of a share, and throw them away."""
    ranges = [
        (at, min(at + RANGE_SIZE, chunk.end >> 16))
        for task in share
        for chunk in task.chunks
        for at in range(chunk.begin >> 16, chunk.end >> 16, RANGE_SIZE)
    ]
    # Forked processes know the file; it is not sent to them.
    shared["file"] = RemoteFile(link)
    with multiprocessing.get_context("fork").Pool(2 * CPUS) as pool:
        pool.map(_fetch, ranges, chunksize=1)


shared: dict[str, RemoteFile] = {}


def _fetch(ends: tuple[int, int]) -> None:
    shared["file"].fetch(*ends)


@contextlib.contextmanager
def watching_disk() -> Iterator[list[int]]:
    """Yield a list whose one number is the most that temporary files took, in bytes."""
    peak, ended = [0], threading.Event()

    with tempfile.TemporaryDirectory() as folder:

        def watch() -> None:
            while not ended.wait(0.01):
                peak[0] = max(peak[0], _measure(Path(folder)))

        watcher = threading.Thread(target=watch)
        watcher.start()
        tempfile.tempdir = folder
        yield peak
        tempfile.tempdir = None
        ended.set()
        watcher.join()


def _measure(folder: Path) -> int:
    """Return how many bytes the files of a folder take on the disk."""
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            size += path.stat().st_blocks * 512
    return size


if __name__ == "__main__":
    main()
