"""What a newcomer types first: make, and make run in a fresh clone, in a folder with a space."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import outputs
import run_applet
from bam_builder import build_bam, index_bam, sam_line
from demo_bam import build_demo
from local_platform.testing.local import LocalPlatform
from summaries import summarize
from summary import RegionCount

ROOT = Path(__file__).parent.parent
TUTORIAL = ROOT / "test" / "tutorial"
# An applet that warns, and says so again at the end of its log.
WARNS = """
import sys
import dxpy

@dxpy.entry_point("main")
def main(**inputs):
    for _ in range(2):
        print("WARNING: The index is old.", file=sys.stderr)
    file = dxpy.upload_string("Total reads: 0", name="n_count.txt")
    return {"count_file": dxpy.dxlink(file), "number": 3}

dxpy.run()
"""
EXPORTED = {"APPLET", "BAM", "BAI", "OUT", "STATE"}
OUTPUTS = sorted(one.suffix for one in outputs.OUTPUTS)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is under version control, with a .venv of its own."""
    clone = tmp_path_factory.mktemp("newcomer") / "my clone"
    local = shutil.ignore_patterns(".git", ".venv*", ".systems", "*cache*", "bams")
    shutil.copytree(ROOT, clone, ignore=local)
    command = make_command(clone, "--no-print-directory", ".venv/can_run")
    done = subprocess.run(command, env=free_of_make(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, *_ = done.stdout.splitlines()
    assert first.startswith("Setting up .venv, once: ")
    assert "MB" in first
    return clone


@pytest.fixture
def stand(tmp_path: Path) -> Path:
    """A folder of one's own, in which one stands."""
    folder = tmp_path / "my data"
    folder.mkdir()
    return folder


def make_command(clone: Path, *arguments: str) -> list[str]:
    """Return the command that runs make in a clone from wherever one stands."""
    return ["make", "-C", str(clone), f"PYTHON3={sys.executable}", *arguments]


def free_of_make() -> dict[str, str]:
    """Return the environment without what a make that runs these tests has put there."""
    of_make = (
        "MAKEFLAGS",
        "MAKELEVEL",
        "MFLAGS",
        *["ARGS", "VENV", "APPLET", "BAM", "BAI", "OUT", "STATE"],
    )
    return {name: value for name, value in os.environ.items() if name not in of_make}


def environment(stand: Path) -> dict[str, str]:
    """Return the variables of a shell in a folder that is also the home."""
    temporary = stand.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    own = {"PWD": str(stand), "HOME": str(stand), "TMPDIR": str(temporary)}
    return free_of_make() | own


def start_make(clone: Path, stand: Path, *arguments: str) -> subprocess.Popen[str]:
    """Run make as one would from a folder, in a process group of its own."""
    return subprocess.Popen(
        make_command(clone, *arguments),
        cwd=stand,
        env=environment(stand),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def make(clone: Path, stand: Path, *arguments: str, status: int = 0) -> str:
    """Run make to its end, and return all that it printed."""
    with start_make(clone, stand, *arguments) as process:
        printed, _ = process.communicate(timeout=300)
    assert process.returncode == status, printed
    return printed


def build_sample(path: Path) -> Path:
    return build_bam(path, [("chr1", 1000)], [sam_line("a", "chr1", 1), sam_line("b", "chr1", 2)])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read_counts(count_file: Path) -> dict[str, int]:
    """Return what the lines of a count file say, by what comes before the colon."""
    lines = (line.rpartition(": ") for line in count_file.read_text().splitlines())
    return {name: int(count) for name, _, count in lines}


def test_run_leaves_every_output_where_the_command_was_typed_and_names_it(clone, stand):
    printed = make(clone, stand, "run")
    assert names(stand) == [f"demo{suffix}" for suffix in OUTPUTS]
    assert (stand / "demo_count.txt").read_text().splitlines()[0] in printed.splitlines()
    named = printed.partition(f"The outputs are in {stand}:")[2]
    assert all(name in named for name in names(stand))
    assert f"xdg-open '{stand}/demo_count.html'" in named
    assert (stand / "demo_count.html").as_uri() in named
    assert names(stand.parent / "temporary") == []


def test_demo_is_a_mans_with_a_third_chr21(tmp_path):
    bam, index = build_demo(tmp_path)
    assert index.exists()
    printed = subprocess.check_output(["samtools", "idxstats", bam], text=True)
    rows = [line.split("\t") for line in printed.splitlines()]
    regions = [RegionCount(name, int(length), int(count)) for name, length, count, _ in rows[:-1]]
    summary = summarize(regions)
    assert [region.name for region in regions[:25]] == [
        *(f"chr{number}" for number in range(1, 23)),
        *("chrX", "chrY", "chrM"),
    ]
    assert [region.name for region in summary.outliers] == ["chr21"]
    for chromosome in summary.sex_chromosomes.values():
        assert 0.4 < summary.normalize(chromosome) < 0.6


def test_another_applet_runs_on_the_same_files(clone, stand):
    printed = make(clone, stand, "run", f"APPLET={TUTORIAL}", f"OUT={stand}/tutorial")
    assert names(stand / "tutorial") == ["demo_count.txt"]
    assert (
        f"The outputs are in {stand}/tutorial:\n  count_file            demo_count.txt" in printed
    )
    assert "Open the report" not in printed
    assert read_counts(stand / "tutorial" / "demo_count.txt")["Region chr1"] > 1000


def test_warnings_of_the_job_are_said_again_after_the_counts(clone, stand):
    folder = stand / "warns"
    (folder / "src").mkdir(parents=True)
    specification = json.loads((TUTORIAL / "dxapp.json").read_text())
    specification["runSpec"]["file"] = "src/warns.py"
    specification["runSpec"].pop("execDepends", None)
    specification["outputSpec"].append({"name": "number", "class": "int"})
    (folder / "dxapp.json").write_text(json.dumps(specification))
    (folder / "src" / "warns.py").write_text(WARNS)
    (folder / "Makefile").write_text("all: ; @echo compiled\n")
    printed = make(clone, stand, "run", "APPLET=warns", "OUT=out")
    after = printed.partition("\nTotal reads: 0\n")[2]
    assert after.count("WARNING: The index is old.\n") == 1
    assert after.index("WARNING: ") < after.index("The outputs are in ")
    assert re.search(r"^  number +3$", after, re.MULTILINE)


def test_outputs_are_left_here_though_the_shell_was_elsewhere(clone, stand):
    # A program that starts make in another folder does not change PWD.
    command = ["make", f"PYTHON3={sys.executable}", "run", "BAM=missing.bam"]
    done = subprocess.run(
        command, cwd=clone, env=environment(stand), capture_output=True, text=True
    )
    assert f"There is no file '{clone}/missing.bam'." in done.stderr


@pytest.mark.parametrize(
    ("goal", "given", "taken"),
    [
        ("run", "bam=sample.bam", "BAM BAI OUT APPLET ARGS"),
        ("web", "OUT=here", "BAM BAI STATE"),
        ("clean", "ARGS=x", "nothing"),
    ],
)
def test_variables_that_a_command_does_not_take_are_refused(clone, stand, goal, given, taken):
    printed = make(clone, stand, goal, given, status=2)
    name = given.partition("=")[0]
    assert f"make {goal} does not take {name}. It takes {taken}." in printed


def test_arguments_of_make_test_can_be_a_path(clone, stand):
    done = ("-o", f"{sys.prefix}/can_test", "-o", "chromium", f"VENV={sys.prefix}")
    arguments = "ARGS=--collect-only -q -n0 test/test_left_out.py"
    assert "\n1 test collected" in make(clone, stand, *done, "test", arguments)


APT_GET = """#!/bin/sh
case "$*" in
*--assume-no*) echo 'Need to get 12 MB of archives.'; exit 1 ;;
*samtools*) echo "apt-get $*" >>"$0.log" ;;
esac
"""


def test_system_packages_are_named_with_their_size_before_they_are_installed(clone, stand):
    # The programs that the recipe needs, but no samtools, and a package manager that only notes.
    programs = stand.parent / "programs"
    programs.mkdir()
    for name in ("sh", "make", "grep", "env", "true", "false"):
        (programs / name).symlink_to(shutil.which(name))
    for name, script in (("apt-get", APT_GET), ("id", "#!/bin/sh\necho 0\n")):
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    variables = free_of_make() | {"PATH": str(programs)}
    command = ["make", "-C", str(clone), "samtools"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert "Installing samtools on this machine (apt-get install samtools)\n" in done.stdout
    assert "Need to get 12 MB of archives.\n" in done.stdout
    assert "-y samtools" in (programs / "apt-get.log").read_text()


def test_any_file_name_is_taken_as_it_is_and_the_index_beside_the_bam_is_used(clone, stand):
    name = "we $(touch y) ird"
    index_bam(build_sample(stand / f"{name}.bam"), stand / f"{name}.bai")
    printed = make(clone, stand, "run", f"BAM=~/{name}.bam", "OUT=~/out of $HOME")
    assert f"Using the index next to the BAM file: {name}.bai\n" in printed
    assert "Building an index" not in printed
    assert "Total reads: 2" in printed
    assert names(stand) == ["out of $HOME", f"{name}.bai", f"{name}.bam"]
    assert names(stand / "out of $HOME") == [f"{name}{suffix}" for suffix in OUTPUTS]


def test_a_failure_is_told_once_and_without_the_folder_of_the_job(clone, stand):
    bam = build_sample(stand / "damaged.bam")
    bam.write_bytes(bam.read_bytes()[:-28])
    printed = make(clone, stand, "run", "BAM=damaged.bam", status=2)
    assert printed.count("is truncated or damaged") == 1
    sentence = next(line for line in printed.splitlines() if "is truncated or damaged" in line)
    assert sentence.startswith("'damaged.bam' is truncated or damaged ")
    assert "/home/dnanexus" not in sentence
    assert "Traceback" not in printed
    assert names(stand) == ["damaged.bam"]


def test_a_mistake_in_the_arguments_is_told_in_one_line(clone, stand):
    printed = make(clone, stand, "--no-print-directory", "run", "ARGS=--nosuch", status=2)
    assert printed.splitlines()[-2] == "dx: error: unrecognized arguments: --nosuch"
    assert "usage:" not in printed


def test_help_among_the_arguments_shows_the_inputs(clone, stand):
    printed = make(clone, stand, "run", "ARGS=-h")
    assert "[-imin_mapping_quality=(int" in printed
    assert names(stand) == []


@pytest.mark.parametrize(
    "step", ["$ dx new", "$ dx upload", "$ dx build", "$ dx run", "* SAMtools"]
)
def test_an_interrupt_is_one_line_and_leaves_nothing(clone, stand, step):
    interrupted = start_make(clone, stand, "--no-print-directory", "run")
    with interrupted:
        for line in interrupted.stdout:
            if line.startswith(step):
                break
        # As Ctrl-C at a terminal does: it reaches the whole group.
        os.killpg(interrupted.pid, signal.SIGINT)
        rest = interrupted.stdout.read()
    (last,) = (line for line in rest.splitlines() if line.startswith("make: "))
    assert last.endswith((": run] Interrupt", ": run] Error 130"))
    assert "Traceback" not in rest
    assert "KeyboardInterrupt" not in rest
    assert interrupted.returncode == -signal.SIGINT
    assert names(stand) == []
    assert names(stand.parent / "temporary") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("command", "step"), [("run", "$ dx upload"), ("web", "Open this address")]
)
def test_another_signal_to_end_leaves_nothing_either(clone, stand, command, step, number):
    ended = start_make(clone, stand, "--no-print-directory", command)
    with ended:
        for line in ended.stdout:
            if line.startswith(step):
                break
        if number == signal.SIGHUP:
            # As when the terminal is closed: it reaches the whole group.
            os.killpg(ended.pid, number)
        else:
            ended.send_signal(number)
        rest = ended.stdout.read()
    assert "Traceback" not in rest
    assert names(stand) == []
    assert names(stand.parent / "temporary") == []


def test_help_lists_the_commands(clone, stand):
    printed = make(clone, stand, "help")
    for command in ("run", "shell", "test", "lint"):
        assert f"\nmake {command} " in printed


@pytest.mark.parametrize("arguments", [(), ("-j2",)])
def test_default_goal_says_and_leaves_nothing(clone, arguments):
    # dx build runs it, and scripts read the output of dx build.
    before = sorted(clone.rglob("*"))
    done = subprocess.run(["make", *arguments], cwd=clone, env=free_of_make(), capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert sorted(clone.rglob("*")) == before


@pytest.mark.parametrize("name", ["s.bam.bai", "s.bai", "s.bam.csi", "s.csi"])
def test_an_index_is_found_under_each_usual_name(tmp_path, name):
    (tmp_path / name).touch()
    assert run_applet.find_index(tmp_path / "s.bam") == tmp_path / name


def test_no_index_is_found_where_there_is_none(tmp_path):
    (tmp_path / "other.bam.bai").touch()
    assert run_applet.find_index(tmp_path / "s.bam") is None


@pytest.mark.parametrize(
    ("bam", "bai", "message"),
    [
        ("folder", "", "folder' is a folder. Give the path of a file as BAM="),
        ("missing.bam", "", "There is no file '.*missing.bam'. Give its path as BAM="),
        ("sample.bam", "missing.bai", "There is no file '.*missing.bai'. Give its path as BAI="),
        ("", "sample.bam.bai", "BAI needs the BAM file"),
    ],
)
def test_a_name_that_is_no_file_is_refused(tmp_path, monkeypatch, bam, bai, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "sample.bam").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(run_applet.StepError, match=message):
        run_applet.find_files(bam, bai)


def test_folder_that_is_gone_is_refused(tmp_path):
    with pytest.raises(run_applet.StepError, match=r"absent': No such file or directory\."):
        run_applet.enter(str(tmp_path / "absent"))


@pytest.mark.parametrize("name", ["file", "file/out"])
def test_outputs_are_refused_where_a_file_lies(tmp_path, monkeypatch, name):
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(run_applet.StepError, match=r"file' is a file\. Give a folder"):
        run_applet.find_target(name)


def test_folder_without_an_applet_is_refused(tmp_path):
    with pytest.raises(run_applet.StepError, match=r"There is no dxapp.json in '.*'"):
        run_applet.find_applet(str(tmp_path))


def test_a_long_count_file_is_shown_by_its_beginning_and_its_total(tmp_path):
    lines = [f"Region r{number}: 1" for number in range(100)]
    path = tmp_path / "s_count.txt"
    path.write_text("\n".join([*lines, "Total reads: 100"]))
    shown = run_applet.shorten(path).splitlines()
    assert len(shown) == run_applet.MOST_LINES + 1
    assert shown[-3:] == ["Region r28: 1", "... (72 more regions)", "Total reads: 100"]


def test_outputs_for_a_full_disk_are_kept_elsewhere_and_whole(small_disk, tmp_path):
    downloads = tmp_path / "outputs"
    downloads.mkdir()
    (downloads / "s_count.html").write_bytes(bytes(1_000_000))
    with pytest.raises(run_applet.StepError, match="No space left on device") as refused:
        run_applet.keep(downloads, small_disk, tmp_path)
    (kept,) = tmp_path.glob("counts_*")
    assert f"They are in '{kept}'." in str(refused.value)
    assert (kept / "s_count.html").stat().st_size == 1_000_000
    assert names(small_disk) == []


def test_a_long_upload_says_how_far_it_is(
    dx_platform: LocalPlatform, dx_project: str, tmp_path, monkeypatch, capsys
):
    for name, value in dx_platform.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DX_PROJECT_CONTEXT_ID", dx_project)
    monkeypatch.setattr(run_applet, "PROGRESS_SECONDS", 0.02)
    (tmp_path / "large.bam").write_bytes(bytes(40_000_000))
    assert run_applet.upload(tmp_path / "large.bam", dx_project).startswith("file-")
    assert " of 40,000,000 bytes (" in capsys.readouterr().out
