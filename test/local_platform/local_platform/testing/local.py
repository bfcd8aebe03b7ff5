"""A local platform in a process of its own, and projects on it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dxpy

import local_platform
from local_platform.store import stand_ins
from local_platform.testing import COMPLAINT, PlatformError
from local_platform.testing.clients import lead_clients, restoring_clients, set_login_aside
from local_platform.testing.faults import Faults
from local_platform.testing.project import Project

PACKAGES = Path(local_platform.__file__).parents[1]
"""Where the platform is imported from, installed or not."""
PATIENCE = 30
"""Seconds that a platform may take to end."""


class LocalPlatform:
    """A platform of our own, which runs in a `with` block; it can be killed and started again."""

    def __init__(
        self, state: Path | None = None, prefix: Sequence[str] = (), **variables: str
    ) -> None:
        """Prepare a platform.

        Args:
            state: folder that it keeps everything in, which need not exist; what the platform
                reports goes into a file beside it. None: one that is removed after the block.
            prefix: a command that runs it, such as one that changes the user.
            variables: of its environment, beside those of this process.
        """
        self._left = contextlib.ExitStack()
        if state is None:
            folder = tempfile.TemporaryDirectory(prefix="dx_platform_")
            state = Path(self._left.enter_context(folder)) / "state"
        self.state = state
        self._log = state.with_suffix(".log")
        self._prefix = prefix
        self._variables = variables
        self._seen = 0
        self.environment: dict[str, str] = {}
        """The variables that point clients here."""
        self.faults = Faults(self._order)

    def __enter__(self) -> "LocalPlatform":
        """Start it."""
        self.start()
        return self

    def __exit__(self, raised: object, *_: object) -> None:
        """End it.

        Raises:
            PlatformError: it ended with an error, left processes of jobs behind, or could not do
                something that nothing else has reported.
        """
        with self._left:
            status, processes = self.stop(), self.job_processes()
            said = self.complaints()
        if raised is None and (status or processes or said):
            raise PlatformError(
                f"The local platform ended with exit status {status}; processes of jobs that"
                f" outlived it: {', '.join(processes) or 'none'}\n{said}"
            )

    def start(self, port: str = "0") -> None:
        """Start it, on the port of last time unless one is given, and read how to reach it.

        Raises:
            PlatformError: it did not start.
        """
        path = os.pathsep.join(filter(None, [str(PACKAGES), os.environ.get("PYTHONPATH")]))
        module = [sys.executable, "-m", "local_platform.testing"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, *module, str(self.state), port],
                env=os.environ | self._variables | {"PYTHONPATH": path},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.environment = self._reply()

    def use(self) -> None:
        """Point the clients here; after a start on another port, once more."""
        lead_clients(self.environment)

    def stop(self) -> int:
        """Close its standard input, with which it ends, and return its exit status."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()
        return self._process.wait(PATIENCE)

    def kill(self) -> None:
        """End it without warning."""
        self._process.kill()
        self.stop()

    def reset(self) -> None:
        """Stop it, forget everything, and start it again on the same port."""
        self.stop()
        shutil.rmtree(self.state)
        self.start(self.port)

    def stand_in(self, object_id: str, path: str | Path | None = None) -> None:
        """Let a local file stand in for an object that only the service has.

        Args:
            object_id: file-xxxx, record-xxxx (an asset), or project-xxxx:/folder/name.
            path: the file, for an asset an archive that is unpacked at /; None: an empty one.

        Raises:
            LineError: the ID has another form.
            OSError: there is no such file.
        """
        line = f"{object_id} = {Path(path).absolute() if path else ''}"
        stand_ins.read(line, Path())
        self._order(line)

    def _order(self, order: object) -> Any:
        """Give it an order, and return its reply."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            raise self._ended() from None
        return self._reply()

    def _reply(self) -> Any:
        """Read a line that it prints."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        return json.loads(line)

    def _ended(self) -> PlatformError:
        """Return what to raise when it is no longer there."""
        return PlatformError(f"The local platform has ended:\n{self._log.read_text()}")

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
        """Return what it reported since the last time: unknown routes and its own defects."""
        text = self._log.read_text()
        new, self._seen = text[self._seen :], len(text)
        lines = [line for line in new.splitlines() if line.startswith(COMPLAINT)]
        return "".join(f"{json.loads(line.removeprefix(COMPLAINT))}\n" for line in lines)

    def job_processes(self) -> list[str]:
        """Return the process IDs of its jobs."""
        mark = f"DX_APISERVER_PORT={self.port}".encode()
        return [
            path.parent.name
            for path in Path("/proc").glob("[0-9]*/environ")
            if {mark, b"USER=dnanexus"} <= set(read_environment(path))
        ]

    @contextlib.contextmanager
    def new_project(self, name: str, folder: Path | None = None) -> Iterator[Project]:
        """Make a project and point all clients at it, until the end of the block.

        Args:
            name: of the project.
            folder: here, for what dx keeps; it runs in a folder `work` of it. None: one that is
                removed with the project.

        Raises:
            PlatformError: the platform has ended, or could not do what was asked in the block.
        """
        if not self.running:
            raise self._ended()
        with contextlib.ExitStack() as stack:
            if folder is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dx_")))
            stack.enter_context(restoring_clients())
            set_login_aside()
            lead_clients(self.environment)
            project_id = dxpy.api.project_new({"name": name})["id"]
            lead_clients({"DX_PROJECT_CONTEXT_ID": project_id})
            try:
                yield Project(project_id, "/", folder)
            finally:
                if self.running:
                    _leave(project_id)
        if complaints := self.complaints():
            raise PlatformError(f"The local platform could not do what was asked:\n{complaints}")


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
