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
from bam_index import BamIndex, parse_index
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
    inputs = make_part_inputs(machines, cpus, index, filters, links)
    shares = share_calls(calls, machines)
    if len(shares) < machines:
        log(f"Machines: {len(shares)} are enough for so few calls")
    with log_seconds("count"):
        jobs = [_start_part(number, share, inputs) for number, share in enumerate(shares)]
        outputs = [_wait_for_part(job) for job in jobs]
        pairs = zip(outputs, shares, strict=True)
        return [read_part(output, share) for output, share in pairs]


def make_part_inputs(
    machines: int, cpus: int, index: BamIndex, filters: Filters, links: dict[str, Any]
) -> dict[str, Any]:
    """Return the inputs that all parts have in common; the parameters are as above."""
    if index.data:
        links = links | {"index": _upload_index(index)}
    return {
        **links,
        "index_origin": index.origin,
        "filters": filters._asdict(),
        "machines": machines,
        "cpus": cpus,
    }


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
    # Whoever planned for all parts has checked that it fits the BAM.
    parsed = parse_index(fetch_index(index), verified)._replace(origin=index_origin)
    share = share_calls(plan_calls(verified, parsed, cpus, machines), machines)[number]
    size = _describe_share(share)[1]
    log(
        f"Part {number + 1} of {machines}: {size:,} of {verified.size:,} bytes of {verified.name!r}"
    )
    return verified, parsed, share, Filters(**filters)


def write_part(bam: Bam, share: Sequence[Call], counts: Counter[int]) -> dict[str, Any]:
    """Return the output of a part.

    The counts go into a file: those of a hundred thousand regions are too long for an output.
    """
    log_fetched(bam)
    text = json.dumps(list(counts.items()))
    # The platform waits until the file is closed.
    file = dxpy.upload_string(text, name="counts.json", hidden=True)
    return {"share": _describe_share(share), "counts": dxpy.dxlink(file)}


def read_part(output: dict[str, Any], share: Sequence[Call]) -> Counter[int]:
    """Return what a part counted.

    Args:
        output: as `write_part` returns it.
        share: the calls that it should have counted.

    Raises:
        dxpy.AppInternalError: it counted others, because it had planned otherwise.
    """
    if output["share"] != _describe_share(share):
        raise dxpy.AppInternalError("A part has counted another share of the BAM than its own")
    return Counter(dict(json.loads(dxpy.DXFile(output["counts"]).read())))


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


def _start_part(number: int, share: Sequence[Call], inputs: dict[str, Any]) -> dxpy.DXJob:
    """Start the subjob that counts a share.

    Args:
        number: of the part, from 0.
        share: what it counts; the log tells.
        inputs: of the entry point count_part, but for the number.
    """
    name = f"count_part {number + 1}"
    job = dxpy.new_dxjob(inputs | {"number": number}, "count_part", name=name)
    calls, size = _describe_share(share)
    log(f"Started {name}, {job.get_id()}: {size:,} bytes of the BAM, in calls: {calls:,}")
    return job


def _wait_for_part(job: dxpy.DXJob) -> dict[str, Any]:
    """Wait until a subjob is done, and return its output.

    Raises:
        dxpy.AppError: it failed, and says why itself.
        dxpy.AppInternalError: it ended otherwise.
    """
    try:
        job.wait_on_done(interval=POLL_SECONDS)
    except dxpy.DXJobFailureError as failure:
        message = job.describe().get("failureMessage", str(failure))
        if job.describe().get("failureReason") == "AppError":
            raise dxpy.AppError(message) from None
        raise dxpy.AppInternalError(f"{job.get_id()} did not finish: {message}") from None
    described = job.describe()
    log(f"{described['name']} is done")
    return dict(described["output"])


def _upload_index(index: BamIndex) -> dict[str, Any]:
    """Put an index that was built here where the parts find it, and return a link to it."""
    with dxpy.new_dxfile(mode="wb", name="fresh.bai", hidden=True) as file:
        file.write(index.data)
    return dict(dxpy.dxlink(file))


def _describe_share(share: Sequence[Call]) -> list[int]:
    """Return what two plans of a share agree on if they are the same: calls, bytes to read."""
    return [len(share), sum(call.work for call in share)]
