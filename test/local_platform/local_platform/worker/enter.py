"""Keeps what a failed job leaves, and opens a shell in it: `dx-local-platform enter JOB`."""

import argparse
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from local_platform.environment import API_VARIABLES
from local_platform.worker import process
from local_platform.worker.namespace import HOME

KEPT = "kept.json"
"""The file in a job's folder that says it is kept, and how to enter it."""


def keep(folder: Path, plan: Path | None, environment: dict[str, str]) -> None:
    """Note how to enter the folder of a job that has ended."""
    kept = {"plan": str(plan) if plan else None, "environment": environment}
    (folder / KEPT).write_text(json.dumps(kept))


def kept_folders(jobs: Path) -> Iterator[tuple[str, Path]]:
    """Yield the job IDs and folders of what is kept, for each job the latest try last."""
    for path in sorted(jobs.glob(f"*/{KEPT}"), key=lambda path: path.stat().st_mtime):
        yield path.parent.name.rpartition("-")[0], path.parent


def main(arguments: list[str]) -> int:
    """Read the command line and run the shell; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="dx-local-platform enter",
        description="Open a shell where a failed job ran, with its files, variables and packages.",
        epilog="Jobs are kept by: dx-local-platform --keep-failed",
    )
    parser.add_argument("job", help="ID of the job")
    parser.add_argument("command", nargs="*", help="command to run in place of a shell, after --")
    parser.add_argument(
        "--state", type=Path, help="state folder of the platform (default: that of this shell)"
    )
    options = parser.parse_intermixed_args(arguments)
    state = options.state or Path(os.environ.get("DX_USER_CONF_DIR", "")).parent
    folder = dict(kept_folders(state.expanduser().absolute() / "jobs")).get(options.job)
    if folder is None:
        parser.error(
            f"nothing is kept of {options.job} in {state}: start the platform with --keep-failed,"
            " run the job again, and name the platform's folder with --state"
        )
    return _run(folder, options.command or ["bash"])


def _run(folder: Path, command: list[str]) -> int:
    """Run a command where a job ran, and return its exit status."""
    kept = json.loads((folder / KEPT).read_text())
    # The job's token ended with it: dx works as the person who looks.
    own = {name: os.environ[name] for name in ("TERM", *API_VARIABLES) if name in os.environ}
    plan = Path(kept["plan"]) if kept["plan"] else None
    return subprocess.call(
        process.supervised(command, plan), env=kept["environment"] | own, cwd=folder / "root" / HOME
    )
