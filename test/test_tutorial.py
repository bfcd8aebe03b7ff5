"""The tutorial's applet counts ordinary BAM files; of those, our count file is the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bam_builder import build_bam, index_bam, sam_line
from local_platform.testing.live import LiveProject
from local_platform.testing.local import LocalPlatform
from local_platform.testing.project import Project

ROOT = Path(__file__).parent.parent
TUTORIAL = ROOT / "test/tutorial"
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


def count(project: Project, applet: str, bam: Path) -> Path:
    """Run an applet on a BAM file and its index; return its count file."""
    index = bam.with_name(f"{bam.name}.bai")
    inputs = {"mappings_sorted_bam": bam, "mappings_sorted_bai": index}
    return project.run(applet, inputs).download("count_file")


def test_our_count_file_is_the_tutorials_byte_for_byte(project: Project, tmp_path: Path) -> None:
    tutorial, ours = project.build_applet(TUTORIAL), project.build_applet(ROOT)
    for name, records in (("sample 1.sorted.bam", RECORDS), ("no reads", [])):
        bam = build_bam(tmp_path / name, REGIONS, records)
        index_bam(bam, tmp_path / f"{name}.bai")
        theirs = count(project, tutorial, bam)
        same = count(project, ours, bam)
        assert same.read_bytes() == theirs.read_bytes()
        assert same.name == theirs.name
