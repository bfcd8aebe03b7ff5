"""A local platform in a process of its own, and projects on it."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import dxpy
import pytest

import local_platform
from local_platform.testing.clients import lead_clients, restoring_clients, set_login_aside
from local_platform.testing.faults import FOLDER_VARIABLE, Faults
from local_platform.testing.project import Project

PACKAGES = Path(local_platform.__file__).parents[1]
"""Where the platform is imported from, installed or not."""
PATIENCE = 30
"""Seconds that a platform may take to end."""


class LocalPlatform:
    """A platform of our own, which can be killed and started again."""

    def __init__(self, state: Path, prefix: Sequence[str] = (), **variables: str) -> None:
        """Prepare a platform that keeps everything in a folder, which need not exist.

        Args:
            state: the folder.
            prefix: a command that runs it, such as one that changes the user.
            variables: of its environment, beside those of this process.
        """
        self.state = state
        self._prefix = prefix
        self.environment: dict[str, str] = {}
        faults = state.with_suffix(".faults")
        self.faults = Faults(faults)
        self._variables = {FOLDER_VARIABLE: str(faults)} | variables
        self._log = state.with_suffix(".log")
        self._seen = 0

    def start(self, port: str = "0") -> None:
        """Start it, on the port of last time unless one is given, and read how to reach it."""
        path = os.pathsep.join(filter(None, [str(PACKAGES), os.environ.get("PYTHONPATH")]))
        module = [sys.executable, "-m", "local_platform.testing"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, *module, "--state", str(self.state), "--port", port],
                env=os.environ | self._variables | {"PYTHONPATH": path},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, _, assignment = line.partition(" ")
            if word == "export":
                name, _, value = assignment.partition("=")
                self.environment[name] = shlex.split(value)[0]
            elif word == "#":
                return
        pytest.fail(f"The local platform did not start:\n{self._log.read_text()}")

    def use(self) -> None:
        """Lead the clients here; after a start on another port, once more."""
        lead_clients(self.environment)

    def stop(self) -> int:
        """End it as a person would; return its exit status."""
        return self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it without warning."""
        self._end(signal.SIGKILL)

    def reset(self) -> None:
        """Stop it, forget everything, and start it again on the same port."""
        self.stop()
        shutil.rmtree(self.state)
        self.start(self.port)

    def _end(self, number: int) -> int:
        process = self._process
        process.send_signal(number)
        status = process.wait(PATIENCE)
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()
        return status

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process ID of the platform."""
        return self._process.pid

    @property
    def port(self) -> str:
        """Port it listens on."""
        return self.environment["DX_APISERVER_PORT"]

    @property
    def token(self) -> str:
        """The user's token."""
        token: str = json.loads(self.environment["DX_SECURITY_CONTEXT"])["auth_token"]
        return token

    def complaints(self) -> str:
        """Return what it logged since the last time: unknown routes and its own defects."""
        text = self._log.read_text()
        new, self._seen = text[self._seen :], len(text)
        return new

    def job_processes(self) -> list[str]:
        """Return the process IDs of its jobs."""
        mark = f"DX_APISERVER_PORT={self.port}".encode()
        return [
            path.parent.name
            for path in Path("/proc").glob("[0-9]*/environ")
            if {mark, b"USER=dnanexus"} <= set(read_environment(path))
        ]

    @contextlib.contextmanager
    def new_project(self, name: str, folder: Path) -> Iterator[Project]:
        """Make a project and lead all clients into it, until the end of the block.

        Args:
            name: of the project.
            folder: here, for what dx keeps; it runs in a folder `work` of it.
        """
        if not self.running:
            pytest.fail(f"The local platform has ended:\n{self._log.read_text()}")
        with restoring_clients():
            set_login_aside()
            lead_clients(self.environment)
            project_id = dxpy.api.project_new({"name": name})["id"]
            lead_clients({"DX_PROJECT_CONTEXT_ID": project_id})
            try:
                yield Project(project_id, "/", folder)
            finally:
                if self.running:
                    _leave(project_id)


def _leave(project_id: str) -> None:
    """Remove a project with its jobs, unless the test has done so."""
    with contextlib.suppress(dxpy.exceptions.ResourceNotFound):
        dxpy.api.project_destroy(project_id, {"terminateJobs": True})


def read_environment(path: Path) -> list[bytes]:
    """Return the variables of a process that may just have ended."""
    try:
        return path.read_bytes().split(b"\0")
    except OSError:
        return []
