"""Leads every client that a test starts to one platform: dxpy in this process, and programs."""

import contextlib
import os
from collections.abc import Iterator, Mapping

import dxpy
from dxpy.utils.config import DXConfig

from local_platform.environment import is_foreign

STATE = (
    "APISERVER",
    "APISERVER_HOST",
    "APISERVER_PORT",
    "APISERVER_PROTOCOL",
    "AUTH_HELPER",
    "JOB_ID",
    "PROJECT_CONTEXT_ID",
    "SECURITY_CONTEXT",
    "WATCH_PORT",
    "WORKSPACE_ID",
    "config",
)
"""What dxpy reads from the environment when it is imported, and keeps."""


def lead_clients(variables: Mapping[str, str]) -> None:
    """Set variables here and for programs, and have dxpy read them."""
    os.environ.update(variables)
    dxpy.config = DXConfig(suppress_warning=True)


@contextlib.contextmanager
def restoring_clients() -> Iterator[None]:
    """Lead the clients, at the end of the block, to where they were led before."""
    state = {name: getattr(dxpy, name) for name in STATE}
    foreign = {name: value for name, value in os.environ.items() if is_foreign(name)}
    try:
        yield
    finally:
        set_login_aside()
        os.environ.update(foreign)
        for name, value in state.items():
            setattr(dxpy, name, value)


def set_login_aside() -> None:
    """Take out of the environment what would lead clients elsewhere: a login, a proxy."""
    for name in filter(is_foreign, list(os.environ)):
        del os.environ[name]
