"""One BAM counted on several machines: each is a subjob that counts its share of the calls.

    parts = count_on_machines(machines, cpus, calls, index, filters, links)
    counts = merge_counts(bam, index, parts, filters)

and each part

    bam, index, calls, filters = prepare_part(**inputs)
    ...
    return write_part(bam, calls, counts)

The calls themselves are too many to pass on. Each part plans them anew from the same index for the
same number of CPUs, which gives the same plan, and takes its share of it.
"""

import heapq
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import dxpy

from bam_file import Bam
from bam_index import BamIndex, read_index
from filters import Filters
from job_log import log, log_seconds
from partial_bam import fetch_ends, fetch_index, log_fetched
from samtools import verify_bam
from slices import Call, plan_calls

# Between two looks at a part: one call of the API, whatever the number of parts.
POLL_SECONDS = 2


def count_on_machines(
    machines: int,
    cpus: int,
    calls: Sequence[Call],
    index: BamIndex,
    filters: Filters,
    links: dict[str, Any],
) -> list[Counter[int]]:
    """Count in subjobs, and return what each of them counted.

    Args:
        machines: number of subjobs; fewer are started if there are fewer calls.
        cpus: of each machine.
        calls: the plan for the CPUs of all machines.
        index: that they were planned by.
        filters: which records are counted.
        links: to the files `bam` and `index`, if one was given.

    Raises:
        dxpy.AppError: a part failed; the message is its own.
    """
    inputs = {
        "bam": links["bam"],
        "index": _upload_index(index) if index.data else links["index"],
        "index_origin": index.origin,
        "filters": filters._asdict(),
        "machines": machines,
        "cpus": cpus,
    }
    shares = share_calls(calls, machines)
    with log_seconds("count"):
        jobs = _start_parts(shares, inputs)
        return [_collect_part(job, share) for job, share in zip(jobs, shares, strict=True)]


def prepare_part(
    bam: dict[str, Any],
    index: dict[str, Any],
    index_origin: str,
    filters: dict[str, int],
    machines: int,
    cpus: int,
    number: int,
) -> tuple[Bam, BamIndex, list[Call], Filters]:
    """Find out what a part is to count.

    Args:
        bam: link to the BAM.
        index: link to its index.
        index_origin: as in BamIndex.
        filters: as in Filters.
        machines: among how many the calls are shared.
        cpus: of each machine. That of this one is not asked: the plan must be the same everywhere.
        number: of this part, from 0.

    Returns:
        The BAM, partly here; its index; the calls of this part; which records they count.
    """
    verified = verify_bam(fetch_ends(bam))
    read = read_index(fetch_index(index), verified)._replace(origin=index_origin)
    share = share_calls(plan_calls(verified, read, cpus, machines), machines)[number]
    size = sum(call.work for call in share)
    log(f"Part {number + 1} of {machines}: {size:,} of {verified.size:,} bytes of {verified.name!r}")
    return verified, read, share, Filters(**filters)


def write_part(bam: Bam, share: Sequence[Call], counts: Counter[int]) -> dict[str, Any]:
    """Return the output of a part.

    The counts go into a file: those of a hundred thousand regions are too long for an output.
    """
    log_fetched(bam)
    text = json.dumps(list(counts.items()))
    file = dxpy.upload_string(text, name="counts.json", hidden=True, wait_on_close=True)
    return {"share": _describe_share(share), "counts": dxpy.dxlink(file)}


def share_calls(calls: Sequence[Call], machines: int) -> list[list[Call]]:
    """Share calls among machines, about equal in work.

    Args:
        calls: the largest first.
        machines: among how many; of more machines than calls, some get none and are left out.
    """
    shares: list[list[Call]] = [[] for _ in range(min(machines, len(calls)))]
    loads = [(0, number) for number in range(len(shares))]
    for call in calls:
        load, number = loads[0]
        shares[number].append(call)
        heapq.heapreplace(loads, (load + call.work, number))
    return shares


def _start_parts(shares: Sequence[Sequence[Call]], inputs: dict[str, Any]) -> list[dxpy.DXJob]:
    """Start a subjob for each share; return them in the same order.

    Args:
        shares: the calls of each.
        inputs: of the entry point count_part, but for the number of the share.
    """
    jobs = []
    for number, share in enumerate(shares):
        name = f"count_part {number + 1} of {len(shares)}"
        jobs.append(dxpy.new_dxjob(inputs | {"number": number}, "count_part", name=name))
        work = sum(call.work for call in share)
        log(f"Started {name}: {jobs[-1].get_id()}, {len(share):,} calls, {work:,} bytes to read")
    return jobs


def _upload_index(index: BamIndex) -> dict[str, Any]:
    """Put an index that was built here where the parts find it, and return a link to it."""
    with dxpy.new_dxfile(mode="wb", name="fresh.bai", hidden=True) as file:
        file.write(index.data)
    file.wait_on_close()
    return dict(dxpy.dxlink(file))


def _describe_share(share: Sequence[Call]) -> list[int]:
    """Return what two plans of a share agree on if they are the same: calls, bytes to read."""
    return [len(share), sum(call.work for call in share)]


def _collect_part(job: dxpy.DXJob, share: Sequence[Call]) -> Counter[int]:
    """Wait for a part, and return what it counted.

    Raises:
        dxpy.AppError: it failed, and says so itself.
        dxpy.AppInternalError: it ended otherwise, or counted something else than its share.
    """
    try:
        job.wait_on_done(interval=POLL_SECONDS)
    except dxpy.DXJobFailureError:
        described = job.describe()
        message = described.get("failureMessage", "")
        if described.get("failureReason") == "AppError":
            raise dxpy.AppError(message) from None
        raise dxpy.AppInternalError(
            f"{described['name']} ({job.get_id()}) {described['state']}: "
            f"{described.get('failureReason', '')} {message}"
        ) from None
    described = job.describe()
    if described["output"]["share"] != _describe_share(share):
        raise dxpy.AppInternalError(f"{described['name']} counted another share than its own")
    log(f"{described['name']} is done")
    return Counter(dict(json.loads(dxpy.DXFile(described["output"]["counts"]).read())))
