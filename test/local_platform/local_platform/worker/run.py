"""Runs one job as a worker of the service would, in a process of its own under a private root.

The service unpacks bundles at / and runs the program in /home/dnanexus. Here / is the job's own
folder: in a mount namespace where this machine allows one (namespace.py). In any case PATH,
PYTHONPATH, LD_LIBRARY_PATH and HOME are set so that programs find what is in it.
This module knows neither the store nor the API: it gets an Assignment and returns an Outcome.
"""

import contextlib
import json
import math
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from local_platform.strict_json import LARGEST_TEXT, Hash, parse
from local_platform.worker import (
    literal_paths,
    log_sockets,
    namespace,
    packages,
    private_root,
    process,
    tools,
)
from local_platform.worker.namespace import HOME, OWN
from local_platform.worker.packages import Bundle, BundleError, MissingPackageError
from local_platform.worker.private_root import UnsafeError

LONGEST_REASON = 1000
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


@dataclass(frozen=True)
class Outcome:
    """How a job's process ended: with an output, or for a reason."""

    output: Hash = field(default_factory=dict)
    reason: str | None = None
    message: str = ""


class LiteralPathError(Exception):
    """A program names a place of its worker that is not here."""

    def __init__(self, line: int, place: str, refusal: str) -> None:
        """Say which place, and what to do."""
        super().__init__(
            f"Line {line} of the program names {place}, which on this machine is not the job's own"
            f" ({refusal}). Write $HOME or a relative path instead, or run the platform where mount"
            " namespaces are allowed."
        )


class Run:
    """One run of a job: `execute` in a thread of its own, `stop` from any other."""

    def __init__(self, assignment: Assignment, log: process.Log) -> None:
        """Prepare a run."""
        self._job = assignment.job
        self._run_spec = assignment.applet["runSpec"]
        self._assignment = assignment
        self._folder = assignment.folder
        self._root = assignment.folder / "root"
        self._home = self._root / HOME
        self._log = log
        self._last_words = ""
        self._support = namespace.Support()
        self._stopped = threading.Event()

    def execute(self) -> Outcome:
        """Run the job to its end and leave nothing behind: no process, no file."""
        try:
            self._prepare()
            return self._outcome(self._run())
        except MissingPackageError as error:
            return Outcome(reason="AppInternalError", message=str(error))
        except (BundleError, UnsafeError, LiteralPathError) as error:
            return Outcome(reason="ExecutionError", message=str(error))
        except subprocess.TimeoutExpired:
            limit = f"its limit of {self._timeout():g} seconds"
            return Outcome(reason="JobTimeoutExceeded", message=f"The job ran longer than {limit}")
        except (OSError, subprocess.SubprocessError) as error:
            return Outcome(reason="ExecutionError", message=f"The job could not be run: {error}")
        finally:
            private_root.remove(self._folder)

    def stop(self) -> None:
        """Have the job's processes killed; `execute` then returns."""
        self._stopped.set()

    def _prepare(self) -> None:
        """Lay out the private root in the order of the service: bundles first, then packages."""
        self._home.mkdir(parents=True)
        self._support = namespace.support(self._folder.parent)
        self._tell_what_differs()
        tools.make(self._root / OWN)
        if self._support.overlays:
            for name in namespace.WRITABLE:
                (self._root / name).mkdir(parents=True)
        for bundle in self._assignment.bundles:
            self._note(f"Unpacking {bundle.name}")
            packages.unpack(bundle, self._root, self._stopped)
        if self._support.refusal is None:
            namespace.plan(self._folder, self._support.overlays)
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
        """Begin the log with what a reader has to know of this worker.

        Raises:
            LiteralPathError: the program would reach this machine where it means its worker.
        """
        release = self._run_spec["release"]
        if release in RETIRED_RELEASES:
            self._note(
                f"DNAnexus no longer runs Ubuntu {release}: this applet runs here, not there."
                " Its workers have 24.04 and 20.04."
            )
        if self._support.refusal is not None:
            self._note(
                f"This machine gives jobs no file system of their own ({self._support.refusal}):"
                f" /{HOME} and the like exist under {self._root} only. Programs find them through"
                " $HOME and PATH."
            )
            found = literal_paths.find(self._run_spec["code"], self._run_spec["interpreter"])
            if found:
                raise LiteralPathError(*found, self._support.refusal)

    def _install(self) -> None:
        """Install what execDepends declares: apt packages on this machine, others in the job."""
        declared = packages.declared(self._run_spec.get("execDepends", []), self._job["function"])
        if wanted := packages.missing_apt(declared, self._environment()["PATH"]):
            self._note(f"Installing apt packages {' '.join(wanted)}")
            packages.install_apt(wanted, self._run_apt)
        for step in packages.steps(declared, self._place):
            self._note(step.title)
            for command in step.commands:
                if self._run_in_job(command, self._installing()) != 0:
                    raise MissingPackageError(f"execDepends: {step.title} failed{self._why()}")

    def _place(self, path: str) -> str:
        """Return where a folder that is named as on a worker lies for the job."""
        path = re.sub(r"^(~|\$HOME|\$\{HOME\})(?=/|$)", f"/{HOME}", path)
        return self._seen(path[1:] if path.startswith("/") else f"{HOME}/{path}")

    def _seen(self, name: str) -> str:
        """Return the path under which the job sees something that lies in its root."""
        return f"/{name}" if self._support.refusal is None else str(self._root / name)

    def _environment(self) -> dict[str, str]:
        """Return the variables that the program sees: the worker's, and none of the caller's."""
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        own = [self._seen(f"{OWN}/{name}") for name in ("python/bin", "bin")]
        # The folder of the interpreter that has dxpy also holds dx and the dx-jobutil programs.
        machine = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
        modules = ("usr/lib/python3/dist-packages", f"usr/local/lib/{version}/dist-packages")
        # The machine's own Python is the job's only where it is laid over.
        outside = "BREAK_SYSTEM_PACKAGES" if self._support.overlays else "REQUIRE_VIRTUALENV"
        return (
            tools.pip_settings()
            | {
                "HOME": self._seen(HOME),
                "TMPDIR": self._seen(f"{OWN}/tmp"),  # noqa: S108 - the job's own
                "PATH": ":".join(
                    [*self._inside("usr/local/bin", "usr/bin", "bin"), *own, *machine]
                ),
                "PYTHONPATH": ":".join(self._inside(*modules)),
                "LD_LIBRARY_PATH": ":".join(self._inside("usr/local/lib", "usr/lib")),
                "LANG": "C.UTF-8",
                "USER": "dnanexus",
                # A job's lines reach its log as they are printed.
                "PYTHONUNBUFFERED": "1",
                f"PIP_{outside}": "1",
            }
            | self._assignment.environment
        )

    def _installing(self) -> dict[str, str]:
        """Return the variables under which packages are fetched, through the machine's proxies."""
        cache = {"PIP_CACHE_DIR": str(Path.home() / ".cache/pip"), "GIT_TERMINAL_PROMPT": "0"}
        return cache | os.environ | self._environment()

    def _inside(self, *folders: str) -> list[str]:
        """Return folders of the private root."""
        return [str(self._root / folder) for folder in folders]

    def _program(self) -> str:
        """Return the source as the worker runs it: it imports dxpy and calls run() if need be."""
        code: str = self._run_spec["code"]
        if self._run_spec["interpreter"] == "bash":
            return code
        imports = re.search(r"^[ \t]*(import|from) dxpy", code, re.MULTILINE)
        return ("" if imports else PYTHON_HEAD) + code + PYTHON_TAIL

    def _command(self) -> list[str]:
        """Return the command that runs the entry point."""
        if self._run_spec["interpreter"] == "bash":
            return ["bash", "-e", "-c", BASH_PROGRAM, self._job["function"]]
        return ["python3", self._job["id"]]

    def _timeout(self) -> float:
        """Return the running time allowed, in seconds."""
        return float(self._job["timeout"] / 1000)

    def _run(self) -> int:
        """Run the program in the job's environment and folder, and return its exit status."""
        environment = self._environment()
        with contextlib.ExitStack() as stack:
            if self._support.refusal is None:
                log_folder = self._root / OWN / "log"
                stack.enter_context(log_sockets.served(log_folder, self._log))
            if dstat := tools.start_dstat(environment):
                stack.enter_context(dstat)
            return self._run_in_job(self._command(), environment, self._timeout())

    def _run_in_job(
        self, command: list[str], environment: dict[str, str], timeout: float = math.inf
    ) -> int:
        """Run a command where the job runs, and return its exit status."""
        own = (self._home, self._keep_last_words, self._stopped, timeout)
        if self._support.refusal is None:
            command = namespace.command(self._folder, command)
        return process.run(command, environment, *own)

    def _keep_last_words(self, source: str, level: str, lines: list[str]) -> None:
        """Write lines into the log; the last one of an error may be all there is to say."""
        if level == "STDERR":
            self._last_words = next(filter(str.strip, reversed(lines)), self._last_words)
        self._log(source, level, lines)

    def _why(self) -> str:
        """Return the end of a sentence on a program that failed."""
        words = self._last_words.strip()[:LONGEST_REASON]
        return f": {words}" if words else ", and wrote nothing to standard error; see its log"

    def _note(self, line: str) -> None:
        """Write a line of the platform's own into the log."""
        self._log("SYSTEM", "INFO", [line])

    def _run_apt(self, command: list[str]) -> int:
        """Run apt-get in the machine's own environment, where its proxies may stand."""
        own = {"DX_JOB_ID": self._job["id"], "DEBIAN_FRONTEND": "noninteractive"}
        return process.run(command, os.environ | own, self._home, self._log, self._stopped)

    def _outcome(self, status: int) -> Outcome:
        """Read what the program left."""
        try:
            error = self._read_json("job_error.json")
            if status != 0 or error is not None:
                return self._failure(status, (error or {}).get("error"))
            return Outcome(output=self._read_json("job_output.json") or {})
        except (ValueError, UnsafeError) as error:
            return Outcome(reason="OutputError", message=str(error))

    def _read_json(self, name: str) -> Hash | None:
        """Return the hash that a file in the home folder holds, or None without the file.

        Raises:
            UnsafeError: it is no regular file.
            ValueError: it does not hold a hash.
        """
        text = private_root.read(self._root, f"{HOME}/{name}", LARGEST_TEXT)
        if text is None:
            return None
        try:
            content = parse(text)
        except ValueError as error:
            raise ValueError(f"{name} is not JSON that can be kept: {error}") from None
        if not isinstance(content, dict):
            raise ValueError(f"{name} is not a hash")
        return content

    def _failure(self, status: int, error: object) -> Outcome:
        """Return what a failed program said of itself, or how it ended."""
        ended = f"signal {-status}" if status < 0 else f"exit status {status}"
        message = f"The program ended with {ended}{self._why()}"
        reason = "AppInternalError"
        if isinstance(error, dict):
            reason = "AppError" if error.get("type") == "AppError" else reason
            message = str(error.get("message", message))
        return Outcome(reason=reason, message=message)
