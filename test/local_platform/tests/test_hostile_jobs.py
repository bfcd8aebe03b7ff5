"""What a hostile or clumsy job can do: it ends, is told why, and reaches nothing beside itself."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import dxpy
import pytest
from dxpy.exceptions import InvalidInput

from platform_fixtures import ended, job_log

MakeApplet = Callable[..., dxpy.DXApplet]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("""echo '{"a": NaN}' > job_output.json""", "job_output.json"),
        ("""echo '{"a": 1e999}' > job_output.json""", "job_output.json"),
        ("""echo '{"a": "\\ud800"}' > job_output.json""", "job_output.json"),
        ("python3 -c \"print('{\\\"a\\\":' * 9000 + '1' + '}' * 9000)\" > job_output.json", "deep"),
        ("printf '{\"a\": %05000d}' 1 | tr 0 9 > job_output.json", "digits"),
        ("echo '[]' > job_output.json", "not a hash"),
        ("mkfifo job_output.json", "not a regular file"),
        ("ln -s /etc/hostname job_output.json", "not a regular file"),
        ("mkdir job_output.json", "not a regular file"),
        ("truncate -s 1T job_output.json", "larger than"),
        ("cd ..; mv dnanexus moved; ln -s moved dnanexus", "not a folder"),
    ],
)
def test_output_that_is_no_plain_json_file_fails_the_job(
    make_applet: MakeApplet, script: str, message: str
) -> None:
    description = ended(make_applet(script, "bash").run({}))
    assert description["failureReason"] == "OutputError"
    assert message in description["failureMessage"]


@pytest.mark.parametrize(
    "script",
    [
        "mkfifo job_error.json; exit 1",
        "echo '{\"error\": 5}' > job_error.json; exit 1",
        'echo \'{"error": {"type": [], "message": {}}}\' > job_error.json; exit 1',
        "echo '{\"error\": NaN}' > job_error.json; exit 1",
    ],
)
def test_error_file_of_any_kind_fails_the_job(make_applet: MakeApplet, script: str) -> None:
    description = ended(make_applet(script, "bash").run({}))
    assert description["state"] == "failed"
    assert isinstance(description["failureMessage"], str)


@pytest.mark.parametrize(
    "options",
    [
        {"executionPolicy": {"restartOn": 5}},
        {"executionPolicy": {"restartOn": {"*": "often"}}},
        {"executionPolicy": {"restartOn": {"*": -1}}},
        {"executionPolicy": {"maxRestarts": {}}},
        {"systemRequirements": {"*": "large"}},
        {"systemRequirements": {"*": {"instanceType": 5}}},
        {"dependsOn": [5]},
        {"tags": [{}]},
    ],
)
def test_mistyped_option_of_a_run_is_refused(make_applet: MakeApplet, options: dict) -> None:
    applet = make_applet("true", "bash")
    request = {"project": applet.get_proj_id(), "input": {}} | options
    with pytest.raises(InvalidInput, match=next(iter(options))):
        dxpy.api.applet_run(applet.get_id(), request)


@pytest.mark.parametrize(
    "run_spec",
    [
        {"executionPolicy": {"restartOn": []}},
        {"executionPolicy": "often"},
        {"systemRequirements": {"*": []}},
        {"timeoutPolicy": []},
        {"timeoutPolicy": {"*": {"hours": True}}},
        {"restartableEntryPoints": "some"},
        {"execDepends": [{"name": "samtools", "package_manager": {}}]},
        {"execDepends": [{"name": "samtools", "stages": 5}]},
    ],
)
def test_mistyped_run_specification_is_refused(make_applet: MakeApplet, run_spec: dict) -> None:
    with pytest.raises(InvalidInput, match=rf"runSpec\.{next(iter(run_spec))}"):
        make_applet("true", "bash", runSpec=run_spec)


def member(name: str, content: bytes | None = None, **fields: object) -> tuple:
    """Return what a hostile archive holds: a file with content, or something else."""
    info = tarfile.TarInfo(name)
    info.size = len(content or b"")
    for field, value in fields.items():
        setattr(info, field, value)
    return info, io.BytesIO(content) if content is not None else None


def bundle(*members: tuple) -> dict:
    """Upload an archive, and return a runSpec that unpacks it."""
    return bundled(pack(*members))


def pack(*members: tuple) -> bytes:
    """Return an archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for info, content in members:
            archive.addfile(info, content)
    return packed.getvalue()


def bundled(content: bytes, name: str = "resources.tar.gz") -> dict:
    """Upload a bundle, and return a runSpec with it."""
    with dxpy.new_dxfile(name=name) as file:
        file.write(content)
    file.wait_on_close()
    return {"bundledDepends": [{"name": name, "id": dxpy.dxlink(file.get_id())}]}


def symlink(name: str, target: object) -> tuple:
    return member(name, type=tarfile.SYMTYPE, linkname=str(target))


def test_links_in_a_bundle_are_not_written_through(make_applet: MakeApplet, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    names = ("job_input.json", "dnanexus-job.json", "job_output.json", "resources.tar.gz")
    spec = bundle(*(symlink(f"home/dnanexus/{name}", outside) for name in names))
    # A second archive is joined in the home folder, under its own name.
    spec["bundledDepends"] *= 2
    description = ended(make_applet("true", "bash", runSpec=spec).run({}))
    assert "job_output.json is not a regular file" in description["failureMessage"]
    assert outside.read_text() == "untouched"


@pytest.mark.parametrize(
    "name", ["../../../escaped", "/../escaped", "link/escaped", "deep/escaped"]
)
def test_member_of_a_bundle_lands_in_the_private_root_or_nowhere(
    make_applet: MakeApplet, tmp_path: Path, name: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    links = [symlink("link", outside), symlink("deep", "link")]
    job = make_applet("true", "bash", runSpec=bundle(*links, member(name, b"x"))).run({})
    description = ended(job)
    assert description["failureReason"] == "ExecutionError"
    assert "resources.tar.gz" in description["failureMessage"]
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    "second",
    [
        {"type": tarfile.DIRTYPE},
        {"type": tarfile.SYMTYPE, "linkname": "elsewhere"},
        {"type": tarfile.LNKTYPE, "linkname": "file"},
        {"type": tarfile.LNKTYPE, "linkname": "link"},
        {"type": tarfile.REGTYPE},
    ],
)
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_second_member_of_a_links_name_changes_nothing_outside(
    make_applet: MakeApplet, tmp_path: Path, kind: str, second: dict
) -> None:
    outside = tmp_path / "outside"
    if kind == "folder":
        outside.mkdir()
    else:
        outside.touch()
    outside.chmod(0o711)
    before = outside.stat()
    spec = bundle(
        member("file", b"x"),
        symlink("link", outside),
        member("link", mode=0o700, mtime=1, uid=1, **second),
    )
    ended(make_applet("true", "bash", runSpec=spec).run({}))
    after = outside.stat()
    assert after.st_ctime_ns == before.st_ctime_ns


def test_folder_takes_the_place_of_a_link(make_applet: MakeApplet) -> None:
    spec = bundle(
        symlink("home/dnanexus/folder", "/usr"),
        member("home/dnanexus/folder", type=tarfile.DIRTYPE, mode=0o755),
        member("home/dnanexus/folder/file", b"inside"),
    )
    code = """printf '{"said": "%s"}' "$(cat folder/file)" > job_output.json"""
    assert ended(make_applet(code, "bash", runSpec=spec).run({}))["output"] == {"said": "inside"}


def test_hard_link_to_a_file_outside_is_refused(make_applet: MakeApplet, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    link = member("home/dnanexus/x", type=tarfile.LNKTYPE, linkname=f"../../../../../{outside}")
    again = member("home/dnanexus/x", b"overwritten")
    ended(make_applet("echo x > x", "bash", runSpec=bundle(link, again)).run({}))
    assert outside.read_text() == "untouched"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([member("home/dnanexus/job_output.json", type=tarfile.FIFOTYPE)], "job_output.json"),
        ([member("dev/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)], "dev/null"),
        ([member("late", b"x", mtime=2**70)], "resources.tar.gz"),
        ([member("name\udcff", type=tarfile.FIFOTYPE)], "name? is not a file"),
    ],
)
def test_bundle_of_other_things_than_files_is_refused(
    make_applet: MakeApplet, members: list, message: str
) -> None:
    description = ended(make_applet("true", "bash", runSpec=bundle(*members)).run({}))
    assert description["failureReason"] == "ExecutionError"
    assert message in description["failureMessage"]


def test_bundle_that_is_cut_short_is_named(make_applet: MakeApplet) -> None:
    spec = bundled(pack(member("x", bytes(range(256)) * 400))[:-200])
    description = ended(make_applet("true", "bash", runSpec=spec).run({}))
    assert description["failureReason"] == "ExecutionError"
    assert "resources.tar.gz" in description["failureMessage"]


def test_bundle_that_is_no_archive_lies_in_the_home_folder(make_applet: MakeApplet) -> None:
    spec = bundled(b"some words", "words.txt")
    code = """printf '{"words": "%s"}' "$(cat words.txt)" > job_output.json"""
    description = ended(make_applet(code, "bash", runSpec=spec).run({}))
    assert description["output"] == {"words": "some words"}


def test_resources_keep_their_links_and_modes(make_applet: MakeApplet) -> None:
    script = b"#!/bin/sh\necho from tool\n"
    spec = bundle(
        member("usr", type=tarfile.DIRTYPE, mode=0o555),
        member("usr/bin/tool", script, mode=0o4755),
        symlink("usr/bin/relative", "tool"),
        member("usr/bin/hard", type=tarfile.LNKTYPE, linkname="usr/bin/tool", mode=0o755),
        member("./home/dnanexus/data", b"old"),
        member("/home/dnanexus/data", b"new"),
    )
    job = make_applet(
        'tool; relative; hard; cat data; stat -c " %a" "$(command -v tool)"', "bash", runSpec=spec
    ).run({})
    assert job_log(job) == "from tool\nfrom tool\nfrom tool\nnew 755\n"


def test_lines_of_a_process_that_outlives_its_job_are_no_defect(make_applet: MakeApplet) -> None:
    code = "setsid env -i bash -c 'sleep 1; echo late' & exit 0"
    assert ended(make_applet(code, "bash").run({}))["state"] == "done"


def test_source_of_many_empty_lines_is_run(make_applet: MakeApplet) -> None:
    code = "\n" * 2**20 + "@dxpy.entry_point('main')\ndef main():\n    pass\n"
    assert ended(make_applet(code).run({}))["state"] == "done"


def test_output_of_a_subjob_is_as_strict(make_applet: MakeApplet) -> None:
    code = """
import dxpy

@dxpy.entry_point("part")
def part():
    return {"value": float("nan")}

@dxpy.entry_point("main")
def main():
    return {"value": dxpy.new_dxjob({}, "part").get_output_ref("value")}
"""
    description = ended(make_applet(code).run({}))
    assert (description["state"], description["failureReason"]) == ("failed", "OutputError")
    assert json.dumps(description["failureFrom"])
