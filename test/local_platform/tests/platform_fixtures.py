"""What the tests of the local platform have in common, beyond its own fixtures."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dxpy
import pytest

from faulty_server import FaultyServer
from local_platform.testing.local import LocalPlatform
from local_platform.testing.project import FINAL, Dx

PATIENCE = 60
"""Seconds after which a job that does not end is a failure."""


@pytest.fixture
def make_applet(dx_applet: Callable[..., str], dx_project: str) -> Callable[..., dxpy.DXApplet]:
    """Make an applet like dx_applet, in Python if nothing else is said, as a handler."""

    def make(code: str, interpreter: str = "python3", **fields: object) -> dxpy.DXApplet:
        applet = dx_applet(code, interpreter, **{"name": "small"} | fields)
        return dxpy.DXApplet(applet, project=dx_project)

    return make


@pytest.fixture
def upload(dx_project: str) -> Callable[[Path], dict]:
    """Upload a file to the test's project, and return a link to it."""
    del dx_project
    return lambda path: dxpy.dxlink(dxpy.upload_local_file(str(path), wait_on_close=True))


@pytest.fixture
def server(dx_platform: LocalPlatform, dx_project: str) -> Iterator[FaultyServer]:
    """Stand between dxpy and the platform."""
    del dx_project
    with FaultyServer(dx_platform.port) as server:
        dxpy.set_api_server_info(host="127.0.0.1", port=server.port, protocol="http")
        yield server
        dx_platform.use()


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
