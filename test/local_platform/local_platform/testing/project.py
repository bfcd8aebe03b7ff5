"""What a test does in its project, with the real dx and dxpy."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dxpy
import pytest

FINAL = ("done", "failed", "terminated")
PATIENCE = 3600
"""Seconds after which a job that has not ended is terminated, unless a test says otherwise."""
LONGEST_PAUSE = 5
LOG_LINES = 40
"""So many of the last lines of a job's log are shown when a test fails."""


@dataclass(frozen=True)
class Result:
    """What a command printed, and its exit status."""

    stdout: str
    stderr: str
    status: int


class Dx:
    """Runs the real dx in a folder of its own."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        """Prepare a client with these variables, to run in a folder."""
        self.environment = environment
        self.folder = folder

    def __call__(self, *arguments: object, status: int | None = 0) -> Result:
        """Run dx to its end; fail the test if its exit status is another (None: any is right)."""
        __tracebackhide__ = True
        words = [str(argument) for argument in arguments]
        done = subprocess.run(
            [str(Path(sys.executable).parent / "dx"), *words],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if status not in (None, done.returncode):
            pytest.fail(
                f"{shlex.join(['dx', *words])} ended with exit status {done.returncode},"
                f" not {status}.\n{done.stdout}{done.stderr}"
            )
        return Result(done.stdout, done.stderr, done.returncode)


class Job:
    """A job that has ended."""

    def __init__(self, description: Mapping[str, Any], dx: Dx) -> None:
        """Take a job's description, as the API gives it."""
        self.description = description
        self.id: str = description["id"]
        self.state: str = description["state"]
        self.output: dict[str, Any] = description.get("output") or {}
        self.failure_reason: str = description.get("failureReason", "")
        self.failure_message: str = description.get("failureMessage", "")
        self._dx = dx

    @property
    def log(self) -> str:
        """What the job printed, standard output and standard error, without times."""
        watch = ("watch", self.id, "--get-streams", "--no-timestamps", "--quiet")
        return self._dx(*watch, status=None).stdout

    def download(self, output: str) -> Path:
        """Download the file that is the output of this name, and return its path."""
        file = dxpy.DXFile(self.output[output])
        folder = self._dx.folder / self.id / output
        folder.mkdir(parents=True, exist_ok=True)
        path: Path = folder / file.describe()["name"].replace("/", "%2F")
        dxpy.download_dxfile(file, str(path))
        return path

    def __str__(self) -> str:
        """Tell how it ended, for a person whose test failed."""
        text = f"{self.id} of {self.description['executableName']} is {self.state}"
        if self.failure_reason:
            text += f": {self.failure_reason}: {self.failure_message}"
        lines = self.log.splitlines()
        if len(lines) > LOG_LINES:
            lines = [f"({len(lines) - LOG_LINES} lines before)", *lines[-LOG_LINES:]]
        head = "Its log:" if lines else "Its log is empty."
        return "\n".join([text, head, *(f"  {line}" for line in lines)])


class Project:
    """A project, or a folder of one, that a test has for itself."""

    def __init__(self, project_id: str, folder: str, here: Path) -> None:
        """Use a folder of a project, and a folder here for dx and its configuration.

        Clients must have been led to the project's platform.
        """
        self.id = project_id
        self.folder = folder
        work, configuration = here / "work", here / "configuration"
        for made in (work, configuration):
            made.mkdir(exist_ok=True)
        # Selected as dx select and dx cd do it, so that these have their effect, too. Variables
        # would go before what they write.
        selection = {"DX_PROJECT_CONTEXT_ID": project_id}
        (configuration / "environment.json").write_text(json.dumps(selection))
        (configuration / "DX_CLI_WD").write_text(folder)
        environment = os.environ | {"DX_USER_CONF_DIR": str(configuration)}
        for name in ("DX_PROJECT_CONTEXT_ID", "DX_CLI_WD"):
            environment.pop(name, None)
        self.dx = Dx(environment, work)

    def build_applet(self, source: str | Path, *options: str) -> str:
        """Build an applet with dx build, and return its ID.

        Args:
            source: folder of the applet, with its dxapp.json.
            options: for dx build.

        Raises:
            FileNotFoundError: there is no such folder, or no dxapp.json in it.
        """
        __tracebackhide__ = True
        folder = Path(source).absolute()
        if not (folder / "dxapp.json").is_file():
            raise FileNotFoundError(f"There is no dxapp.json in {str(folder)!r}")
        built = self.dx("build", *options, "--", folder).stdout
        return str(json.loads(built.splitlines()[-1])["id"])

    def run(
        self,
        applet: str,
        inputs: Mapping[str, object] | None = None,
        state: str = "done",
        timeout: float = PATIENCE,
    ) -> Job:
        """Run an applet to its end; fail the test if it ends in another state.

        Args:
            applet: its ID.
            inputs: values by name. A Path is uploaded, also in a list; the rest is sent as it is.
            state: done, failed or terminated.
            timeout: seconds after which the job is terminated and the test fails.

        Raises:
            dxpy.exceptions.DXAPIError: the platform refuses to run it, because of an input say.
        """
        __tracebackhide__ = True
        values = {name: self._input(value) for name, value in (inputs or {}).items()}
        try:
            job = dxpy.DXApplet(applet, project=self.id).run(
                values, project=self.id, folder=self.folder
            )
        except dxpy.exceptions.DXAPIError as error:
            # pytest would show pages of dxpy's source before the sentence that matters.
            raise error.with_traceback(None) from None
        ended = self._wait(job, timeout)
        if ended.state != state:
            pytest.fail(f"Expected a job that is {state}, but {ended}")
        return ended

    def upload(self, path: Path, folder: str = "") -> str:
        """Upload a file into a folder below the project's, and return its ID."""
        file = dxpy.upload_local_file(
            str(path),
            project=self.id,
            folder=f"{self.folder.rstrip('/')}/{folder}".rstrip("/") or "/",
            parents=True,
            wait_on_close=True,
        )
        return str(file.get_id())

    def upload_folder(self, path: str | Path) -> dict[str, str]:
        """Upload all files of a folder, and return their IDs by path; it becomes the project's /.

        Raises:
            NotADirectoryError: it is no folder.
        """
        root = Path(path)
        if not root.is_dir():
            raise NotADirectoryError(f"There is no folder {str(path)!r}")
        return {
            file.relative_to(root).as_posix(): self.upload(
                file, "" if file.parent == root else file.parent.relative_to(root).as_posix()
            )
            for file in sorted(root.rglob("*"))
            if file.is_file()
        }

    def _input(self, value: object) -> object:
        """Return an input as the API takes it."""
        if isinstance(value, Path):
            return dxpy.dxlink(self.upload(value))
        if isinstance(value, list):
            return [self._input(item) for item in value]
        return value

    def _wait(self, job: dxpy.DXJob, timeout: float) -> Job:
        """Return a job once it has ended."""
        __tracebackhide__ = True
        end, pause = time.monotonic() + timeout, 0.05
        while (description := job.describe())["state"] not in FINAL:
            if time.monotonic() > end:
                job.terminate()
                late = Job(description, self.dx)
                pytest.fail(f"Waited {timeout:g} seconds in vain: {late}")
            time.sleep(pause)
            pause = min(pause * 1.2, LONGEST_PAUSE)
        return Job(description, self.dx)
