"""Runs a command as an ordinary user, for tests that root runs: ordinary_user.py PATH:... COMMAND.

The paths, those of the interpreter for example, may lie in folders that are open to root only. So
it wants a mount namespace of its own, in which they are shown in open folders.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

USER = 65534
"""The user nobody, which owns nothing that a test could damage."""


def closed_folder(path: Path) -> Path | None:
    """Return the topmost folder on the way to a path that others may not pass."""
    ways = [folder for folder in reversed(path.parents) if not folder.stat().st_mode & 0o001]
    return ways[0] if ways else None


def open_ways(paths: list[Path]) -> None:
    """Show the paths in place of the closed folders in which they lie."""
    closed = {path: folder for path in paths if (folder := closed_folder(path))}
    holds = {path: tempfile.mkdtemp() for path in closed}
    for path, hold in holds.items():
        subprocess.run(["mount", "--bind", path, hold], check=True)
    for folder in set(closed.values()):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", folder], check=True)
    for path, hold in holds.items():
        path.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--move", hold, path], check=True)
        Path(hold).rmdir()


if __name__ == "__main__":
    open_ways([Path(path) for path in sys.argv[1].split(":")])
    os.setgroups([])
    os.setgid(USER)
    os.setuid(USER)
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - the test's own command
