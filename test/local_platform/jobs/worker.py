"""Runs one job as a worker of the service would, in a process of its own under a private root.

The service unpacks bundles at / and runs the program in /home/dnanexus. Here / is the job's own
folder, and PATH, PYTHONPATH, LD_LIBRARY_PATH and HOME are set so that programs find it.
This module knows neither the store nor the API: it gets an Assignment and returns an Outcome.
"""

import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from local_platform.jobs import packages, private_root, process
from local_platform.jobs.packages import Bundle, BundleError, MissingPackageError
from local_platform.jobs.private_root import UnsafeError
from local_platform.strict_json import LARGEST_TEXT, Hash, parse

HOME = "home/dnanexus"
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
    root: Path
    environment: dict[str, str]
    """The DX_* variables."""


@dataclass(frozen=True)
class Outcome:
    """How a job's process ended: with an output, or for a reason."""

    output: Hash = field(default_factory=dict)
    reason: str | None = None
    message: str = ""


class Run:
    """One run of a job: `execute` in a thread of its own, `stop` from any other."""

    def __init__(self, assignment: Assignment, log: process.Log) -> None:
        """Prepare a run."""
        self._job = assignment.job
        self._run_spec = assignment.applet["runSpec"]
        self._assignment = assignment
        self._root = assignment.root
        self._home = assignment.root / HOME
        self._log = log
        self._stopped = threading.Event()

    def execute(self) -> Outcome:
        """Run the job to its end and leave nothing behind: no process, no file."""
        try:
            self._prepare()
            return self._outcome(self._run())
        except MissingPackageError as error:
            return Outcome(reason="AppInternalError", message=str(error))
        except (BundleError, UnsafeError) as error:
            return Outcome(reason="ExecutionError", message=str(error))
        except subprocess.TimeoutExpired:
            limit = f"its limit of {self._timeout():g} seconds"
            return Outcome(reason="JobTimeoutExceeded", message=f"The job ran longer than {limit}")
        except (OSError, subprocess.SubprocessError) as error:
            return Outcome(reason="ExecutionError", message=f"The job could not be run: {error}")
        finally:
            private_root.remove(self._root)

    def stop(self) -> None:
        """Have the job's processes killed; `execute` then returns."""
        self._stopped.set()

    def _prepare(self) -> None:
        """Lay out the private root in the order of the service: bundles first, then packages."""
        self._home.mkdir(parents=True)
        (self._root / "tmp").mkdir()
        for bundle in self._assignment.bundles:
            self._log("INFO", [f"Unpacking {bundle.name}"])
            packages.unpack(bundle, self._root, self._stopped)
        path = self._environment()["PATH"]
        declared = self._run_spec.get("execDepends", [])
        if wanted := packages.missing(declared, self._job["function"], path):
            self._log("INFO", [f"Installing apt packages {' '.join(wanted)}"])
            packages.install(wanted, self._run_apt)
        for name, content in (
            ("dnanexus-job.json", self._job),
            ("dnanexus-executable.json", self._assignment.applet),
            ("job_input.json", self._job["input"]),
        ):
            private_root.write(self._root, f"{HOME}/{name}", json.dumps(content).encode())
        private_root.write(self._root, f"{HOME}/{self._job['id']}", self._program().encode())
        self._log("INFO", [f"{self._run_spec['interpreter']} running (job ID {self._job['id']})"])

    def _environment(self) -> dict[str, str]:
        """Return the variables that the program sees: the worker's, and none of the caller's."""
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        # The folder of the interpreter that has dxpy also holds dx and the dx-jobutil programs.
        machine = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
        modules = ("usr/lib/python3/dist-packages", f"usr/local/lib/{version}/dist-packages")
        return {
            "HOME": str(self._home),
            "TMPDIR": str(self._root / "tmp"),
            "PATH": ":".join([*self._inside("usr/local/bin", "usr/bin", "bin"), *machine]),
            "PYTHONPATH": ":".join(self._inside(*modules)),
            "LD_LIBRARY_PATH": ":".join(self._inside("usr/local/lib", "usr/lib")),
            "LANG": "C.UTF-8",
            "USER": "dnanexus",
            # A job's lines reach its log as they are printed.
            "PYTHONUNBUFFERED": "1",
        } | self._assignment.environment

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
        return [sys.executable, self._job["id"]]

    def _timeout(self) -> float:
        """Return the running time allowed, in seconds."""
        return float(self._job["timeout"] / 1000)

    def _run(self) -> int:
        """Run the program in the job's environment and folder, and return its exit status."""
        own = (self._command(), self._environment(), self._home)
        return process.run(*own, self._log, self._stopped, self._timeout())

    def _run_apt(self, command: list[str]) -> int:
        """Run apt-get in the machine's own environment, where its proxies may stand."""
        own = {"DX_JOB_ID": self._job["id"], "DEBIAN_FRONTEND": "noninteractive"}
        return process.run(command, os.environ | own, self._home, self._log, self._stopped)

    def _outcome(self, status: int) -> Outcome:
        """Read what the program left."""
        try:
            error = self._read_json("job_error.json")
            if status != 0 or error is not None:
                return _failure(status, (error or {}).get("error"))
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


def _failure(status: int, error: object) -> Outcome:
    """Return what a failed program said of itself, or how it ended."""
    ended = f"signal {-status}" if status < 0 else f"exit status {status}"
    message = f"The program ended with {ended} and no job_error.json; see its log"
    reason = "AppInternalError"
    if isinstance(error, dict):
        reason = "AppError" if error.get("type") == "AppError" else reason
        message = str(error.get("message", message))
    return Outcome(reason=reason, message=message)
