"""Runs one job as a worker of the service would, in a process of its own under a private root.

The service unpacks bundles at / and runs the program in /home/dnanexus. Here / is the job's own
folder: in a mount namespace where this machine allows one (namespace.py). In any case PATH,
PYTHONPATH, LD_LIBRARY_PATH and HOME are set so that programs find what is in it.
"""

import contextlib
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local_platform.strict_json import Hash
from local_platform.worker import (
    enter,
    environment,
    log_sockets,
    namespace,
    outcome,
    packages,
    private_root,
    process,
    tools,
)
from local_platform.worker.namespace import HOME, OWN
from local_platform.worker.outcome import Outcome
from local_platform.worker.packages import Bundle, BundleError, MissingPackageError
from local_platform.worker.private_root import UnsafeError

RETIRED_RELEASES = ("16.04", "14.04", "12.04")
PYTHON_HEAD = "import dxpy\n"
PYTHON_TAIL = """

if __name__ == "__main__":
    import dxpy.utils.exec_utils

    if dxpy.utils.exec_utils.RUN_COUNT == 0:
        dxpy.run()
"""
# The inputs are the variables that the real client makes of them.
BASH_PROGRAM = """
dx-print-bash-vars > environment
. ./environment
. "./$DX_JOB_ID"
if [[ $(type -t "$0") == function ]]; then "$0"; fi
"""


@dataclass(frozen=True)
class Assignment:
    """All that is needed to run one job."""

    job: Hash
    applet: Hash
    bundles: list[Bundle]
    folder: Path
    """Holds all that the job leaves on this machine while it runs; it is not there yet."""
    environment: dict[str, str]
    """The DX_* variables."""
    keep_failed: bool = False
    """Whether the folder stays if the job fails, to be entered."""


class Run:
    """One run of a job: `execute` in a thread of its own, `stop` from any other."""

    def __init__(self, assignment: Assignment, log: process.Log) -> None:
        """Prepare a run; its time begins."""
        self._job = assignment.job
        self._run_spec = assignment.applet["runSpec"]
        self._assignment = assignment
        self._folder = assignment.folder
        self._root = assignment.folder / "root"
        self._home = self._root / HOME
        self._log = log
        self._last_words = ""
        self._support = namespace.Support()
        self._plan: Path | None = None
        self._environment: dict[str, str] = {}
        self._limit = self._job["timeout"] / 1000
        self._span = process.Span(self._limit)

    def execute(self) -> Outcome:
        """Run the job to its end and leave nothing behind: no process, and no file.

        The files of a job that failed stay if that was asked for.
        """
        kept = False
        try:
            ended = self._execute()
            # Before it has its variables, there is nothing to look into.
            if ended.reason and self._assignment.keep_failed and self._environment:
                enter.keep(self._folder, self._plan, self._environment)
                self._note(f"Look into this job with: dx-local-platform enter {self._job['id']}")
                kept = True
            return ended
        finally:
            if not kept:
                private_root.remove(self._folder)

    def _execute(self) -> Outcome:
        """Run the job to its end."""
        try:
            self._prepare()
            return outcome.of_program(self._root, self._run_program(), self._last_words)
        except MissingPackageError as error:
            return Outcome(reason="AppInternalError", message=str(error))
        except (BundleError, UnsafeError) as error:
            return Outcome(reason="ExecutionError", message=str(error))
        except process.OverError:
            message = f"The job ran longer than its limit of {self._limit:g} seconds"
            return Outcome(reason="JobTimeoutExceeded", message=message)
        except (OSError, subprocess.SubprocessError) as error:
            return Outcome(reason="ExecutionError", message=f"The job could not be run: {error}")

    @property
    def attempt(self) -> int:
        """Which try of the job this is, from 0 on."""
        attempt: int = self._job["try"]
        return attempt

    def stop(self) -> None:
        """Have the job's processes killed; `execute` then returns."""
        self._span.stop()

    def _prepare(self) -> None:
        """Lay out the private root in the order of the service: bundles first, then packages."""
        self._home.mkdir(parents=True)
        self._support = namespace.support(self._folder.parent)
        self._tell_what_differs()
        tools.make(self._root, OWN, self._support.seen(self._root, OWN))
        if self._support.overlays:
            for name in namespace.WRITABLE:
                (self._root / name).mkdir(parents=True, exist_ok=True)
        for bundle in self._assignment.bundles:
            self._note(f"Unpacking {bundle.name}")
            packages.unpack(bundle, self._root, self._span)
        if self._support.refusal is None:
            self._plan = namespace.plan(self._folder, self._support.overlays)
        self._environment = (
            environment.of_job(self._root, self._support) | self._assignment.environment
        )
        self._install()
        for name, content in (
            ("dnanexus-job.json", self._job),
            ("dnanexus-executable.json", self._assignment.applet),
            ("job_input.json", self._job["input"]),
        ):
            private_root.write(self._root, f"{HOME}/{name}", json.dumps(content).encode())
        private_root.write(self._root, f"{HOME}/{self._job['id']}", self._program().encode())
        self._note(f"{self._run_spec['interpreter']} running (job ID {self._job['id']})")

    def _tell_what_differs(self) -> None:
        """Begin the log with what a reader has to know of this worker."""
        release = self._run_spec["release"]
        if release in RETIRED_RELEASES:
            self._note(
                f"DNAnexus no longer runs Ubuntu {release}: this applet runs here, not there."
                " Its workers have 24.04 and 20.04."
            )
        if self._support.refusal is not None:
            self._note(
                f"This machine gives jobs no file system of their own ({self._support.refusal}):"
                f" /{HOME} and the like are under {self._root} only. Programs find them through"
                " $HOME and PATH, not by name."
            )

    def _install(self) -> None:
        """Install what execDepends declares: apt packages on this machine, others in the job."""
        declared = packages.declared(self._run_spec.get("execDepends", []), self._job["function"])
        if wanted := packages.missing_apt(declared, self._environment["PATH"]):
            self._note(f"Installing apt packages {' '.join(wanted)}")
            packages.install_apt(wanted, self._run_apt, self._span)
        variables = environment.for_installing() | self._environment
        for step in packages.steps(declared, self._place):
            self._note(step.title)
            for command in step.commands:
                if self._run(command, variables, self._plan) != 0:
                    why = outcome.why(self._last_words)
                    raise MissingPackageError(f"execDepends: {step.title} failed{why}")

    def _place(self, path: str) -> str:
        """Return where a folder that is named as on a worker lies for the job."""
        path = re.sub(r"^(~|\$HOME|\$\{HOME\})(?=/|$)", f"/{HOME}", path)
        name = path[1:] if path.startswith("/") else f"{HOME}/{path}"
        return self._support.seen(self._root, name)

    def _program(self) -> str:
        """Return the source as the worker runs it: it imports dxpy and calls run() if need be."""
        code: str = self._run_spec["code"]
        if self._run_spec["interpreter"] == "bash":
            return code
        imports = re.search(r"^[ \t]*(import|from) dxpy", code, re.MULTILINE)
        return ("" if imports else PYTHON_HEAD) + code + PYTHON_TAIL

    def _run_program(self) -> int:
        """Run the entry point, and return its exit status."""
        if self._run_spec["interpreter"] == "bash":
            command = ["bash", "-e", "-c", BASH_PROGRAM, self._job["function"]]
        else:
            command = ["python3", self._job["id"]]
        with contextlib.ExitStack() as stack:
            if self._plan:
                log_folder = self._root / OWN / "log"
                stack.enter_context(log_sockets.served(log_folder, self._log))
            start = self._support.seen(self._root, f"{OWN}/start")
            return self._run([start, *command], self._environment, self._plan)

    def _run_apt(self, command: list[str]) -> int:
        """Run apt-get on the machine, with its own variables: proxies may be among them."""
        return self._run(command, os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, None)

    def _run(self, command: list[str], variables: dict[str, str], plan: Path | None) -> int:
        """Run a command where the job runs, or without a plan on the machine; return its status."""
        self._last_words = ""
        own = (self._home, self._keep_last_words, self._span)
        return process.run(process.supervised(command, plan), variables, *own)

    def _keep_last_words(self, source: str, level: str, lines: list[str]) -> None:
        """Log lines, and remember the last of stderr: it may be the only failure message."""
        if level == "STDERR":
            self._last_words = next(filter(str.strip, reversed(lines)), self._last_words)
        self._log(source, level, lines)

    def _note(self, line: str) -> None:
        """Write a line of the platform's own into the log."""
        self._log("SYSTEM", "INFO", [line])
