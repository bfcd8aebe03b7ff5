"""Moves jobs through their states: waits for inputs, starts workers, checks outputs, ends trees.

https://documentation.dnanexus.com/user/running-apps-and-workflows/job-lifecycle
"""

import asyncio
import itertools
import json
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from local_platform import links
from local_platform.errors import ApiError
from local_platform.jobs import life, log, waiting
from local_platform.jobs.packages import Bundle
from local_platform.jobs.process import kill_job
from local_platform.jobs.worker import Assignment, Outcome, Run
from local_platform.store import Store
from local_platform.strict_json import Hash

LOG = logging.getLogger("local_platform")


@dataclass
class Running:
    """A job that has a worker; `attempt` tells a restarted job from its earlier self."""

    run: Run
    attempt: int
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))


class Scheduler:
    """Owns the running jobs, and decides what happens to a job next."""

    def __init__(self, store: Store) -> None:
        """Prepare a scheduler."""
        self._store = store
        self._slots = os.cpu_count() or 1
        self._running: dict[str, Running] = {}
        self._awakened = asyncio.Event()
        self._closing = False
        self._threads = ThreadPoolExecutor(max_workers=1000)
        self._endings: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Look again at what can be done: something has changed."""
        self._awakened.set()

    async def serve(self, port: int) -> None:
        """Advance jobs, which call the API on this port, whenever awakened, until cancelled."""
        self._port = port
        self._recover()
        self.wake()
        while True:
            await self._awakened.wait()
            self._awakened.clear()
            self._advance_all()

    async def close(self) -> None:
        """Kill every running job; the next start of the platform says what becomes of them."""
        self._closing = True
        for running in self._running.values():
            running.run.stop()
        await asyncio.gather(*self._endings)
        self._threads.shutdown()

    def _recover(self) -> None:
        """Settle the jobs that an earlier process of this platform left running."""
        with self._store.transaction():
            for _, job in list(self._store.newest("job", ("running", "terminating"))):
                kill_job(job["id"])
                if job["state"] == "running":
                    life.fail(
                        self._store, job, "UnresponsiveWorker", "The platform was stopped meanwhile"
                    )
        shutil.rmtree(self._store.jobs, ignore_errors=True)

    def _advance_all(self) -> None:
        """Advance each unfinished job by at most one state, oldest first."""
        self._stop_ended()
        for _, job in reversed(list(self._store.newest("job", life.UNFINISHED))):
            try:
                with self._store.transaction():
                    # An earlier job of this pass may have ended its tree.
                    self._advance(self._store.get(job["id"]))
            except Exception as error:
                LOG.exception("%s", job["id"])
                with self._store.transaction():
                    life.fail(self._store, job, "JMInternalError", repr(error))
            if self._store.get(job["id"])["state"] != job["state"]:
                self.wake()

    def _stop_ended(self) -> None:
        """Kill the processes of jobs that have been terminated, failed or restarted."""
        for job_id, running in self._running.items():
            job = self._store.find(job_id)
            if not job or (job["state"], job["try"]) != ("running", running.attempt):
                running.run.stop()

    def _advance(self, job: Hash) -> None:
        """Do what a job's state asks for."""
        if job["state"] in ("idle", "waiting_on_input"):
            waiting.look_for_input(self._store, job)
        elif job["state"] == "runnable":
            if job["id"] not in self._running and self._busy() < self._slots:
                self._start(job)
        elif job["state"] == "waiting_on_output":
            waiting.look_for_output(self._store, job)
        elif job["state"] == "terminating" and job["id"] not in self._running:
            life.terminate(self._store, job)

    def _busy(self) -> int:
        """Return how many slots are taken.

        A parent with unfinished subjobs takes none, because it may be waiting for them.
        """
        parents = {job["parentJob"] for _, job in self._store.newest("job", life.UNFINISHED)}
        return len(self._running.keys() - parents)

    def _start(self, job: Hash) -> None:
        """Give a job its token and a worker."""
        life.start(self._store, job)
        try:
            executable = self._store.get(job["executable"])
            bundles = [
                self._bundle(entry) for entry in executable["runSpec"].get("bundledDepends", [])
            ]
        except ApiError as error:
            life.fail(self._store, job, "ExecutionError", str(error))
            return
        token = secrets.token_urlsafe(32)
        self._store.add_token(token, job["id"])
        environment = {
            "DX_APISERVER_PROTOCOL": "http",
            "DX_APISERVER_HOST": "127.0.0.1",
            "DX_APISERVER_PORT": str(self._port),
            "DX_SECURITY_CONTEXT": json.dumps({"auth_token_type": "Bearer", "auth_token": token}),
            "DX_JOB_ID": job["id"],
            "DX_WORKSPACE_ID": job["workspace"],
            "DX_PROJECT_CONTEXT_ID": job["project"],
        }
        root = self._store.jobs / f"{job['id']}-{job['try']}"
        run = Run(Assignment(job, executable, bundles, root, environment), self._log_writer(job))
        self._running[job["id"]] = Running(run, job["try"])
        ending = asyncio.create_task(self._follow(job["id"], run))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    def _bundle(self, entry: Hash) -> Bundle:
        """Return the bytes of a bundledDepends entry."""
        file_id = links.object_id(entry["id"]) or ""
        self._store.get(file_id)
        numbers = self._store.parts(file_id)
        return Bundle(entry["name"], [self._store.part_path(file_id, number) for number in numbers])

    def _log_writer(self, job: Hash) -> Callable[[str, list[str]], None]:
        """Return what the worker's threads call; it waits, so a flood of lines is held back."""
        loop = asyncio.get_running_loop()

        def write(level: str, lines: list[str]) -> None:
            asyncio.run_coroutine_threadsafe(self._log(job, level, lines), loop).result()

        return write

    async def _log(self, job: Hash, level: str, lines: list[str]) -> None:
        """Append lines to a job's log."""
        log.write(self._store, job, level, lines, self._running[job["id"]].numbers)

    async def _follow(self, job_id: str, run: Run) -> None:
        """Wait for a run's end and write down how it ended."""
        loop = asyncio.get_running_loop()
        try:
            outcome = await loop.run_in_executor(self._threads, run.execute)
        except Exception as error:
            LOG.exception("%s", job_id)
            outcome = Outcome(reason="JMInternalError", message=repr(error))
        running = self._running.pop(job_id)
        if self._closing:
            return
        with self._store.transaction():
            job = self._store.find(job_id)
            if job and job["state"] == "running" and job["try"] == running.attempt:
                self._settle(job, outcome)
        self.wake()

    def _settle(self, job: Hash, outcome: Outcome) -> None:
        """Take over what a run left: an output to be checked, or the reason of its failure."""
        if outcome.reason:
            life.fail(self._store, job, outcome.reason, outcome.message)
        else:
            life.wait_for_output(self._store, job, outcome.output)
