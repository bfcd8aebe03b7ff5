"""What a test or a script does in its project, with the real dx and dxpy."""

import inspect
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

from local_platform.testing import UnexpectedEndError

FINAL = ("done", "failed", "terminated")
PATIENCE = 3600
"""Seconds after which a job that has not ended is terminated, unless a test says otherwise."""
LONGEST_PAUSE = 5
LOG_LINES = 40
"""Number of lines shown from the end of a job's log when a test fails."""
RELEASE = {"distribution": "Ubuntu", "release": "24.04", "version": "0"}
"""The part of a runSpec that says where an applet runs."""
RUN_OPTIONS = set(inspect.signature(dxpy.bindings.DXExecutable.run).parameters) - {
    *("self", "executable_input", "project", "kwargs")
}


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
        """Run dx to its end.

        Args:
            arguments: its command line.
            status: the exit status expected; None: any.

        Raises:
            UnexpectedEndError: it ended with another status.
        """
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
            raise UnexpectedEndError(
                f"{shlex.join(['dx', *words])} ended with exit status {done.returncode},"
                f" not {status}.\n{done.stdout}{done.stderr}"
            )
        return Result(done.stdout, done.stderr, done.returncode)


class Job:
    """A job, as it is when it is asked about."""

    def __init__(self, handler: dxpy.DXJob, dx: Dx) -> None:
        """Take a job that has been started."""
        self.id = str(handler.get_id())
        self._handler = handler
        self._dx = dx
        self._description: dict[str, Any] = {}

    @property
    def description(self) -> dict[str, Any]:
        """What the API says about it."""
        if self._description.get("state") not in FINAL:
            self._description = self._handler.describe()
        return self._description

    @property
    def state(self) -> str:
        """Its state, such as running or done."""
        return str(self.description["state"])

    @property
    def output(self) -> dict[str, Any]:
        """Its outputs by name; empty until there are any."""
        return self.description.get("output") or {}

    @property
    def failure_reason(self) -> str:
        """Why it failed, such as AppError; empty if it did not."""
        return str(self.description.get("failureReason", ""))

    @property
    def failure_message(self) -> str:
        """The sentence that says why it failed; empty if it did not."""
        return str(self.description.get("failureMessage", ""))

    @property
    def log(self) -> str:
        """What it has printed so far, standard output and standard error, without times."""
        options = ("--get-streams", "--no-timestamps", "--no-wait", "--quiet")
        return self._dx("watch", self.id, *options, status=None).stdout

    def wait(self, state: str = "done", timeout: float = PATIENCE) -> "Job":
        """Wait until it has ended, and return it.

        Args:
            state: how it should end: done, failed or terminated.
            timeout: seconds after which it is terminated.

        Raises:
            UnexpectedEndError: it ended in another state, or not in time.
        """
        __tracebackhide__ = True
        end, pause = time.monotonic() + timeout, 0.05
        while self.state not in FINAL:
            if time.monotonic() > end:
                self._handler.terminate()
                raise UnexpectedEndError(f"Not ended after {timeout:g} seconds: {self}")
            time.sleep(pause)
            pause = min(pause * 1.2, LONGEST_PAUSE)
        if self.state != state:
            raise UnexpectedEndError(f"Expected a job that is {state}, but {self}")
        return self

    def download(self, output: str) -> Any:
        """Download the file, or the files, of an output.

        Args:
            output: its name.

        Returns:
            The path of a file; for an array of files, a list of paths.
        """
        value = self.output[output]
        folder = self._dx.folder / self.id / output
        if isinstance(value, list):
            # Files of one array may have the same name.
            return [_download(link, folder / str(at)) for at, link in enumerate(value)]
        return _download(value, folder)

    def __str__(self) -> str:
        """Describe how it ended, for a person whose test failed."""
        text = f"{self.id} of {self.description['executableName']} is {self.state}"
        if self.failure_reason:
            text += f": {self.failure_reason}: {self.failure_message}"
        lines = self.log.splitlines()
        if len(lines) > LOG_LINES:
            lines = [f"({len(lines) - LOG_LINES} lines before)", *lines[-LOG_LINES:]]
        head = "Its log:" if lines else "Its log is empty."
        return "\n".join([text, head, *(f"  {line}" for line in lines)])


def _download(link: object, folder: Path) -> Path:
    """Download a file into a folder, and return its path."""
    file = dxpy.DXFile(link)
    folder.mkdir(parents=True, exist_ok=True)
    path: Path = folder / file.describe()["name"].replace("/", "%2F")
    dxpy.download_dxfile(file, str(path))
    return path


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

    def applet(self, code: str, interpreter: str = "bash", **fields: Any) -> str:
        """Make an applet from a string, as dx build would from a folder, and return its ID.

        Args:
            code: its program.
            interpreter: bash or python3.
            fields: of dxapp.json, such as inputSpec; those of runSpec are added to the usual ones.
        """
        run_spec = {"interpreter": interpreter, "code": code} | RELEASE | fields.pop("runSpec", {})
        usual = {"name": "applet", "dxapi": "1.0.0", "project": self.id, "folder": self.folder}
        return str(dxpy.api.applet_new(usual | fields | {"runSpec": run_spec})["id"])

    def start(self, applet: str, inputs: Mapping[str, object] | None = None, **options: Any) -> Job:
        """Start an applet, and return its job at once.

        Args:
            applet: its ID.
            inputs: values by name. A Path is uploaded, also in a list; the rest is sent as it is.
            options: of dxpy.DXApplet.run, such as name, instance_type, properties and depends_on,
                which also takes what this returns; folder is one below the project's.

        Raises:
            TypeError: there is no such option.
            dxpy.exceptions.DXAPIError: the platform refuses to run it, because of an input say.
        """
        __tracebackhide__ = True
        if unknown := options.keys() - RUN_OPTIONS:
            raise TypeError(f"No option for a run is called {', '.join(sorted(unknown))}")
        values = {name: self._input(value) for name, value in (inputs or {}).items()}
        options["folder"] = self._below(options.get("folder", ""))
        needed = options.get("depends_on") or []
        options["depends_on"] = [one.id if isinstance(one, Job) else one for one in needed]
        try:
            job = dxpy.DXApplet(applet, project=self.id).run(values, project=self.id, **options)
        except dxpy.exceptions.DXAPIError as error:
            # pytest would show pages of dxpy's source before the sentence that matters.
            raise error.with_traceback(None) from None
        return Job(job, self.dx)

    def run(
        self,
        applet: str,
        inputs: Mapping[str, object] | None = None,
        state: str = "done",
        timeout: float = PATIENCE,
        **options: Any,
    ) -> Job:
        """Run an applet to its end: `start` it, and `wait` for its job."""
        __tracebackhide__ = True
        return self.start(applet, inputs, **options).wait(state, timeout)

    def upload(self, path: Path, folder: str = "") -> str:
        """Upload a file into a folder below the project's, and return its ID."""
        file = dxpy.upload_local_file(
            str(path),
            project=self.id,
            folder=self._below(folder),
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

    def _below(self, folder: str) -> str:
        """Return the path of a folder that is named from the project's."""
        return f"{self.folder.rstrip('/')}/{folder.strip('/')}".rstrip("/") or "/"
