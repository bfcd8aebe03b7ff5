"""Local files in the place of objects that only the service has."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import dxpy
import pytest
from dxpy.exceptions import InvalidInput

from local_platform.store.stand_ins import LineError
from local_platform.testing.project import Dx, Job
from platform_fixtures import write_applet
from test_command_line import local_platform

StandIn = Callable[..., None]


def service_id(class_name: str, mark: str) -> str:
    """Return an ID that nothing has here; another one for each mark."""
    return f"{class_name}-{mark:B<24}"


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    """Write the local file that stands in."""
    path = tmp_path / "reference.txt"
    path.write_text("ACGT\n")
    return path


def test_file_is_a_default_or_is_named_in_code_by_id_or_path(
    dx_stand_in: StandIn,
    dx_applet: Callable[..., str],
    dx_run: Callable[..., Job],
    reference: Path,
) -> None:
    file, in_code = service_id("file", "F1"), service_id("file", "F9")
    path = service_id("project", "P1") + ":/H. Sapiens - hg19/genome.fa"
    for wanted in (file, in_code, path):
        dx_stand_in(wanted, reference)
    default = {"name": "reference", "class": "file", "default": {"$dnanexus_link": file}}
    code = f'dx cat "$reference"; dx download {in_code} --no-progress; cat reference.txt'
    job = dx_run(dx_applet(f'{code}; dx cat "{path}"', inputSpec=[default]))
    assert job.log.count("ACGT") == 3


def test_file_of_a_named_project_has_its_id(dx: Dx, dx_stand_in: StandIn, reference: Path) -> None:
    project, file = service_id("project", "P2"), service_id("file", "F2")
    dx_stand_in(f"{project}:{file}", reference)
    assert dx("cat", f"{project}:{file}").stdout == "ACGT\n"
    assert dx("ls", f"{project}:").stdout == "reference.txt\n"


def test_job_can_read_a_stand_in_and_not_change_it(
    dx_stand_in: StandIn,
    dx_applet: Callable[..., str],
    dx_run: Callable[..., Job],
    reference: Path,
) -> None:
    project, file = service_id("project", "P3"), service_id("file", "F3")
    dx_stand_in(f"{project}:{file}", reference)
    job = dx_run(dx_applet(f"dx cat {file}; dx rm {project}:{file}"), state="failed")
    assert "ACGT" in job.log
    assert f"CONTRIBUTE permission is required in {project}" in job.log


@pytest.fixture
def asset(tmp_path: Path) -> Path:
    """Pack an asset with a program."""
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\necho the tool runs\n")
    program.chmod(0o755)
    with tarfile.open(tmp_path / "tool.tar.gz", "w:gz") as archive:
        archive.add(program, "usr/bin/tool")
    return tmp_path / "tool.tar.gz"


@pytest.mark.parametrize("region", ["aws:us-east-1", "aws:eu-central-1"])
def test_asset_is_unpacked_like_any_bundle(
    dx: Dx, dx_stand_in: StandIn, asset: Path, region: str
) -> None:
    record = service_id("record", "R1")
    dx_stand_in(record, asset)
    dx("new", "project", "there", "--region", region, "--select")
    write_applet(dx.folder / "user", "tool", runSpec={"assetDepends": [{"id": record}]})
    dx("build", "user")
    printed = dx("run", "user", "-y", "--watch").stdout
    assert "Unpacking tool.tar.gz" in printed
    assert "the tool runs" in printed


def test_asset_is_found_by_its_name_and_version(dx: Dx, dx_stand_in: StandIn, asset: Path) -> None:
    project = service_id("project", "P4")
    dx_stand_in(f"{project}:/assets/tool asset version 2.0.0", asset)
    named = {"name": "tool asset", "project": project, "folder": "/assets/", "version": "2.0.0"}
    write_applet(dx.folder / "user", "tool", runSpec={"assetDepends": [named]})
    dx("build", "user")
    assert "the tool runs" in dx("run", "user", "-y", "--watch").stdout


def test_empty_asset_installs_nothing_and_says_so(dx: Dx, dx_stand_in: StandIn) -> None:
    record = service_id("record", "R2")
    dx_stand_in(record)
    write_applet(dx.folder / "user", "echo done", runSpec={"assetDepends": [{"id": record}]})
    dx("build", "user")
    printed = dx("run", "user", "-y", "--watch").stdout
    assert f"Unpacking asset {record}, an empty stand-in that installs nothing" in printed


def test_region_of_stand_ins_is_not_offered_for_projects(
    dx_project: str, dx_stand_in: StandIn
) -> None:
    del dx_project
    dx_stand_in(service_id("file", "F1"))
    regions = dxpy.api.user_describe(dxpy.whoami())["permittedRegions"]
    assert all(":" in region for region in regions)


def test_empty_file_has_no_bytes(dx_project: str, dx_stand_in: StandIn) -> None:
    assert dx_project
    file = service_id("file", "F4")
    dx_stand_in(file)
    assert dxpy.DXFile(file).read() == ""


def test_changed_file_replaces_the_one_before(
    dx_project: str, dx_stand_in: StandIn, reference: Path
) -> None:
    assert dx_project
    file = service_id("file", "F5")
    dx_stand_in(file, reference)
    reference.unlink()
    reference.write_text("other\n")
    dx_stand_in(file, reference)
    assert dxpy.DXFile(file).read() == "other\n"


@pytest.mark.parametrize(
    ("asset", "line"),
    [
        ({"id": service_id("record", "R3")}, service_id("record", "R3")),
        (
            {"name": "tool", "project": service_id("project", "P5"), "version": "1.0.0"}
            | {"folder": "/assets/"},
            service_id("project", "P5") + ":/assets/tool version 1.0.0",
        ),
    ],
)
def test_build_without_the_asset_names_its_id_and_the_line_to_add(
    dx: Dx, asset: dict, line: str
) -> None:
    write_applet(dx.folder / "user", "tool", runSpec={"assetDepends": [asset]})
    refused = dx("build", "user", status=3).stderr
    assert f"start the platform with --stand-in '{line} = PATH', or with that line" in refused


def test_run_without_the_default_names_its_id_and_the_line_to_add(
    dx_applet: Callable[..., str], dx_start: Callable[..., Job]
) -> None:
    file = service_id("file", "F6")
    default = {"name": "reference", "class": "file", "default": {"$dnanexus_link": file}}
    applet = dx_applet("true", inputSpec=[default])
    with pytest.raises(InvalidInput, match=f"{file} could not be found.*'{file} = PATH'"):
        dx_start(applet)


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        (service_id("file", "F7"), service_id("file", "F7")),
        (service_id("project", "P7") + ":/a.fa", service_id("project", "P7") + ":/folder/name"),
    ],
)
def test_job_that_misses_an_object_names_its_id_and_the_line_to_add(
    dx_applet: Callable[..., str], dx_run: Callable[..., Job], wanted: str, line: str
) -> None:
    job = dx_run(dx_applet(f"dx download {wanted}"), state="failed")
    assert f"start the platform with --stand-in '{line} = PATH'" in job.failure_message


def test_line_that_is_no_stand_in_is_refused(dx_stand_in: StandIn, reference: Path) -> None:
    with pytest.raises(LineError, match=r"'file-short = .*' is no stand-in\. Write ID = PATH"):
        dx_stand_in("file-short", reference)
    with pytest.raises(LineError):
        dx_stand_in("/without/a/project.fa", reference)
    with pytest.raises(FileNotFoundError):
        dx_stand_in(service_id("file", "F8"), "absent.txt")


def test_stand_ins_come_from_the_command_line_and_from_a_file_in_the_state(
    tmp_path: Path, reference: Path
) -> None:
    state, first, second = tmp_path / "state", service_id("file", "F1"), service_id("file", "F2")
    state.mkdir()
    (state / "stand_ins.txt").write_text(f"# The genome\n{first} = ../reference.txt\n")
    option = ("--state", state, "--stand-in", f"{second} = {reference}")
    script = f"dx cat {first}; dx cat {second}"
    assert local_platform(*option, "--", "sh", "-c", script).stdout == "ACGT\nACGT\n"
    refused = local_platform("--stand-in", "genome.fa", "--", "true")
    assert "'genome.fa' is no stand-in" in refused.stderr
    assert "Traceback" not in refused.stderr
