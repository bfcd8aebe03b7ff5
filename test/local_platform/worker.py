"""Runs one job as a worker of the service would, in a process of its own under a private root.

The service unpacks bundles at / and runs the program in /home/dnanexus. Here / is the job's own
folder, and PATH, PYTHONPATH, LD_LIBRARY_PATH and HOME are set so that programs find it.
This module knows neither the store nor the API: it gets an Assignment and returns an Outcome.
"""

import codecs
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*\Z")
# Present on every worker, and here with dxpy.
ALWAYS_THERE = ("dx-toolkit", "python-argcomplete")
LONGEST_LINE = 8000
APT_LOCK = threading.Lock()
PYTHON_HEAD = "import dxpy\n"
PYTHON_TAIL = """

if __name__ == "__main__":
    import dxpy.utils.exec_utils

    if dxpy.utils.exec_utils.RUN_COUNT == 0:
        dxpy.run()
"""
BASH_PROGRAM = """
. ./environment
. "./$DX_JOB_ID"
if [[ $(type -t "$0") == function ]]; then "$0"; fi
"""


@dataclass(frozen=True)
class Bundle:
    """A bundledDepends entry: its name, and the files that hold its bytes one after another."""

    name: str
    parts: list[Path]


@dataclass(frozen=True)
class Assignment:
    """All that is needed to run one job."""

    job: dict
    applet: dict
    bundles: list[Bundle]
    root: Path
    environment: dict[str, str]
    """The DX_* variables."""


@dataclass(frozen=True)
class Outcome:
    """How a job's process ended: with an output, or for a reason."""

    output: dict = field(default_factory=dict)
    reason: str | None = None
    message: str = ""


class JobFailed(Exception):  # noqa: N818 - it is the outcome of a job, not an error of ours
    """Ends a job early: reason and message as the API shows them."""

    def __init__(self, reason: str, message: str) -> None:
        """Keep what the job's description will say."""
        super().__init__(message)
        self.reason = reason


class Run:
    """One run of a job: `execute` in a thread of its own, `stop` from any other."""

    def __init__(self, assignment: Assignment, log: Callable[[str, list[str]], None]) -> None:
        """Prepare a run; `log` is given a level (STDOUT, STDERR, INFO) and lines."""
        self.assignment = assignment
        self._log = log
        self._stopped = threading.Event()
        self._home = assignment.root / "home" / "dnanexus"

    def execute(self) -> Outcome:
        """Run the job to its end and leave nothing behind: no process, no file."""
        job_id = self.assignment.job["id"]
        try:
            self._prepare()
            status = self._run(self._command(), self.environment(), self._timeout())
            return self._outcome(status)
        except JobFailed as failure:
            return Outcome(reason=failure.reason, message=str(failure))
        except (OSError, tarfile.TarError, ValueError) as error:
            return Outcome(reason="ExecutionError", message=f"The job could not be run: {error}")
        finally:
            kill_processes(job_id)
            shutil.rmtree(self.assignment.root, ignore_errors=True)

    def stop(self) -> None:
        """Kill the job's processes; `execute` then returns."""
        self._stopped.set()
        kill_processes(self.assignment.job["id"])

    def environment(self) -> dict[str, str]:
        """Return the variables that the program sees: the worker's, and none of the caller's."""
        root = self.assignment.root
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        bundled = [str(root / folder) for folder in ("usr/local/bin", "usr/bin", "bin")]
        # The folder of the interpreter that has dxpy also holds dx and the dx-jobutil programs.
        machine = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
        packages = ("usr/lib/python3/dist-packages", f"usr/local/lib/{version}/dist-packages")
        return {
            "HOME": str(self._home),
            "TMPDIR": str(root / "tmp"),
            "PATH": ":".join(bundled + machine),
            "PYTHONPATH": ":".join(str(root / folder) for folder in packages),
            "LD_LIBRARY_PATH": ":".join(
                str(root / folder) for folder in ("usr/local/lib", "usr/lib")
            ),
            "LANG": "C.UTF-8",
            "USER": "dnanexus",
            # A job's lines reach its log as they are printed.
            "PYTHONUNBUFFERED": "1",
        } | self.assignment.environment

    def _prepare(self) -> None:
        """Lay out the private root in the order of the service: bundles first, then packages."""
        self._home.mkdir(parents=True)
        (self.assignment.root / "tmp").mkdir()
        for bundle in self.assignment.bundles:
            self._log("INFO", [f"Unpacking {bundle.name}"])
            self._unpack(bundle)
        self._install(self._packages())
        job, applet = self.assignment.job, self.assignment.applet
        for name, content in (
            ("dnanexus-job.json", job),
            ("dnanexus-executable.json", applet),
            ("job_input.json", job["input"]),
        ):
            (self._home / name).write_text(json.dumps(content))
        (self._home / job["id"]).write_text(self._program())
        interpreter = applet["runSpec"]["interpreter"]
        if interpreter == "bash":
            self._write_bash_variables()
        self._log("INFO", [f"{interpreter} running (job ID {job['id']})"])

    def _unpack(self, bundle: Bundle) -> None:
        """Unpack an archive at the private root; anything else goes to the home folder."""
        archive = self._home / Path(bundle.name).name
        with archive.open("wb") as joined:
            for part in bundle.parts:
                with part.open("rb") as source:
                    shutil.copyfileobj(source, joined)
        if tarfile.is_tarfile(archive):
            with tarfile.open(archive) as contents:
                # The filter refuses members that would land outside of the root.
                contents.extractall(self.assignment.root, filter="tar")
            archive.unlink()

    def _packages(self) -> list[str]:
        """Return the apt packages that are declared for this entry point and not here yet."""
        wanted = []
        for entry in self.assignment.applet["runSpec"].get("execDepends", []):
            name = entry["name"]
            if self.assignment.job["function"] not in entry.get(
                "stages", [self.assignment.job["function"]]
            ):
                continue
            if entry.get("package_manager", "apt") != "apt":
                raise JobFailed(
                    "AppInternalError",
                    f"execDepends: {name} comes from {entry['package_manager']}, and this platform"
                    " installs apt packages only. Put it into resources/.",
                )
            if not PACKAGE_NAME.match(name):
                raise JobFailed("AppInternalError", f"execDepends: {name!r} is no package's name")
            if name not in ALWAYS_THERE and not self._is_installed(name):
                wanted.append(name)
        return wanted

    def _is_installed(self, package: str) -> bool:
        """Tell whether a package is installed, or a program of its name can be found."""
        if shutil.which(package, path=self.environment()["PATH"]):
            return True
        if not shutil.which("dpkg-query"):
            return False
        query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
        return subprocess.run(query, capture_output=True, text=True).stdout == "installed"

    def _install(self, packages: list[str]) -> None:
        """Install apt packages, if this machine and user can."""
        if not packages:
            return
        names = " ".join(packages)
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise JobFailed(
                "AppInternalError",
                f"execDepends: not installed on this machine: {names}. Install it and run again.",
            )
        self._log("INFO", [f"Installing apt packages {names}"])
        environment = dict(os.environ) | {
            "DEBIAN_FRONTEND": "noninteractive",
            "DX_JOB_ID": self.assignment.job["id"],
        }
        with APT_LOCK:
            status = self._run(["apt-get", "install", "--yes", "--", *packages], environment, None)
            if status != 0:
                self._run(["apt-get", "update"], environment, None)
                install = ["apt-get", "install", "--yes", "--", *packages]
                status = self._run(install, environment, None)
        if status != 0:
            raise JobFailed("AppInternalError", f"execDepends: apt-get could not install {names}.")

    def _program(self) -> str:
        """Return the source as the worker runs it: it imports dxpy and calls run() if need be."""
        code = self.assignment.applet["runSpec"]["code"]
        if self.assignment.applet["runSpec"]["interpreter"] == "bash":
            return code
        imports = re.search(r"^\s*(import|from) dxpy", code, re.MULTILINE)
        return ("" if imports else PYTHON_HEAD) + code + PYTHON_TAIL

    def _write_bash_variables(self) -> None:
        """Write the inputs as the bash variables that the real client makes of them."""
        variables = subprocess.run(
            ["dx-print-bash-vars"], env=self.environment(), cwd=self._home, capture_output=True
        )
        if variables.returncode != 0:
            raise JobFailed("InputError", f"dx-print-bash-vars: {variables.stderr.decode()}")
        (self._home / "environment").write_bytes(variables.stdout)

    def _command(self) -> list[str]:
        """Return the command that runs the entry point."""
        job = self.assignment.job
        if self.assignment.applet["runSpec"]["interpreter"] == "bash":
            return ["bash", "-e", "-c", BASH_PROGRAM, job["function"]]
        return [sys.executable, job["id"]]

    def _timeout(self) -> float:
        """Return the running time allowed, in seconds."""
        return self.assignment.job["timeout"] / 1000

    def _run(self, command: list[str], environment: dict[str, str], timeout: float | None) -> int:
        """Run a command with its output in the log, and return its exit status.

        Raises:
            JobFailed: the time is over.
        """
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        pumps = [
            threading.Thread(target=self._pump, args=(stream, level), daemon=True)
            for stream, level in ((process.stdout, "STDOUT"), (process.stderr, "STDERR"))
        ]
        for pump in pumps:
            pump.start()
        try:
            if self._stopped.is_set():
                self.stop()
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise JobFailed(
                "JobTimeoutExceeded", f"The job ran longer than its limit of {timeout:g} seconds"
            ) from None
        finally:
            # A child that was left behind would hold the pipes open, and outlive the job.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            kill_processes(self.assignment.job["id"])
            process.wait()
            for pump in pumps:
                pump.join()

    def _pump(self, stream: BinaryIO, level: str) -> None:
        """Send a stream to the log line by line, in bounded memory."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        rest = ""
        with stream:
            while chunk := os.read(stream.fileno(), 65536):
                *lines, rest = (rest + decoder.decode(chunk)).split("\n")
                if len(rest) > LONGEST_LINE:
                    lines, rest = [*lines, rest], ""
                if lines:
                    self._log(level, [line[:LONGEST_LINE].rstrip("\r") for line in lines])
        if rest:
            self._log(level, [rest])

    def _outcome(self, status: int) -> Outcome:
        """Read what the program left."""
        error = _read_json(self._home / "job_error.json")
        if status != 0 or error is not None:
            details = (error or {}).get("error", {})
            ended = f"signal {-status}" if status < 0 else f"exit status {status}"
            reason = "AppError" if details.get("type") == "AppError" else "AppInternalError"
            unexplained = f"The program ended with {ended} and no job_error.json; see its log"
            return Outcome(reason=reason, message=details.get("message", unexplained))
        try:
            output = _read_json(self._home / "job_output.json")
        except ValueError as error:
            return Outcome(reason="OutputError", message=f"job_output.json is not JSON: {error}")
        if not isinstance(output, dict | None):
            return Outcome(reason="OutputError", message="job_output.json is not a hash")
        return Outcome(output=output or {})


def _read_json(path: Path) -> dict | None:
    """Return what a file holds, or None when there is no such file."""
    return json.loads(path.read_text()) if path.exists() else None


def kill_processes(job_id: str) -> None:
    """Kill every process of a job, also those that made a session of their own.

    They are known by their environment, so that those left by a killed platform are found too.
    """
    mark = f"DX_JOB_ID={job_id}".encode()
    while found := [process for process in Path("/proc").glob("[0-9]*") if _has(process, mark)]:
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)


def _has(process: Path, mark: bytes) -> bool:
    """Tell whether a variable stands in a process's environment."""
    try:
        return mark in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
