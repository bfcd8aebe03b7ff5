"""Fixtures that several test files share."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# dx build uploads all of resources/: compiled files must not appear there.
sys.dont_write_bytecode = True

from counting import count_to_text  # noqa: E402 - after the switch above
from filters import Filters  # noqa: E402

pytest_plugins = ["platform_fixtures"]

Count = Callable[..., str]


@pytest.fixture
def count(tmp_path: Path) -> Count:
    """Do what main does, less download and upload: count(bam, index, **filters) -> count file."""

    def count_bam(bam: Path, index: Path | None = None, **filters: int) -> str:
        work_folder = tmp_path / "work"
        work_folder.mkdir(exist_ok=True)
        return count_to_text(bam, index, work_folder, Filters(**filters))

    return count_bam


@pytest.fixture
def small_disk(tmp_path: Path):
    """A folder on a disk of its own with room for 64 KiB."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("making a small disk needs the right to mount one")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def sabotage_samtools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a samtools on PATH that runs some shell line first; after it, the real one runs."""

    def sabotage(shell_line: str) -> None:
        real = subprocess.check_output(["which", "samtools"], text=True).strip()
        folder = tmp_path / "bin"
        folder.mkdir()
        script = folder / "samtools"
        script.write_text(f'#!/bin/sh\n{shell_line}\nexec {real} "$@"\n')
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    return sabotage
