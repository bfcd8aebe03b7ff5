"""Moves jobs through their states: waits for inputs, starts workers, checks outputs, ends trees.

https://documentation.dnanexus.com/user/running-apps-and-workflows/job-lifecycle
"""

import asyncio
import contextlib
import itertools
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from functools import partial

from local_platform.environment import api_environment
from local_platform.errors import ApiError
from local_platform.jobs import log, states, waiting
from local_platform.rules import links
from local_platform.store import entities, parts, tokens
from local_platform.store.database import Store
from local_platform.strict_json import Hash
from local_platform.worker import enter, private_root, process
from local_platform.worker.outcome import Outcome
from local_platform.worker.packages import Bundle
from local_platform.worker.run import Assignment, Run

LOG = logging.getLogger("local_platform")
# How long the end of the running jobs is waited for when the platform stops, in seconds.
LONGEST_STOP = 15
STOPPED = "The platform was stopped while the job ran"


class Scheduler:
    """Owns the running jobs, and decides what happens to a job next."""

    def __init__(self, store: Store, keep_failed: bool = False) -> None:
        """Prepare a scheduler; it keeps the folders of failed jobs if asked to."""
        self._store = store
        self._keep_failed = keep_failed
        self._slots = os.cpu_count() or 1
        self._running: dict[str, Run] = {}
        self._awakened = asyncio.Event()
        self._closing = False
        self._endings: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Look again at what can be done: something has changed."""
        self._awakened.set()

    async def serve(self, host: str, port: int) -> None:
        """Advance jobs, which call the API here, whenever awakened, until cancelled."""
        self._host, self._port = host, port
        self._recover()
        self.wake()
        while True:
            await self._awakened.wait()
            self._awakened.clear()
            before, begun = self._store.changes, time.monotonic()
            try:
                await self._advance_all()
            except Exception:
                # The disk may be full: jobs go on when it no longer is.
                LOG.exception("jobs cannot be advanced")
                await asyncio.sleep(1)
            if self._store.changes != before:
                self.wake()
            # However many jobs wait, half of the time is for calls.
            await asyncio.sleep(time.monotonic() - begun)

    async def close(self) -> None:
        """Kill every running job; the next start of the platform says what becomes of them."""
        self._closing = True
        for run in self._running.values():
            run.stop()
        if self._endings:
            await asyncio.wait(self._endings, timeout=LONGEST_STOP)

    def fail(self, job_id: str, reason: str, message: str) -> None:
        """Fail a running job as its machine would, or restart it if its policy says so."""
        self._change(job_id, "running", partial(self._fail, reason, message))
        self.wake()

    def _recover(self) -> None:
        """Settle the jobs that an earlier process of this platform left running."""
        for job in entities.oldest(self._store, "job", ("running",)):
            self._change(job["id"], "running", partial(self._fail, "UnresponsiveWorker", STOPPED))
        self._store.jobs.mkdir(exist_ok=True)
        kept = {
            folder
            for job_id, folder in enter.kept_folders(self._store.jobs)
            if (one := entities.find(self._store, job_id))
            and entities.find(self._store, one["project"])
        }
        for folder in set(self._store.jobs.iterdir()) - kept:
            private_root.remove(folder)

    def _fail(self, reason: str, message: str, job: Hash) -> None:
        """Fail a job, or restart it if its policy says so."""
        states.fail(self._store, job, reason, message)

    async def _advance_all(self) -> None:
        """Advance each job that can be by one state, oldest first; calls are answered meanwhile."""
        self._stop_ended()
        for current, advance in (
            (("terminating",), self._terminate),
            (("running",), self._miss_worker),
            (("waiting_on_output",), partial(waiting.look_for_output, self._store)),
            (("idle", "waiting_on_input"), partial(waiting.look_for_input, self._store)),
        ):
            for job in entities.oldest(self._store, "job", current):
                self._change(job["id"], job["state"], advance)
                await asyncio.sleep(0)
        free = self._slots - self._busy()
        if free > 0:
            # The earlier worker of a restarted job may still be dying.
            most = free + len(self._running)
            runnable = entities.oldest(self._store, "job", ("runnable",), limit=most)
            for job in [job for job in runnable if job["id"] not in self._running][:free]:
                self._change(job["id"], "runnable", self._start)

    def _change(self, job_id: str, state: str, change: Callable[[Hash], None]) -> None:
        """Do something with a job in one transaction, if it still is in a state.

        Whatever that raises ends the job: no job stays in a state that it cannot leave.
        """
        try:
            with self._store.transaction():
                # Another change may have ended its tree, or destroyed its project, meanwhile.
                job = entities.find(self._store, job_id)
                if job and job["state"] == state:
                    change(job)
        except Exception as error:
            LOG.exception("%s", job_id)
            with self._store.transaction():
                states.abort(self._store, job_id, repr(error))

    def _stop_ended(self) -> None:
        """Kill the processes of jobs that have been terminated, failed or restarted."""
        for job_id, run in self._running.items():
            job = entities.find(self._store, job_id)
            if not job or (job["state"], job["try"]) != ("running", run.attempt):
                run.stop()

    def _terminate(self, job: Hash) -> None:
        """End a job that is to be terminated once its processes are gone."""
        if job["id"] not in self._running:
            states.terminate(self._store, job)

    def _miss_worker(self, job: Hash) -> None:
        """Abort a running job that has no worker: its outcome was lost."""
        if job["id"] not in self._running:
            states.abort(self._store, job["id"], "How the job ended could not be saved")

    def _busy(self) -> int:
        """Return how many slots are taken.

        A parent with unfinished subjobs takes none, because it may be waiting for them.
        """
        return len(
            self._running.keys() - entities.parents(self._store, self._running, states.UNFINISHED)
        )

    def _start(self, job: Hash) -> None:
        """Give a job its token and a worker."""
        states.start(self._store, job)
        try:
            executable = entities.get(self._store, job["executable"])
            bundles = [
                self._bundle(entry) for entry in executable["runSpec"].get("bundledDepends", [])
            ]
        except ApiError as error:
            states.fail(self._store, job, "ExecutionError", str(error))
            return
        token = secrets.token_urlsafe(32)
        tokens.add(self._store, token, job["id"])
        environment = api_environment(self._host, self._port, token) | {
            "DX_JOB_ID": job["id"],
            "DX_WORKSPACE_ID": job["workspace"],
            "DX_PROJECT_CONTEXT_ID": job["project"],
            # An app has a container of its own; what belongs to an applet lies in its project.
            "DX_RESOURCES_ID": job["project"],
        }
        folder = self._store.jobs / f"{job['id']}-{job['try']}"
        assignment = Assignment(job, executable, bundles, folder, environment, self._keep_failed)
        run = Run(assignment, self._log_writer(job))
        self._running[job["id"]] = run
        ending = asyncio.create_task(self._follow(job["id"], run))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    def _bundle(self, entry: Hash) -> Bundle:
        """Return the bytes of a bundledDepends entry."""
        file_id = links.object_id(entry["id"]) or ""
        entities.get(self._store, file_id)
        numbers = parts.of(self._store, file_id)
        return Bundle(
            entry["name"], [parts.path_of(self._store, file_id, number) for number in numbers]
        )

    def _log_writer(self, job: Hash) -> process.Log:
        """Return what the worker's threads call; it waits, so a flood of lines is held back."""
        loop = asyncio.get_running_loop()
        numbers = itertools.count(1)

        async def write(source: str, level: str, lines: list[str]) -> None:
            if self._closing:
                return
            try:
                log.write(self._store, job, source, level, lines, numbers)
            except Exception:
                # The disk may be full. The thread goes on: a job must not wait for its reader.
                LOG.exception("%s: %d lines of the log are lost", job["id"], len(lines))

        def write_and_wait(source: str, level: str, lines: list[str]) -> None:
            # The platform may have stopped meanwhile.
            with contextlib.suppress(RuntimeError):
                asyncio.run_coroutine_threadsafe(write(source, level, lines), loop).result()

        return write_and_wait

    async def _follow(self, job_id: str, run: Run) -> None:
        """Wait for the end of a run, and save how it ended."""
        try:
            outcome = await _in_thread(run.execute)
            if not self._closing:
                self._change(job_id, "running", partial(self._settle, run.attempt, outcome))
        except Exception:
            LOG.exception("%s: how it ended could not be saved", job_id)
        finally:
            del self._running[job_id]
            self.wake()

    def _settle(self, attempt: int, outcome: Outcome, job: Hash) -> None:
        """Save what a run left: an output to be checked, or the reason of its failure."""
        if job["try"] != attempt:
            return
        if outcome.reason:
            # It may name a file whose name is no text.
            message = outcome.message.encode(errors="replace").decode()
            states.fail(self._store, job, outcome.reason, message)
        else:
            states.wait_for_output(self._store, job, outcome.output)


def _in_thread(execute: Callable[[], Outcome]) -> "asyncio.Future[Outcome]":
    """Run a job in a thread that does not keep the platform from ending."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Outcome] = loop.create_future()

    def run() -> None:
        try:
            outcome = execute()
        except Exception as error:
            LOG.exception("a job could not be run")
            outcome = Outcome(reason="JMInternalError", message=repr(error))
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set_result, outcome)

    threading.Thread(target=run, daemon=True).start()
    return ended
