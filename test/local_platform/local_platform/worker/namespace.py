"""What a job sees as its machine: the private root laid over the files of this one.

The job's / is its private root. What the root does not have is shown from this machine. Where both
have a folder, the job sees the files of both, and what it writes there goes to the root (an
overlay). So paths are those of a worker, and what a job installs is removed with it.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from local_platform.worker import private_root, process

HOME = "home/dnanexus"
OWN = "opt/dnanexus"
"""What the platform itself puts into a root: log sockets, Python, temporary files."""
# Where programs are installed: what a job writes there must not reach this machine.
SHIELDED = ("bin", "etc", "lib", "lib64", "opt", "sbin", "usr", "var")
# An ordinary user's job can write only to the folders that its root has.
WRITABLE = (
    *("usr/bin", "usr/lib", "usr/share"),
    *(f"usr/local/{name}" for name in ("bin", "include", "lib", "share", "src")),
)


@dataclass(frozen=True)
class Support:
    """What this machine allows the user of the platform."""

    refusal: str | None = None
    """Why jobs cannot have namespaces; None if they can."""
    overlays: bool = False

    def seen(self, root: Path, name: str) -> str:
        """Return the path under which a job sees what lies in its root."""
        return f"/{name}" if self.refusal is None else str(root / name)


def plan(folder: Path, overlays: bool) -> Path:
    """Plan how a job's root, `folder`/root, is shown, and put what the mounts need into it.

    Returns:
        The file with the plan, for process.supervised.
    """
    planning = _Plan(folder, overlays)
    for path in Path("/").iterdir():
        planning.lay(path.name)
    # A socket is not found through an overlay.
    planning.add("bind", f"root/{OWN}", OWN)
    # Not through a link: it would lead to the machine's folder, not to the one that the job sees.
    platform = os.path.realpath(sys.prefix)
    if platform not in ("/usr", "/usr/local"):
        planning.add("frozen", platform, platform.lstrip("/"))
    for name in ("view", "work"):
        (folder / name).mkdir()
    planned = {"folder": str(folder), "home": f"/{HOME}", "mounts": planning.mounts}
    path = folder / "plan.json"
    path.write_text(json.dumps(planned))
    return path


class _Plan:
    """The mounts of one job, in their order: (kind, source, name below /)."""

    def __init__(self, folder: Path, overlays: bool) -> None:
        self.mounts: list[tuple[str, str, str]] = []
        self._root = folder / "root"
        self._overlays = overlays
        # An overlay does not show what is mounted below its folder, nor can it hold itself.
        self._keep_visible = [*_mount_points(), os.path.realpath(folder)]

    def add(self, kind: str, source: str, name: str) -> None:
        """Add a mount: bind, frozen (bind, read-only), or overlay of a source and the root."""
        self.mounts.append((kind, source, name))

    def lay(self, name: str) -> None:
        """Show what the root holds under a name, what this machine does, or both."""
        private, real = self._root / name, Path("/", name)
        if not os.path.lexists(private):
            self._show(name, private, real)
        elif (
            private.is_symlink() or not private.is_dir() or not real.is_dir() or name in (HOME, OWN)
        ):
            # The job's own comes first.
            return
        elif self._can_overlay(real):
            self._overlay(name)
        else:
            for path in real.iterdir():
                self.lay(f"{name}/{path.name}")

    def _show(self, name: str, private: Path, real: Path) -> None:
        """Show what only this machine has."""
        if real.is_symlink():
            private.symlink_to(real.readlink())
        elif not real.is_dir():
            private.touch()
            self._bind(name)
        else:
            private.mkdir()
            if name in SHIELDED and self._can_overlay(real):
                self._overlay(name)
            else:
                self._bind(name)

    def _bind(self, name: str) -> None:
        """Show what this machine has, read-only where no overlay takes what would be installed."""
        top = name.partition("/")[0]
        # Programs also write into /var while they just run.
        frozen = top in SHIELDED and top != "var"
        self.add("frozen" if frozen else "bind", f"/{name}", name)

    def _can_overlay(self, real: Path) -> bool:
        below = os.path.realpath(real) + "/"
        hidden = any(path.startswith(below) for path in self._keep_visible)
        return self._overlays and below != "/home/" and not hidden

    def _overlay(self, name: str) -> None:
        # The options of a mount are separated by commas, its lower folders by colons.
        lower = re.sub(r"([\\,:])", r"\\\1", os.path.realpath(f"/{name}"))
        self.add("overlay", lower, name)


def _mount_points() -> list[str]:
    """Return where something is mounted on this machine."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), line.split()[4]) for line in lines]


# (Folder of jobs, with overlays) that worked once. A refusal is not kept: it may be for the moment,
# as when there are too many namespaces.
_WORKED: set[tuple[Path, bool]] = set()


def support(jobs: Path) -> Support:
    """Find out by trying what is allowed where the folders of jobs lie."""
    if _refusal(jobs, overlays=True) is None:
        return Support(overlays=True)
    # An old kernel, or a container whose own root is an overlay.
    return Support(_refusal(jobs, overlays=False))


def _refusal(jobs: Path, overlays: bool) -> str | None:
    """Enter namespaces in which Python has to run; return why that failed, or None."""
    if sys.platform != "linux":
        return f"{sys.platform} has no namespaces"
    if (jobs, overlays) in _WORKED:
        return None
    folder = Path(tempfile.mkdtemp(dir=jobs))
    try:
        for name in (HOME, OWN):
            (folder / "root" / name).mkdir(parents=True)
        trial = process.supervised([sys.executable, "-S", "-c", ""], plan(folder, overlays))
        done = subprocess.run(trial, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except OSError as error:
        return str(error)
    finally:
        private_root.remove(folder)
    if done.returncode != 0:
        return done.stderr.strip()
    _WORKED.add((jobs, overlays))
    return None
