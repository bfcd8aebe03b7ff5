"""Counts a BAM on several machines: each subjob counts its share of the tasks.

    subjobs = start_subjobs(other_shares, index, options, links)
    ...
    counts = collect_counts(subjobs)

and in each subjob

    bam, index, share, filters = prepare_share(**inputs)
    ...
    return upload_counts(share, counts)

There are too many tasks to pass them as inputs. So each subjob splits the workload again, with the
same index and number of CPUs, which gives the same tasks, and takes its share of them.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from multiprocessing import cpu_count
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

import dxpy

from bam_file import Bam
from bam_index import ChosenIndex, parse_index
from counts import add_counts
from job_log import log, plural
from options import Filters, Options
from partial_bam import PartialFile, download_index
from samtools import verify_bam
from tasks import Task, split_workload

# Between two requests for a subjob's state; only one subjob is asked at a time.
POLL_SECONDS = 2


class Subjob(NamedTuple):
    """A subjob, and what it counts."""

    job: dxpy.DXJob
    share: Sequence[Task]


def start_subjobs(
    shares: Sequence[Sequence[Task]], index: ChosenIndex, options: Options, links: dict[str, Any]
) -> list[Subjob]:
    """Start a subjob for each share of another machine.

    Args:
        shares: the tasks of each other machine; empty if there is only one machine.
        index: the index that the workload was split with.
        options: the inputs of the main job other than files.
        links: to the files `bam` and `index`, if one was given.
    """
    if not shares:
        if options.machines > 1:
            log("Using 1 machine: there is only 1 task")
        return []
    machines = len(shares) + 1
    if machines < options.machines:
        log(f"Using {machines} machines: there are only {machines} tasks")
    inputs = make_inputs(index, options, links)
    subjobs = []
    for number, share in enumerate(shares, 1):
        name = f"count_share {number + 1} of {machines}"
        job = dxpy.new_dxjob(inputs | {"number": number}, "count_share", name=name)
        log(f"Started {name}, {job.get_id()}: {_describe(share)}")
        subjobs.append(Subjob(job, share))
    return subjobs


def make_inputs(index: ChosenIndex, options: Options, links: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs that are the same for all subjobs; parameters as in start_subjobs."""
    if index.data:
        links = links | {"index": _upload_index(index)}
    return links | {
        "index_origin": index.origin,
        "filters": options.filters._asdict(),
        "machines": options.machines,
        "cpus": cpu_count(),
    }


def prepare_share(
    bam: dict[str, Any],
    index: dict[str, Any],
    index_origin: str,
    filters: dict[str, int],
    machines: int,
    cpus: int,
    number: int,
) -> tuple[Bam, ChosenIndex, list[Task], Filters]:
    """Fetch the header and the index, and find the share of this subjob.

    Args:
        bam: link to the BAM.
        index: link to its index, which the main job has checked.
        index_origin: as in ChosenIndex.
        filters: as in Filters.
        machines: the wanted number of machines.
        cpus: of the main job's machine, because another number would give other tasks.
        number: of the share; the main job's share is 0.

    Returns:
        The BAM; its index; the tasks of this subjob; which records they count.
    """
    verified = verify_bam(PartialFile.create(bam))
    path = download_index(index)
    content = parse_index(path, verified)
    shares = split_workload(verified, content, cpus, machines)
    share = shares[number]
    log(f"Share {number + 1} of {len(shares)} of {verified.name!r}: {_describe(share)}")
    return verified, ChosenIndex(content, path.name, index_origin), share, Filters(**filters)


def upload_counts(
    share: Sequence[Task], task_counts: Iterable[Mapping[int, int]]
) -> dict[str, Any]:
    """Return the output of a subjob.

    The counts are in a file, because a hundred thousand regions are too long for an output.

    Args:
        share: the tasks of the subjob.
        task_counts: the counts of each task.
    """
    text = json.dumps(list(add_counts(task_counts).items()))
    # The platform waits until the file is closed.
    file = dxpy.upload_string(text, name="counts.json", hidden=True)
    return {"share": _describe(share), "counts": dxpy.dxlink(file)}


def collect_counts(subjobs: Sequence[Subjob]) -> list[Counter[int]]:
    """Wait for all subjobs, and return their counts.

    Raises:
        dxpy.AppError: a subjob failed; the message is its own.
        dxpy.AppInternalError: a subjob was lost, or counted another share.
    """
    return [_collect(subjob) for subjob in subjobs]


def _collect(subjob: Subjob) -> Counter[int]:
    job = subjob.job
    try:
        job.wait_on_done(interval=POLL_SECONDS)
    except dxpy.DXJobFailureError as error:
        described = job.describe()
        message = described.get("failureMessage", str(error))
        if described.get("failureReason") == "AppError":
            raise dxpy.AppError(message) from None
        raise dxpy.AppInternalError(f"Subjob {job.get_id()} failed: {message}") from None
    described = job.describe()
    log(f"{described['name']} is done")
    return read_counts(described["output"], subjob.share)


def read_counts(output: dict[str, Any], share: Sequence[Task]) -> Counter[int]:
    """Return the counts of a subjob.

    Args:
        output: as `upload_counts` returns it.
        share: the tasks that it should have counted.

    Raises:
        dxpy.AppInternalError: the subjob counted another share.
    """
    if output["share"] != _describe(share):
        raise dxpy.AppInternalError("A subjob counted another share of the BAM than its own")
    with NamedTemporaryFile() as file:
        # Unlike DXFile.read(), this compares checksums.
        dxpy.download_dxfile(output["counts"], file.name)
        return Counter(dict(json.loads(Path(file.name).read_text())))


def _upload_index(index: ChosenIndex) -> dict[str, Any]:
    """Upload an index that was built here for the subjobs; return a link to it."""
    with dxpy.new_dxfile(mode="wb", name=index.name, hidden=True) as file:
        file.write(index.data)
    return dict(dxpy.dxlink(file))


def _describe(share: Sequence[Task]) -> str:
    """Return the number of tasks of a share, and how much of the BAM they read."""
    size = sum(task.size for task in share)
    return f"{plural(len(share), 'task')}, {plural(size, 'byte')} of the BAM"
