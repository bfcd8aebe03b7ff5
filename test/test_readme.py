"""What the pages show of the code is the code, and what they have people type works."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bam_builder import build_bam, index_bam, sam_line
from demo_bam import build_demo

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
LESSON = (ROOT / "src/README.md").read_text()
EXCERPTS = re.findall(r"```python\n(.*?)```", LESSON, re.DOTALL)
SOURCES = [
    path.read_text()
    for path in (
        ROOT / "dxapp.json",
        ROOT / "src/applet.py",
        *(ROOT / "resources/home/dnanexus").glob("*.py"),
        ROOT / "test/tutorial/dxapp.json",
        ROOT / "test/tutorial/src/tutorial.py",
    )
]


def squeeze(text: str) -> str:
    """Return a text without white space: an excerpt is indented and wrapped otherwise."""
    return re.sub(r"\s+", "", text)


def test_there_are_excerpts():
    assert len(EXCERPTS) > 5


@pytest.mark.parametrize("excerpt", EXCERPTS, ids=lambda excerpt: excerpt.split("(")[0])
def test_an_excerpt_is_a_piece_of_the_source(excerpt):
    assert any(squeeze(excerpt) in squeeze(source) for source in SOURCES)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([a-z]+_[a-z_]+)`", LESSON))))
def test_a_name_in_the_lesson_is_one_of_the_source(name):
    assert any(re.search(rf"\b{name}\b", source) for source in SOURCES)


def test_what_the_job_says_in_troubleshooting_is_what_it_says():
    # A message may be written as several strings, one after the other.
    messages = re.sub(r'"\s+f?"', "", "".join(SOURCES))
    rows = re.findall(r"^\| (`.* .*?`) \| .* \| .* \|$", README, re.MULTILINE)
    words = [part for row in rows for part in re.split(r"`, `|`| \.\.\. ", row) if part]
    assert len(words) > 5
    assert [part for part in words if part not in messages] == []


def test_the_counts_of_the_readme_are_those_of_the_demo(tmp_path):
    rows = subprocess.check_output(["samtools", "idxstats", build_demo(tmp_path)[0]], text=True)
    counts = {
        name: int(mapped) + int(unmapped)
        for name, _, mapped, unmapped in (row.split("\t") for row in rows.splitlines())
    }
    total = sum(counts.values()) - counts["*"]
    lines = {f"Region {name}: {count}" for name, count in counts.items()} | {
        f"Total reads: {total}"
    }
    shown = README.split("```")[1].split("\n")
    assert set(shown) - {"", "..."} <= lines


def test_the_batch_lines_count_each_of_three_bams(dx):
    generate, run = re.findall(r"^dx (.*batch.*)$", README, re.MULTILINE)
    names = [f"sample{number}" for number in range(1, 4)]
    for number, name in enumerate(names, 1):
        lines = [sam_line(f"r{n}", "chr1", 1 + n) for n in range(number)]
        bam = build_bam(dx.folder / f"{name}.bam", [("chr1", 900)], lines)
        index_bam(bam, dx.folder / f"{name}.bam.bai")
    dx("upload", *(f"{name}.{suffix}" for name in names for suffix in ("bam", "bam.bai")), "--wait")
    dx("build", str(ROOT))
    assert "Found 3 valid batch IDs" in dx(*shlex.split(generate)).stderr
    dx("wait", *dx(*shlex.split(run), "--brief").stdout.strip().split(","))
    counts = [dx("cat", f"{name}_count.txt").stdout for name in names]
    assert counts == [f"Region chr1: {n}\nTotal reads: {n}" for n in (1, 2, 3)]


def test_your_own_applet_is_made_as_the_lesson_says(tmp_path):
    """What it has people type is typed into a shell, but for the installation (test_package.py)."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, module in (("dx-local-platform", "local_platform"), ("pytest", "pytest")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        program.chmod(0o755)
    environment = os.environ | {
        "HOME": str(tmp_path),
        "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "test/local_platform"),
        "PYTEST_ADDOPTS": "-p local_platform.pytest_plugin",
    }
    build = [sys.executable, ROOT / "test/tutorial_bams.py", tmp_path / "wrong"]
    subprocess.run(build, check=True)
    session = LESSON.partition("## Your own applet")[2]
    shell = subprocess.run(
        ["bash"],
        cwd=ROOT,
        env=environment,
        input="".join(re.findall(r"```sh\n(.*?)```", session, re.DOTALL)),
        capture_output=True,
        text=True,
    )
    assert "Region HLA-A*01:01: 3\n" in shell.stdout, shell
    assert "1 passed" in shell.stdout, shell
