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
from machines import make_part_inputs, read_part, share_calls  # noqa: E402

pytest_plugins = ["platform_fixtures", "browser_fixtures", "web_page"]

Count = Callable[..., str]


@pytest.fixture
def count_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keep what count files hold, instead of uploading them."""
    texts: list[str] = []

    def keep_count_file(paths: dict[str, Path], summary: object) -> dict:  # noqa: ARG001
        texts.append(os.fsdecode(paths["count_file"].read_bytes()))
        return {}

    monkeypatch.setattr(applet, "upload_outputs", keep_count_file)
    return texts


@pytest.fixture
def count(count_files: list[str], monkeypatch: pytest.MonkeyPatch) -> Count:
    """Do what main does, less download and upload: count(bam, index, **inputs) -> count file."""

    def count_bam(bam: Path, index: Path | None = None, **inputs: int | str) -> str:
        monkeypatch.setattr(applet, "download_inputs", lambda _: (bam, index))
        applet.main({}, {"given": True} if index else None, **inputs)
        return count_files.pop()

    return count_bam


@pytest.fixture
def count_parts(
    upload: Callable[[Path], dict],
    count_files: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Count:
    """Count like `count`, with the files on a platform, and in parts, in this process."""

    def count_here(machines: int, cpus: int, calls: list, *rest: object) -> list:
        inputs = make_part_inputs(machines, cpus, *rest)
        return [
            read_part(applet.count_part(**inputs, number=number), share)
            for number, share in enumerate(share_calls(calls, machines))
        ]

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(applet, "count_on_machines", count_here)

    def count_bam(bam: Path, index: Path | None = None, **inputs: int) -> str:
        applet.main(upload(bam), upload(index) if index else None, **{"machines": 3} | inputs)
        return count_files.pop()

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
