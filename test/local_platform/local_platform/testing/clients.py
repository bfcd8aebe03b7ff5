"""Points every client that a test starts at one platform: dxpy in this process, and programs.

dxpy reads a login when it is imported, so this module does not import it.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from local_platform.environment import is_foreign

NOWHERE = "ask-for-a-dx-fixture.invalid"
"""The service's host in tests that use no fixture of ours: what their errors then say."""
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
    """Set variables here and for programs, and make dxpy read them."""
    os.environ.update(variables)
    if dxpy := _imported_dxpy():
        dxpy.config = type(dxpy.config)(suppress_warning=True)


@contextlib.contextmanager
def restoring_clients() -> Iterator[None]:
    """Point the clients, at the end of the block, to where they pointed before."""
    dxpy = _imported_dxpy()
    state = {name: getattr(dxpy, name) for name in STATE} if dxpy else {}
    foreign = {name: value for name, value in os.environ.items() if is_foreign(name)}
    try:
        yield
    finally:
        set_login_aside()
        os.environ.update(foreign)
        for name, value in state.items():
            setattr(dxpy, name, value)


def set_login_aside() -> None:
    """Remove what would lead clients elsewhere: a login, a proxy."""
    for name in filter(is_foreign, list(os.environ)):
        del os.environ[name]
    if dxpy := _imported_dxpy():
        dxpy.SECURITY_CONTEXT = dxpy.AUTH_HELPER = None


@contextlib.contextmanager
def leading_nowhere() -> Iterator[None]:
    """Keep the clients away from a person's login, and from the service, in a block."""
    with restoring_clients(), tempfile.TemporaryDirectory(prefix="dnanexus_config_") as folder:
        set_login_aside()
        lead_clients({"DX_USER_CONF_DIR": folder, "DX_APISERVER_HOST": NOWHERE})
        yield


def _imported_dxpy() -> Any:
    """Return the module dxpy, or None as long as nothing has imported it."""
    return sys.modules.get("dxpy")
