"""Fixtures that several test files share."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# dx build uploads all of resources/: compiled files must not appear there.
sys.dont_write_bytecode = True

# A background job of a script ignores an interrupt, and so would every program that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

import applet  # noqa: E402 - after the switch above
from run_main import run_main  # noqa: E402
from subjobs import make_inputs, read_counts  # noqa: E402

pytest_plugins = ["platform_fixtures", "browser_fixtures", "web_page"]

Count = Callable[..., str]


@pytest.fixture
def count() -> Count:
    """Do what main does, without download and upload: count(bam, index, **inputs) -> count file."""
    return run_main


@pytest.fixture(params=["normal", "smallest tasks"])
def task_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Split the workload as usual, and then into the smallest tasks that are possible."""
    if request.param == "smallest tasks":
        monkeypatch.setattr("tasks.SMALLEST_TASK", 1)
        monkeypatch.setattr("tasks.SMALLEST_CHUNK", 0)
    return request.param


@pytest.fixture
def count_on_machines(
    upload: Callable[[Path], dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Count:
    """Count like `count`, with the files on a platform, and on several machines: all are here."""

    def count_here(shares: list, *parameters: object) -> list:
        inputs = make_inputs(*parameters)
        outputs = []
        for number, share in enumerate(shares, 1):
            monkeypatch.setenv("HOME", str(tmp_path / f"machine{number}"))
            outputs.append((applet.count_share(**inputs, number=number), share))
        return outputs

    monkeypatch.setenv("HOME", str(tmp_path / "machine0"))
    monkeypatch.setattr(applet, "start_subjobs", count_here)
    monkeypatch.setattr(applet, "collect_counts", lambda done: [read_counts(*one) for one in done])

    def count_bam(bam: Path, index: Path | None = None, **inputs: int) -> str:
        links = (upload(bam), upload(index) if index else None)
        return run_main(*links, **{"machines": 3} | inputs)

    return count_bam


@pytest.fixture
def small_disk(request: pytest.FixtureRequest, tmp_path: Path):
    """A folder on a disk of its own with room for 64 KiB, or as much as a test asks for."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    size = f"size={getattr(request, 'param', '64k')}"
    mount = ["mount", "-t", "tmpfs", "-o", size, "none", str(folder)]
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
