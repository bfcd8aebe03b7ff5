"""Runs tasks in a pool of worker processes.

A killed process never returns the result of its task, and may hold a lock that the other processes
and the pool itself wait for. Nothing here waits forever for either.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from ctypes import c_bool
from multiprocessing import active_children, cpu_count, get_context
from multiprocessing.pool import IMapIterator, Pool
from multiprocessing.synchronize import Semaphore
from threading import Thread
from typing import NamedTuple

import dxpy

from bam_file import Bam, DamagedBamError
from bam_index import BamIndexError, ChosenIndex
from choose_index import explain_mismatch
from job_log import MORE_MEMORY, explain_limits, log, log_seconds, plural
from options import Filters
from samtools import UPLOAD_AGAIN, explain_failure, find_errors, find_warnings
from tasks import Task, check_chunk_ends

PROGRESS_SECONDS = 5.0


class TaskResult(NamedTuple):
    """The counts of a task, or its failure."""

    counts: dict[int, int]
    """Number of records by region number; regions without records may be missing."""
    warnings: list[str]
    """Warnings of samtools."""
    failure: dxpy.AppError | dxpy.AppInternalError | None = None


class Shared(NamedTuple):
    """What all worker processes share. No flag has a lock, which a killed process might hold."""

    bam: Bam
    index_used: ChosenIndex
    filters: Filters
    places: Semaphore
    """One for each process of the pool."""
    stop: c_bool
    """Whether no further task is started."""
    killed: c_bool
    """Whether a process was killed."""


# Set in each worker process, once.
_shared: Shared


def run_tasks(
    bam: Bam, index: ChosenIndex, tasks: Sequence[Task], filters: Filters
) -> list[TaskResult]:
    """Run tasks in a pool of processes; return their results, up to the first failure.

    Raises:
        dxpy.AppError: a process of the pool was killed.
    """
    command = filters.describe_command(bam.name)
    log(f"Counting in {plural(len(tasks), 'task')}, equivalent to {command}")
    processes = cpu_count() * bam.storage.processes_per_cpu
    # Not the default: since Python 3.14 that is forkserver, whose processes share nothing.
    context = get_context("fork")
    stop, killed = context.RawValue(c_bool, False), context.RawValue(c_bool, False)
    shared = Shared(bam, index, filters, context.Semaphore(processes), stop, killed)
    pool = context.Pool(processes, start_worker, [shared])
    results: list[TaskResult] = []
    with log_seconds("count"), join_at_end(pool, shared) as is_any_killed:
        pending = pool.imap_unordered(count_task, tasks)
        for result in follow_progress(pending, len(tasks), is_any_killed):
            results.append(result)
            if result.failure:
                break
    return results


def start_worker(shared: Shared) -> None:
    """Receive what all worker processes share. This is the initializer of the pool."""
    global _shared
    _shared = shared
    # The pool replaces a killed process with a new one.
    if not shared.places.acquire(block=False):
        shared.killed.value = True


def count_task(task: Task) -> TaskResult:
    """Run a task. The pool maps this function; it returns every failure, and raises none."""
    bam, index, filters = _shared.bam, _shared.index_used, _shared.filters
    if _shared.stop.value:
        return TaskResult({}, [])
    what = task.describe(bam)
    failure = f"{bam.name!r} could not be counted in {what}"
    try:
        with explain_limits(f"counting {bam.name!r}"), bam.fetch(task.chunks, what) as storage:
            check_chunk_ends(bam, storage, task)
            result = task.run(bam, storage, filters)
            # Without output or with an error on stderr, exit status 0 is a failure, too.
            if result.exit_code or find_errors(result) or not result.stdout:
                raise explain_failure(bam, storage, task.chunks, result, failure)
            return TaskResult(task.parse(bam, result.stdout), find_warnings(result))
    except dxpy.AppError as error:
        return TaskResult({}, [], error)
    except BamIndexError as error:
        return TaskResult({}, [], explain_mismatch(bam, index, str(error)))
    except DamagedBamError as error:
        return TaskResult({}, [], dxpy.AppError(f"{failure}: {error}. {UPLOAD_AGAIN}"))
    except Exception as error:
        sentence = f"{failure}: {type(error).__name__}: {error}"
        return TaskResult({}, [], dxpy.AppInternalError(sentence))


def follow_progress(
    results: "IMapIterator[TaskResult]", tasks: int, is_any_killed: Callable[[], bool]
) -> Iterator[TaskResult]:
    """Yield the results of a pool as they arrive, and log the progress every few seconds.

    Args:
        results: what Pool.imap_unordered returns.
        tasks: number of results to wait for.
        is_any_killed: returns whether a process of the pool was killed.

    Raises:
        dxpy.AppError: a process of the pool was killed, so its result will never arrive.
    """
    done, logged = 0, time.monotonic()
    while done < tasks:
        try:
            yield results.next(timeout=PROGRESS_SECONDS)
            done += 1
        except multiprocessing.TimeoutError:
            if is_any_killed():
                raise dxpy.AppError(
                    "A worker process was killed, probably because it ran out of memory. "
                    f"{MORE_MEMORY}"
                ) from None
        if time.monotonic() - logged >= PROGRESS_SECONDS:
            logged = time.monotonic()
            log(f"{done:,} of {tasks:,} tasks are done")


@contextmanager
def join_at_end(pool: Pool, shared: Shared) -> Iterator[Callable[[], bool]]:
    """Wait at the end until all processes of a pool have ended.

    This is not `with pool:`, which ends in terminate(): that may kill a process that holds a lock
    of the pool, and then wait for the lock forever (CPython issue 96995).

    Yields:
        A function that returns whether a process was killed.
    """
    workers = active_children()

    def is_any_killed() -> bool:
        return shared.killed.value or any(worker.exitcode for worker in workers)

    try:
        yield is_any_killed
    finally:
        shared.stop.value = True
        pool.close()
        joining = Thread(target=pool.join, daemon=True)
        joining.start()
        while joining.is_alive() and not is_any_killed():
            joining.join(PROGRESS_SECONDS)
        if joining.is_alive():
            _give_up(pool)


def _give_up(pool: Pool) -> None:
    """End a pool after one of its processes was killed, without waiting for any lock."""

    def terminate() -> None:
        with suppress(Exception):
            pool.terminate()

    # This stops the pool from starting new processes, and then may wait forever.
    Thread(target=terminate, daemon=True).start()
    for worker in active_children():
        worker.kill()
