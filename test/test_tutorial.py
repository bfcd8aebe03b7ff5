"""The tutorial's applet counts ordinary files like ours, and goes wrong as the lesson says."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dxpy
import pytest

from bam_builder import build_bam, index_bam, sam_line
from local_platform.testing.live import LiveProject
from local_platform.testing.local import LocalPlatform
from local_platform.testing.project import Project

ROOT = Path(__file__).parent.parent
LESSON = (ROOT / "src/README.md").read_text()
# A BAM file, and what the two applets say of it.
ROWS = re.findall(r"^\| `(\w+\.bam)` \|.*\| (.*) \| (.*) \|$", LESSON, re.MULTILINE)
REGIONS = [("chr1", 9000), ("chrEmpty", 9000), ("chr2", 9000), ("chrM", 100)]
RECORDS = [
    *(sam_line(f"a{n}", "chr1", n) for n in range(1, 300)),
    *(sam_line(f"flag{flag}", "chr2", 5, flag=flag) for flag in (256, 512, 1024, 2048)),
    sam_line("mate", "chr2", 5, flag=133),
    sam_line("m", "chrM", 91),
    sam_line("unplaced"),
]


@pytest.fixture(scope="module")
def project(
    dx_platform: LocalPlatform | LiveProject, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """A project for all tests of this file."""
    with dx_platform.new_project("tutorial", tmp_path_factory.mktemp("tutorial")) as project:
        yield project


@pytest.fixture(scope="module")
def tutorial(project: Project) -> str:
    """The tutorial's applet."""
    return project.build_applet(ROOT / "test/tutorial")


@pytest.fixture(scope="module")
def ours(project: Project) -> str:
    """This applet."""
    return project.build_applet(ROOT)


@pytest.fixture(scope="module")
def bams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of BAM files that the lesson has its readers build."""
    folder = tmp_path_factory.mktemp("wrong")
    subprocess.run([sys.executable, ROOT / "test/tutorial_bams.py", folder], check=True)
    return folder


def inputs(bam: Path) -> dict[str, Path]:
    """Return the inputs of both applets: a BAM file, and the index beside it if there is one."""
    index = bam.with_name(f"{bam.name}.bai")
    given = {"mappings_sorted_bai": index} if index.exists() else {}
    return {"mappings_sorted_bam": bam, **given}


@pytest.mark.parametrize(("name", "records"), [("a 1.sorted.bam", RECORDS), ("no reads", [])])
def test_our_count_file_is_the_tutorials_byte_for_byte(
    project: Project, tutorial: str, ours: str, tmp_path: Path, name: str, records: list[str]
) -> None:
    bam = build_bam(tmp_path / name, REGIONS, records)
    index_bam(bam, tmp_path / f"{name}.bai")
    theirs = project.run(tutorial, inputs(bam)).download("count_file")
    same = project.run(ours, inputs(bam)).download("count_file")
    assert same.read_bytes() == theirs.read_bytes()
    assert same.name == theirs.name


def test_the_lesson_shows_every_bam_that_is_built_for_it(bams: Path) -> None:
    assert {name for name, _, _ in ROWS} == {bam.name for bam in bams.glob("*.bam")}


@pytest.mark.parametrize(("name", "cell"), [(name, cell) for name, cell, _ in ROWS])
def test_the_tutorials_applet_goes_wrong_as_the_lesson_says(
    project: Project, tutorial: str, bams: Path, name: str, cell: str
) -> None:
    check(project, tutorial, bams / name, cell)


@pytest.mark.parametrize(("name", "cell"), [(name, cell) for name, _, cell in ROWS])
def test_this_applet_answers_as_the_lesson_says(
    project: Project, ours: str, bams: Path, name: str, cell: str
) -> None:
    check(project, ours, bams / name, cell)


def check(project: Project, applet: str, bam: Path, cell: str) -> None:
    """Run an applet on a BAM file, and look for what a cell of the lesson says about it."""
    kind, words, _ = cell.split("`")
    if kind == "refused: ":
        with pytest.raises(dxpy.exceptions.DXAPIError, match=words):
            project.run(applet, inputs(bam))
    elif kind == "fails: ":
        assert words in project.run(applet, inputs(bam), state="failed").failure_message
    else:
        counts = project.run(applet, inputs(bam)).download("count_file").read_text()
        assert words in counts.splitlines()
