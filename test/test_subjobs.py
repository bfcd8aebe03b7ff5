"""One BAM on several machines: subjobs of the platform, from the build to the count file."""

import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import dxpy
import pytest

from bam_builder import build_bam, index_bam, sam_line
from local_platform.testing.live import LiveProject
from local_platform.testing.local import LocalPlatform, read_environment
from local_platform.testing.project import FINAL, Dx
from platform_fixtures import ended, job_log, until

APPLET = Path(__file__).parent.parent
NAME = json.loads((APPLET / "dxapp.json").read_text())["name"]
REGIONS = [*((f"chr{n}", 200_000) for n in range(1, 6)), ("HLA-A*01:01", 3_000), ("empty", 9)]
UNPLACED = 300

# Most regions take several blocks of the file, so that there is something to share.
READS = {"chr1": 9_000, "chr2": 4_000, "chr3": 3_000, "chr4": 2_000, "chr5": 100, "HLA-A*01:01": 7}

Start = Callable[..., dxpy.DXJob]


def build(path: Path, reads: dict[str, int], unplaced: int = 0) -> Path:
    """Build a BAM with so many reads in each region; every tenth is a duplicate."""
    lines = [
        sam_line(f"{name}.{n}", name, 1 + n, flag=0 if n % 10 else 1024, sequence="ACGTTGCA" * 12)
        for name, number in reads.items()
        for n in range(number)
    ]
    return build_bam(path, REGIONS, [*lines, *(sam_line(f"u{n}") for n in range(unplaced))])


def count_file(reads: dict[str, int]) -> str:
    """Return the right count file."""
    lines = [f"Region {name}: {reads.get(name, 0)}\n" for name, _ in REGIONS]
    return "".join(lines) + f"Total reads: {sum(reads.values())}"


@pytest.fixture(scope="module")
def built(
    dx_platform: LocalPlatform | LiveProject, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Dx]:
    """Run dx where the applet has been built."""
    with dx_platform.new_project("machines", tmp_path_factory.mktemp("machines")) as project:
        project.build_applet(APPLET)
        yield project.dx


@pytest.fixture(scope="module")
def sample(built: Dx) -> tuple[str, str]:
    """Upload a BAM of several regions and its index; return their IDs."""
    return upload(built, build(built.folder / "sample.bam", READS, UNPLACED))


def upload(dx: Dx, bam: Path) -> tuple[str, str]:
    """Index a BAM; upload both, and return their IDs."""
    index = index_bam(bam, bam.with_suffix(".bam.bai"))
    files = [dx("upload", file.name, "--wait", "--brief").stdout.strip() for file in (bam, index)]
    return files[0], files[1]


def start(dx: Dx, files: tuple[str, ...], *inputs: str, name: str = NAME) -> dxpy.DXJob:
    """Run the applet on a BAM and an index, if there is one."""
    fields = zip(("mappings_sorted_bam", "mappings_sorted_bai"), files, strict=False)
    links = [f"-i{field}={file}" for field, file in fields]
    job = dx("run", name, *links, *inputs, "-y", "--brief").stdout.strip()
    return dxpy.DXJob(job)


def read_counts(job: dxpy.DXJob) -> str:
    """Return the count file of a job that must succeed."""
    described = ended(job)
    assert described["state"] == "done", described.get("failureMessage")
    return dxpy.DXFile(described["output"]["count_file"]).read()


def subjobs_of(job: dxpy.DXJob) -> list[dict]:
    """Return the descriptions of a job's subjobs."""
    found = dxpy.find_jobs(parent_job=job.get_id(), describe=True)
    return [one["describe"] for one in found]


def test_every_number_of_machines_writes_the_same_file(built, sample):
    jobs = {number: start(built, sample, f"-imachines={number}") for number in (1, 2, 3, 8)}
    assert {number: read_counts(job) for number, job in jobs.items()} == dict.fromkeys(
        jobs, count_file(READS)
    )
    assert [len(subjobs_of(job)) for job in jobs.values()][:3] == [0, 1, 2]
    assert {one["function"] for one in subjobs_of(jobs[8])} == {"count_share"}
    assert re.search(
        r"\nShare 2 of 2 of 'sample.bam': \d+ tasks?, [\d,]+ bytes of the BAM\n",
        job_log(dxpy.DXJob(subjobs_of(jobs[2])[0]["id"])),
    )


@pytest.mark.parametrize(
    ("reads", "unplaced"),
    [({}, 0), ({}, 5_000), ({"chr5": 3}, 0)],
    ids=["header only", "all unplaced", "one block"],
)
def test_of_more_machines_than_tasks_some_are_not_used(built, reads, unplaced):
    files = upload(built, build(built.folder / f"few{len(reads)}_{unplaced}.bam", reads, unplaced))
    job = start(built, files, "-imachines=5")
    assert read_counts(job) == count_file(reads)
    machines = len(subjobs_of(job)) + 1
    assert machines < 5
    assert f"Using {machines} machine" in job_log(job)


def test_filters_reach_the_subjobs(built, sample):
    job = start(built, sample, "-imachines=2", "-iexclude_flags=1024", "-imin_mapping_quality=1")
    passing = {name: number - -(-number // 10) for name, number in READS.items()}
    assert read_counts(job) == count_file(passing)


def test_subjobs_find_the_index_that_was_built_for_them(built, sample):
    job = start(built, sample[:1], "-imachines=2")
    assert read_counts(job) == count_file(READS)
    log = job_log(job)
    assert (
        log.index("Downloading 'sample.bam'")
        < log.index("Building an index")
        < log.index("Started")
    )


def test_the_sentence_of_a_subjob_that_fails_is_that_of_the_job(built):
    bam = build(built.folder / "damaged.bam", READS)
    index_bam(bam, built.folder / "x.bai")
    data = bam.read_bytes()
    failed_in = set()
    for number, share in enumerate((0.2, 0.6)):
        middle = int(len(data) * share)
        damaged = data[:middle] + bytes(200) + data[middle + 200 :]
        files = upload_both(built, f"damaged{number}.bam", damaged, "x.bai")
        failures = [ended(start(built, files, f"-imachines={n}")) for n in (1, 2)]
        assert [one["failureReason"] for one in failures] == ["AppError"] * 2
        failed_in.add(failures[1]["failureFrom"]["name"])
        for one in failures:
            assert re.match(
                rf"'damaged{number}\.bam' could not be counted in .*: "
                r"(it is damaged after a record of region|the block at byte .* is damaged)",
                one["failureMessage"],
            )
    assert "count_share 2 of 2" in failed_in


def upload_both(dx: Dx, name: str, data: bytes, index: str) -> tuple[str, str]:
    """Upload a BAM that is damaged, with the index of the whole one."""
    (dx.folder / name).write_bytes(data)
    files = [dx("upload", file, "--wait", "--brief").stdout.strip() for file in (name, index)]
    return files[0], files[1]


# What the subjob does, the first time.
WAIT_TO_BE_KILLED = """
    described = dxpy.describe(dxpy.JOB_ID)
    if (described["name"], described["try"]) == ("count_share 2 of 2", 0):
        time.sleep(30)
"""


@pytest.fixture(scope="module")
def slow(built: Dx) -> str:
    """Build an applet whose subjob takes long the first time, and is run again if it is lost."""
    folder = built.folder / "slow_applet"
    shutil.copytree(APPLET / "src", folder / "src")
    shutil.copytree(APPLET / "resources", folder / "resources")
    specification = json.loads((APPLET / "dxapp.json").read_text())
    specification["name"] = "slow_applet"
    specification["runSpec"]["executionPolicy"] = {"restartOn": {"*": 1}}
    (folder / "dxapp.json").write_text(json.dumps(specification))
    source = folder / "src" / "applet.py"
    begin = "    bam, index, share, filters = prepare_share("
    assert source.read_text().count(begin) == 1
    source.write_text(source.read_text().replace(begin, WAIT_TO_BE_KILLED + begin))
    built("build", str(folder), "-f")
    return "slow_applet"


def running_subjob(job: dxpy.DXJob) -> str:
    """Wait until the subjob of a job runs, and return its ID."""

    def find() -> str | None:
        return next((one["id"] for one in subjobs_of(job) if is_running(one)), None)

    return until(find)


def is_running(described: dict) -> bool:
    return described["state"] == "running" and bool(find_processes(described["id"]))


def find_processes(job_id: str) -> list[int]:
    """Return the processes of a job that run here."""
    mark = f"DX_JOB_ID={job_id}".encode()
    processes = Path("/proc").glob("[0-9]*/environ")
    return [int(path.parent.name) for path in processes if mark in read_environment(path)]


def test_a_subjob_that_is_killed_is_run_again_and_the_counts_are_right(built, sample, slow):
    job = start(built, sample, "-imachines=2", name=slow)
    subjob = running_subjob(job)
    for process in find_processes(subjob):
        os.kill(process, signal.SIGKILL)
    assert read_counts(job) == count_file(READS)
    assert dxpy.describe(subjob)["try"] == 1


def test_nothing_is_left_of_subjobs_when_main_is_terminated(built, sample, slow):
    job = start(built, sample, "-imachines=2", name=slow)
    subjob = running_subjob(job)
    built("terminate", job.get_id())
    ended(job)
    assert all(
        until(lambda one=one: dxpy.describe(one["id"])["state"] in FINAL) for one in subjobs_of(job)
    )
    until(lambda: not find_processes(subjob))
