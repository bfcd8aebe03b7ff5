"""What the README shows of the code is the code, and what it has people type works."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bam_builder import build_bam, index_bam, sam_line

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
LESSON = (ROOT / "src/README.md").read_text()
NAIVE_LOOP, *EXCERPTS = re.findall(r"```python\n(.*?)```", LESSON, re.DOTALL)
SOURCES = [ROOT / "src/applet.py", *(ROOT / "resources/home/dnanexus").glob("*.py")]


def squeeze(text: str) -> str:
    """Return a text without white space: an excerpt is indented and wrapped otherwise."""
    return re.sub(r"\s+", "", text)


def test_there_are_excerpts():
    assert len(EXCERPTS) > 5


@pytest.mark.parametrize("excerpt", EXCERPTS, ids=lambda excerpt: excerpt.split("(")[0])
def test_an_excerpt_is_a_piece_of_the_source(excerpt):
    assert any(squeeze(excerpt) in squeeze(source.read_text()) for source in SOURCES)


def test_an_excerpt_of_dxapp_is_in_it():
    (excerpt,) = re.findall(r"```json\n(.*?)```", LESSON, re.DOTALL)
    assert squeeze(excerpt) in squeeze((ROOT / "dxapp.json").read_text())


@pytest.mark.parametrize(
    "name", set(re.findall(r"`([a-z_]+)`", LESSON)) & {"plan_calls", "merge_counts", "read_index"}
)
def test_functions_that_are_named_are_there(name):
    assert any(f"def {name}(" in source.read_text() for source in SOURCES)


def test_the_naive_loop_is_an_applet_that_counts_an_ordinary_bam(dx):
    folder = dx.folder / "naive"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "naive.py").write_text(NAIVE_LOOP)
    specification = {
        "name": "naive",
        "inputSpec": [{"name": "mappings_sorted_bam", "class": "file"}],
        "outputSpec": [{"name": "count_file", "class": "file"}],
        "runSpec": {
            "interpreter": "python3",
            "file": "src/naive.py",
            "distribution": "Ubuntu",
            "release": "24.04",
            "version": "0",
        },
    }
    (folder / "dxapp.json").write_text(json.dumps(specification))
    lines = [*(sam_line(f"r{n}", "chr1", 1 + n) for n in range(5)), sam_line("u")]
    build_bam(dx.folder / "sample.bam", [("chr1", 900), ("chr2", 900)], lines)
    dx("upload", "sample.bam", "--wait", "--brief")
    dx("build", "naive")
    dx("run", "naive", "-imappings_sorted_bam=sample.bam", "-y", "--watch")
    assert dx("cat", "counts.txt").stdout == "Region chr1: 5\nRegion chr2: 0\nTotal reads: 5"


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


def test_an_applet_of_your_own_is_made_as_the_readme_says(dx):
    session = LESSON.partition("## An applet of your own")[2]
    first, answers, rest = re.findall(r"```\n(.*?)```", session, re.DOTALL)
    typed = "".join(re.sub(r"^.*?: ?(\S.*)?$", r"\1", line) + "\n" for line in answers.splitlines())
    _, wizard = first.splitlines()

    def type_command(line: str, stdin: str = "") -> str:
        done = subprocess.run(
            ["bash", "-ec", line],
            cwd=dx.folder,
            env=dx.environment | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            input=stdin,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done
        return done.stdout

    assert "App directory created!" in type_command(wizard, typed)
    assert "Output: lines = 3" in type_command(rest)
