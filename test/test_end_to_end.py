"""The applet from build to download, with the real dx: on a local platform, or on a live one."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import dxpy
import dxpy.app_builder
import pytest

from bam_builder import build_bam, index_bam, sam_line
from local_platform.testing.live import LiveProject
from local_platform.testing.local import LocalPlatform
from local_platform.testing.project import Dx, Project

APPLET = Path(__file__).parent.parent
NAME = json.loads((APPLET / "dxapp.json").read_text())["name"]
CONTIGS = [("chr1", 1000), ("chr2", 500), ("HLA-A*01:01", 300)]
RECORDS = [
    *(sam_line(f"a{position}", "chr1", position) for position in range(1, 8)),
    sam_line("b", "HLA-A*01:01", 5),
    sam_line("unplaced"),
]
COUNTS = "Region chr1: 7\nRegion chr2: 0\nRegion HLA-A*01:01: 1\nTotal reads: 8"
HOSTILE = "ä [x] $(touch y); *'\"&.bam"


@pytest.fixture(scope="module")
def project(
    dx_platform: LocalPlatform | LiveProject, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """Build the applet with dx build, once for all tests."""
    with dx_platform.new_project("end_to_end", tmp_path_factory.mktemp("end_to_end")) as project:
        project.build_applet(APPLET)
        yield project


@pytest.fixture
def built(project: Project) -> Dx:
    """Run dx where the applet has been built."""
    return project.dx


def test_dx_build_prints_the_applet_and_no_warning(dx: Dx, tmp_path: Path) -> None:
    # dx build warns where a folder is not named like its applet.
    source = tmp_path / NAME
    source.symlink_to(APPLET)
    result = dx("build", str(source))
    assert list(json.loads(result.stdout)) == ["id"]
    assert result.stderr == ""


def upload(dx: Dx, name: str, records: Iterable[str] = RECORDS) -> str:
    """Build a BAM file, upload it, and return its ID."""
    build_bam(dx.folder / name, CONTIGS, records)
    return dx("upload", name, "--wait", "--brief").stdout.strip()


def upload_index(dx: Dx, bam: str) -> str:
    """Index a BAM file that was uploaded, upload the index, and return its ID."""
    index_bam(dx.folder / bam, dx.folder / f"{bam}.bai")
    return dx("upload", f"{bam}.bai", "--wait", "--brief").stdout.strip()


def test_counts_are_downloaded_under_the_name_of_the_bam(built: Dx) -> None:
    upload(built, "sample.bam")
    upload_index(built, "sample.bam")
    inputs = ("-imappings_sorted_bam=sample.bam", "-imappings_sorted_bai=sample.bam.bai")
    watched = built("run", NAME, *inputs, "-y", "--watch").stdout
    assert "Output: count_file = file-" in watched
    built("download", "sample_count.txt")
    assert (built.folder / "sample_count.txt").read_text() == COUNTS


def test_every_output_is_named_like_the_bam_and_says_what_was_counted(built: Dx) -> None:
    bam = upload(built, "outputs.bam")
    inputs = (f"-imappings_sorted_bam={bam}", "-imin_mapping_quality=60", "-iexclude_flags=DUP")
    job = built("run", NAME, *inputs, "-y", "--brief").stdout.strip()
    built("wait", job)
    outputs = json.loads(built("describe", job, "--json").stdout)["output"]
    described = {
        name: dxpy.DXFile(link).describe(incl_properties=True) for name, link in outputs.items()
    }
    assert {name: one["name"] for name, one in described.items()} == {
        "count_file": "outputs_q60_exclude1024_count.txt",
        "count_table": "outputs_q60_exclude1024_count.tsv",
        "multiqc_section": "outputs_q60_exclude1024_count_mqc.json",
        "multiqc_general_stats": "outputs_q60_exclude1024_count_stats_mqc.json",
        "count_report": "outputs_q60_exclude1024_count.html",
    }
    assert described["count_report"]["media"] == "text/html"
    for one in described.values():
        properties = one["properties"]
        assert properties.pop("samtools_version")[0].isdigit()
        assert properties == {
            "command": "samtools view -c -q 60 -F 1024 outputs.bam REGION",
            "filters": "-q 60 -F 1024",
            "index": "fresh",
            "total_records": "8",
            "unplaced_reads": "1",
        }
    assert "\n*\t0\t1\t" in dxpy.DXFile(outputs["count_table"]).read()


def test_a_prefix_names_the_outputs_and_the_sample(built: Dx) -> None:
    bam = upload(built, "named.bam")
    inputs = (f"-imappings_sorted_bam={bam}", "-ioutput_prefix=tumour 1", "-irequire_flags=0")
    watched = built("run", NAME, *inputs, "-y", "--watch").stdout
    assert "WARNING" not in watched
    assert built("cat", "tumour 1_count.txt").stdout == COUNTS
    statistics = json.loads(built("cat", "tumour 1_count_stats_mqc.json").stdout)
    assert list(statistics["data"]) == ["tumour 1"]


def test_counts_from_the_index_need_no_command(built: Dx) -> None:
    bam = upload(built, "x.bam")
    index = upload_index(built, "x.bam")
    inputs = (f"-imappings_sorted_bam={bam}", f"-imappings_sorted_bai={index}")
    watched = built("run", NAME, *inputs, "-icount_from_index=true", "-y", "--watch").stdout
    assert "they are not verified" in watched
    assert "samtools view" not in watched
    assert built("cat", "x_from_index_count.txt").stdout == COUNTS
    described = json.loads(built("describe", "x_from_index_count.txt", "--json").stdout)
    assert described["properties"]["command"] == "none"


def test_two_runs_at_once_without_an_index(built: Dx) -> None:
    files = [upload(built, f"unindexed{number}.bam") for number in (1, 2)]
    run = ("run", NAME, "-y", "--brief")
    jobs = [built(*run, f"-imappings_sorted_bam={file}").stdout.strip() for file in files]
    built("wait", *jobs)
    for number in (1, 2):
        assert built("cat", f"unindexed{number}_count.txt").stdout == COUNTS


def test_file_names_are_taken_as_they_are(built: Dx) -> None:
    bam = upload(built, HOSTILE)
    index = upload_index(built, HOSTILE)
    inputs = (f"-imappings_sorted_bam={bam}", f"-imappings_sorted_bai={index}")
    job = built("run", NAME, *inputs, "-y", "--brief").stdout.strip()
    built("wait", job)
    output = json.loads(built("describe", job, "--json").stdout)["output"]["count_file"]
    count_file = dxpy.DXFile(output)
    assert count_file.describe()["name"] == HOSTILE.removesuffix(".bam") + "_count.txt"
    built("download", count_file.get_id(), "-o", "hostile.txt")
    assert (built.folder / "hostile.txt").read_text() == COUNTS


def test_failing_run_says_why_and_leaves_no_count_file(built: Dx) -> None:
    unsorted = upload(built, "unsorted.bam", [RECORDS[1], RECORDS[0]])
    run = ("run", NAME, f"-imappings_sorted_bam={unsorted}", "-y", "--watch", "--brief")
    job = built(*run, status=3).stdout.split()[0]
    described = json.loads(built("describe", job, "--json").stdout)
    assert described["failureReason"] == "AppError"
    assert (
        "'unsorted.bam' is not sorted by coordinate (samtools index: "
        in described["failureMessage"]
    )
    assert "unsorted_count" not in built("ls").stdout


def test_applet_builder_in_the_manner_of_dx_app_wizard(project: Project, built: Dx) -> None:
    folder = project.folder
    bundle = dxpy.app_builder.upload_resources(str(APPLET), folder=folder)
    applet_id, _ = dxpy.app_builder.upload_applet(
        str(APPLET), bundle, override_name="built_by_the_library", override_folder=folder
    )
    bam = upload(built, "library.bam")
    inputs = {"mappings_sorted_bam": dxpy.dxlink(bam)}
    job = dxpy.DXApplet(applet_id).run(inputs, folder=folder)
    job.wait_on_done()
    assert dxpy.DXFile(job.describe()["output"]["count_file"]).read() == COUNTS
