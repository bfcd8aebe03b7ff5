"""A local platform for the tests, and the real clients to drive it."""

import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dxpy
import pytest

from private_environment import LIVE_PROJECT

HERE = Path(__file__).parent
FINAL = ("done", "failed", "terminated")
PATIENCE = 60
"""Seconds after which a job that does not end is a failure."""


@dataclass
class Result:
    """What a command printed, and its exit status."""

    stdout: str
    stderr: str
    status: int


class Dx:
    """Runs the real dx in a folder of its own."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        """Prepare a client with these variables on top of the environment."""
        self.environment = os.environ | environment
        self.folder = folder

    def __call__(self, *arguments: str, status: int = 0) -> Result:
        """Run dx, expecting this exit status."""
        command = [str(Path(sys.executable).parent / "dx"), *map(str, arguments)]
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        result = Result(done.stdout, done.stderr, done.returncode)
        assert result.status == status, f"dx {arguments}: {result}"
        return result


class Platform:
    """A local platform in a process of its own, which can be killed and started again."""

    def __init__(self, state: Path) -> None:
        """Prepare a platform that keeps everything in a folder."""
        self.state = state
        self.environment: dict[str, str] = {}
        self._log = state.with_suffix(".log")
        self._seen = 0

    def start(self, port: str = "0") -> None:
        """Start it, on any free port unless one is given, and read how to reach it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "local_platform", "--state", self.state, "--port", port],
                env=os.environ | {"PYTHONPATH": str(HERE)},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        for line in self._process.stdout:
            word, _, assignment = line.partition(" ")
            if word == "export":
                name, _, value = assignment.partition("=")
                self.environment[name] = shlex.split(value)[0]
            elif word == "#":
                return
        pytest.fail(f"The platform did not start: {self._log.read_text()}")

    def stop(self) -> int:
        """End it as a person would; return its exit status."""
        return self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it without warning."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> int:
        self._process.send_signal(number)
        status = self._process.wait(30)
        self._process.stdout.close()
        return status

    @property
    def pid(self) -> int:
        """Process ID of the platform."""
        return self._process.pid

    def complaints(self) -> str:
        """Return what it logged since the last time: unknown routes and its own defects."""
        text = self._log.read_text()
        new, self._seen = text[self._seen :], len(text)
        return new

    def use(self) -> None:
        """Make dxpy in this process talk to this platform."""
        dxpy.set_api_server_info(
            host=self.environment["DX_APISERVER_HOST"],
            port=self.environment["DX_APISERVER_PORT"],
            protocol=self.environment["DX_APISERVER_PROTOCOL"],
        )
        dxpy.set_security_context(json.loads(self.environment["DX_SECURITY_CONTEXT"]))

    @property
    def port(self) -> str:
        """Port it listens on; another one after each start."""
        return self.environment["DX_APISERVER_PORT"]

    @property
    def token(self) -> str:
        """The user's token."""
        return json.loads(self.environment["DX_SECURITY_CONTEXT"])["auth_token"]

    def job_processes(self, port: str | None = None) -> list[str]:
        """Return the process IDs of jobs that were started while it listened on a port."""
        mark = f"DX_APISERVER_PORT={port or self.port}".encode()
        return [
            path.parent.name
            for path in Path("/proc").glob("[0-9]*/environ")
            if {mark, b"USER=dnanexus"} <= set(_environment(path))
        ]


def _environment(path: Path) -> list[bytes]:
    """Return the variables of a process that may just have ended."""
    try:
        return path.read_bytes().split(b"\0")
    except OSError:
        return []


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Serve one platform for all tests; none of its processes may outlive it."""
    platform = Platform(tmp_path_factory.mktemp("platform") / "state")
    platform.start()
    platform.use()
    yield platform
    assert platform.stop() == 0
    assert platform.job_processes() == []


@pytest.fixture(autouse=True)
def no_complaints(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which the platform met an unknown route or a defect of its own."""
    yield
    if "platform" in request.fixturenames:
        assert request.getfixturevalue("platform").complaints() == ""


@pytest.fixture
def project(platform: Platform, request: pytest.FixtureRequest) -> str:
    """Make a project for one test."""
    del platform
    project_id = dxpy.api.project_new({"name": request.node.name})["id"]
    dxpy.set_project_context(project_id)
    dxpy.set_workspace_id(project_id)
    return project_id


@pytest.fixture
def dx(platform: Platform, project: str, tmp_path: Path) -> Dx:
    """Run dx in an empty folder, with the test's project selected and nothing else configured."""
    folder = tmp_path / "work"
    folder.mkdir()
    own = {"DX_PROJECT_CONTEXT_ID": project, "DX_USER_CONF_DIR": str(tmp_path / "configuration")}
    return Dx(platform.environment | own, folder)


@pytest.fixture(scope="module")
def dx_anywhere(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Dx]:
    """Run dx in a folder of its own: of the live project, if there is one, else locally.

    The folder is removed at the end, from the platform it is on.
    """
    if LIVE_PROJECT:
        environment, project = {}, dxpy.DXProject(LIVE_PROJECT).get_id()
    else:
        environment = request.getfixturevalue("platform").environment
        project = dxpy.api.project_new({"name": "anywhere"})["id"]
    folder = f"/test_{secrets.token_hex(8)}"
    dxpy.set_workspace_id(project)
    dxpy.set_project_context(project)
    dxpy.DXProject(project).new_folder(folder)
    own = {"DX_PROJECT_CONTEXT_ID": project, "DX_CLI_WD": folder}
    yield Dx(environment | own, tmp_path_factory.mktemp("anywhere"))
    dxpy.DXProject(project).remove_folder(folder, recurse=True)


@pytest.fixture
def make_applet(project: str) -> Callable[..., dxpy.DXApplet]:
    """Make an applet from source, with dxpy as dx build does it."""

    def make(code: str, interpreter: str = "python3", **fields: object) -> dxpy.DXApplet:
        run_spec = {
            "interpreter": interpreter,
            "code": code,
            "distribution": "Ubuntu",
            "release": "24.04",
            "version": "0",
        } | fields.pop("runSpec", {})
        request = {"project": project, "name": "small", "dxapi": "1.0.0", "runSpec": run_spec}
        return dxpy.DXApplet(dxpy.api.applet_new(request | fields)["id"], project=project)

    return make


def until(condition: Callable[[], object]) -> object:
    """Return what a condition returns once it is true."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


def ended(job: dxpy.DXJob) -> dict:
    """Return a job's description once it has ended."""
    until(lambda: job.describe()["state"] in FINAL)
    return job.describe()


def in_state(job: dxpy.DXJob, state: str) -> dict:
    """Return a job's description once it is in a state that it passes through."""
    until(lambda: job.describe()["state"] == state)
    return job.describe()


def job_log(dx: Dx, job: dxpy.DXJob) -> str:
    """Return what a job printed."""
    return dx("watch", job.get_id(), "--get-streams", "--no-timestamps").stdout
