"""What the tests of the local platform have in common, beyond its own fixtures."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dxpy
import pytest
from dxpy.utils.job_log_client import DXJobLogStreamClient

from local_platform.testing.project import FINAL, RELEASE

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


def write_applet(folder: Path, code: str, interpreter: str = "bash", **fields: Any) -> None:
    """Write the source of an applet, as dx build reads it; fields are those of dxapp.json."""
    folder.mkdir(parents=True)
    (folder / "code").write_text(code)
    run_spec = {"interpreter": interpreter, "file": "code"} | RELEASE | fields.pop("runSpec", {})
    dxapp = {"name": folder.name, "dxapi": "1.0.0", "inputSpec": [], "outputSpec": []}
    (folder / "dxapp.json").write_text(json.dumps(dxapp | fields | {"runSpec": run_spec}))


def until(condition: Callable[[], object]) -> object:
    """Return what a condition returns once it is true."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, "the condition did not become true"
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


def read_log(job: dxpy.DXJob, to_end: bool = True, **choice: object) -> list[dict]:
    """Return the messages of a job's log, read as dx watch reads them, but in this process.

    Args:
        job: whose log it is.
        to_end: whether to wait until the job has ended.
        choice: what else dx watch sends to choose messages, such as levels or tree.
    """
    messages: list[dict] = []
    DXJobLogStreamClient(
        job.get_id(),
        input_params={"numRecentMessages": 1 << 18, "tail": to_end} | choice,
        msg_callback=messages.append,
        print_job_info=False,
        exit_on_failed=False,
    ).connect()
    return messages


def job_log(job: dxpy.DXJob, **choice: object) -> str:
    """Return what a job's program printed; choice as for read_log."""
    return "".join(
        f"{message['msg']}\n"
        for message in read_log(job, **choice)
        if message["level"] in ("STDOUT", "STDERR")
    )
