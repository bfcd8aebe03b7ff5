"""What an applet needs on the worker: bundles unpacked, apt packages present.

https://documentation.dnanexus.com/developer/apps/execution-environment
"""

import lzma
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from local_platform.jobs import private_root
from local_platform.jobs.private_root import UnsafeError
from local_platform.strict_json import Hash

PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*\Z")
# Present on every worker, and here with dxpy.
ALWAYS_THERE = ("dx-toolkit", "python-argcomplete")
APT_LOCK = threading.Lock()


# What tarfile raises, and what passes through it, where an archive is broken.
ARCHIVE_ERRORS = (
    UnsafeError,
    tarfile.TarError,
    OSError,
    EOFError,
    ArithmeticError,
    LookupError,
    ValueError,
    zlib.error,
    lzma.LZMAError,
)


class BundleError(Exception):
    """A bundle cannot be unpacked; the message names it."""


class MissingPackageError(Exception):
    """A declared package cannot be had on this machine; the message names it."""


@dataclass(frozen=True)
class Bundle:
    """A bundledDepends entry: its name, and the files that hold its bytes one after another."""

    name: str
    parts: list[Path]


class _Reader:
    """Reads a file until the job is stopped: an archive may hold more than anybody waits for."""

    def __init__(self, source: BinaryIO, stopped: threading.Event) -> None:
        self._source, self._stopped = source, stopped
        self.seek, self.tell = source.seek, source.tell

    def read(self, size: int = -1) -> bytes:
        if self._stopped.is_set():
            raise BundleError("The job was stopped")
        return self._source.read(size)


def unpack(bundle: Bundle, root: Path, stopped: threading.Event) -> None:
    """Unpack an archive at the private root; anything else goes to the home folder.

    Raises:
        BundleError: the archive is broken, holds what a bundle may not hold, or was stopped.
    """
    with tempfile.TemporaryFile(dir=root.parent) as joined:
        for part in bundle.parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, joined)
        joined.seek(0)
        reader = cast("BinaryIO", _Reader(joined, stopped))
        try:
            if tarfile.is_tarfile(reader):
                with tarfile.open(fileobj=reader) as archive:
                    private_root.unpack(archive, root)
                return
        except ARCHIVE_ERRORS as error:
            raise BundleError(f"{bundle.name} could not be unpacked: {error}") from None
        joined.seek(0)
        with private_root.create(root, f"home/dnanexus/{Path(bundle.name).name}") as target:
            shutil.copyfileobj(joined, target)


def missing(exec_depends: list[Hash], function: str, path: str) -> list[str]:
    """Return the packages declared for an entry point that are not on this machine.

    A package is there when dpkg says so, or when a program of its name is on the path.

    Raises:
        MissingPackageError: one is not an apt package.
    """
    wanted = []
    for entry in exec_depends:
        name, manager = entry["name"], entry.get("package_manager", "apt")
        if function not in entry.get("stages", [function]) or name in ALWAYS_THERE:
            continue
        if manager != "apt" or not PACKAGE_NAME.match(name):
            raise MissingPackageError(
                f"execDepends: this platform installs apt packages only, not {name} from"
                f" {manager}. Put it into resources/."
            )
        if not shutil.which(name, path=path) and not _is_installed(name):
            wanted.append(name)
    return wanted


def _is_installed(package: str) -> bool:
    """Ask dpkg whether a package is installed."""
    if not shutil.which("dpkg-query"):
        return False
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    return subprocess.run(query, capture_output=True, text=True).stdout == "installed"


def install(names: list[str], run: Callable[[list[str]], int]) -> None:
    """Install apt packages, if this machine and user can; `run` runs a command.

    Raises:
        MissingPackageError: names the packages.
    """
    listed = " ".join(names)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise MissingPackageError(
            f"execDepends: not installed on this machine: {listed}. Install it and run again."
        )
    command = ["apt-get", "install", "--yes", "--", *names]
    with APT_LOCK:
        # The lists of packages may be old, or absent.
        if run(command) != 0 and (run(["apt-get", "update"]) != 0 or run(command) != 0):
            raise MissingPackageError(f"execDepends: apt-get could not install {listed}.")
