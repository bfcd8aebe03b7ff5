"""What an applet needs on the worker: bundles unpacked, packages of apt, pip and git present.

https://documentation.dnanexus.com/developer/apps/execution-environment
"""

import itertools
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from local_platform.strict_json import Hash
from local_platform.worker import private_root
from local_platform.worker.namespace import OWN
from local_platform.worker.process import INTERVAL, OverError, Span

PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*\Z")
# Present on every worker, and here with dxpy.
ALWAYS_THERE = ("dx-toolkit", "python-argcomplete")
APT_LOCK = threading.Lock()


class BundleError(Exception):
    """A bundle cannot be unpacked; the message names it."""


class MissingPackageError(Exception):
    """A declared package is not available on this machine; the message names it."""


@dataclass(frozen=True)
class Bundle:
    """A bundledDepends entry: its name, and the files that hold its bytes one after another."""

    name: str
    parts: list[Path]


class _Reader:
    """Reads a file while the job may run: an archive may hold more than anybody waits for."""

    def __init__(self, source: BinaryIO, span: Span) -> None:
        self._source, self._span = source, span
        self.seek, self.tell = source.seek, source.tell

    def read(self, size: int = -1) -> bytes:
        self._span.check()
        return self._source.read(size)


def unpack(bundle: Bundle, root: Path, span: Span) -> None:
    """Unpack an archive at the private root; anything else goes to the home folder.

    Raises:
        BundleError: the archive is broken, or has members that a bundle may not have.
        OverError: the job's time is over.
    """
    with tempfile.TemporaryFile(dir=root.parent) as joined:
        for part in bundle.parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, joined)
        joined.seek(0)
        reader = cast("BinaryIO", _Reader(joined, span))
        try:
            if tarfile.is_tarfile(reader):
                # Python 3.10 leaves the file where it stopped reading.
                joined.seek(0)
                with tarfile.open(fileobj=reader) as archive:
                    private_root.unpack(archive, root)
                return
        except OverError:
            raise
        except Exception as error:
            # Of a broken archive, tarfile passes on whatever its parts raise.
            raise BundleError(f"{bundle.name} could not be unpacked: {error}") from None
        joined.seek(0)
        with private_root.create(root, f"home/dnanexus/{Path(bundle.name).name}") as target:
            shutil.copyfileobj(joined, target)


def declared(exec_depends: list[Hash], function: str) -> list[Hash]:
    """Return the packages declared for an entry point.

    Raises:
        MissingPackageError: names one that this platform has no way to install.
    """
    found = [one for one in exec_depends if function in one.get("stages", [function])]
    for one in found:
        name, manager = one["name"], _manager(one)
        if manager not in ("apt", "pip", "git") or (
            manager == "apt" and not PACKAGE_NAME.match(name)
        ):
            raise MissingPackageError(
                f"execDepends: this platform installs packages from apt, pip and git, not {name}"
                f" from {manager}. Put it into resources/."
            )
        if manager == "git" and not isinstance(one.get("url"), str):
            raise MissingPackageError(f"execDepends: {name} from git has no url.")
    return found


def _manager(package: Hash) -> str:
    manager: str = package.get("package_manager", "apt")
    return "pip" if manager == "pip3" else manager


def missing_apt(packages: list[Hash], path: str) -> list[str]:
    """Return which apt packages are not on this machine; git itself is one, where it is needed.

    A package is there when dpkg says so, or when a program of its name is on the path.
    """
    named = {one["name"]: None for one in packages if _manager(one) == "apt"}
    if any(_manager(one) == "git" for one in packages):
        named["git"] = None
    wanted = [name for name in named if name not in ALWAYS_THERE]
    return [
        name for name in wanted if not shutil.which(name, path=path) and not _is_installed(name)
    ]


def _is_installed(package: str) -> bool:
    """Ask dpkg whether a package is installed."""
    if not shutil.which("dpkg-query"):
        return False
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    return subprocess.run(query, capture_output=True, text=True).stdout == "installed"


def install_apt(names: list[str], run: Callable[[list[str]], int], span: Span) -> None:
    """Install apt packages on this machine, if user and machine allow it; `run` runs a command.

    Raises:
        MissingPackageError: names the packages that cannot be installed.
        OverError: the job's time is over.
    """
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise MissingPackageError(
            f"execDepends: not installed on this machine: {' '.join(names)}."
            " Install it and run again."
        )

    def install(*options: str) -> bool:
        return run(["apt-get", "install", "--yes", *options]) == 0

    # apt-get does not wait for another one.
    while not APT_LOCK.acquire(timeout=INTERVAL):
        span.check()
    try:
        # The lists of packages may be old, or absent.
        if install("--", *names) or (run(["apt-get", "update"]) == 0 and install("--", *names)):
            return
        failed = [name for name in names if not install("--simulate", "--", name)]
    finally:
        APT_LOCK.release()
    raise MissingPackageError(
        f"execDepends: apt-get could not install {' '.join(failed or names)}; see the job's log."
    )


@dataclass(frozen=True)
class Step:
    """What puts packages into a job: its line in the log, and its commands in their order."""

    title: str
    commands: list[list[str]]


def steps(packages: list[Hash], place: Callable[[str], str]) -> Iterator[Step]:
    """Yield what installs the packages of pip and git, as the service does it, in their order.

    The commands run in the job, with its PATH; `place` says where a folder of the worker is.
    """
    for manager, group in itertools.groupby(packages, _manager):
        if manager == "pip":
            atoms = [_requirement(one) for one in group]
            install = ["python3", "-m", "pip", "install", "--upgrade", "--", *atoms]
            yield Step(f"Installing pip packages {' '.join(atoms)}", [install])
        elif manager == "git":
            for one in group:
                yield Step(f"Installing git package {one['name']}", list(_clone(one, place)))


def _requirement(package: Hash) -> str:
    return (
        f"{package['name']}=={package['version']}" if "version" in package else str(package["name"])
    )


def _clone(package: Hash, place: Callable[[str], str]) -> Iterator[list[str]]:
    url = package["url"]
    folder = place(str(package.get("destdir", f"/{OWN}/git/{package['name']}")))
    clone = f"{folder}/{url.rstrip('/').rsplit('/', 1)[-1].removesuffix('.git')}"
    yield ["git", "clone", "--", url, clone]
    if "tag" in package:
        yield ["git", "-C", clone, "checkout", str(package["tag"]), "--"]
    if "build_commands" in package:
        build = str(package["build_commands"])
        yield ["bash", "-e", "-c", 'cd -- "$0"; eval "$1"', clone, build]
