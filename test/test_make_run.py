"""What a newcomer types first: make, and make run in a fresh clone, in a folder with a space."""

import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import outputs
import run_applet
from bam_builder import build_bam, index_bam, sam_line
from local_platform.testing.local import LocalPlatform

ROOT = Path(__file__).parent.parent
DEMO = (
    "Region chr1: 6000\nRegion chr2: 4500\nRegion chrM: 90\nRegion chrEmpty: 0\nTotal reads: 10590"
)
OUTPUTS = sorted(one.suffix for one in outputs.OUTPUTS)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is under version control, with a .venv of its own."""
    clone = tmp_path_factory.mktemp("newcomer") / "my clone"
    local = shutil.ignore_patterns(".git", ".venv*", "*cache*", "bams")
    shutil.copytree(ROOT, clone, ignore=local)
    command = make_command(clone, ".venv/can_run")
    done = subprocess.run(command, env=free_of_make(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
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
    of_make = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "ARGS", "VENV", "BAM", "BAI", "OUT", "STATE")
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
        # Where the tests are run in the background, an interrupt is ignored, and by children too.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
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


def test_run_leaves_every_output_where_one_stands_and_names_it(clone, stand):
    printed = make(clone, stand, "run")
    assert DEMO in printed
    assert names(stand) == [f"demo{suffix}" for suffix in OUTPUTS]
    assert (stand / "demo_count.txt").read_text() == DEMO
    named = printed.partition(f"The outputs are in {stand}:")[2]
    assert all(name in named for name in names(stand))
    assert f"xdg-open '{stand}/demo_count.html'" in named
    assert (stand / "demo_count.html").as_uri() in named
    assert names(stand.parent / "temporary") == []


def test_file_names_are_taken_as_they_are(clone, stand):
    build_sample(stand / "we $(touch y) ird.bam")
    printed = make(clone, stand, "run", "BAM=~/we $(touch y) ird.bam", "OUT=~/out of $HOME")
    assert "Total reads: 2" in printed
    assert names(stand) == ["out of $HOME", "we $(touch y) ird.bam"]
    assert names(stand / "out of $HOME") == [f"we $(touch y) ird{suffix}" for suffix in OUTPUTS]


def test_an_index_beside_the_bam_is_used_and_named(clone, stand):
    index_bam(build_sample(stand / "sample.bam"), stand / "sample.bai")
    printed = make(clone, stand, "run", "BAM=sample.bam")
    assert "The index beside the BAM file is used: sample.bai\n" in printed
    assert "Building an index" not in printed


def test_counts_are_not_lost_where_the_folder_cannot_be_written(clone, stand):
    (stand / "file").touch()
    printed = make(clone, stand, "run", "OUT=file/out")
    assert f"The outputs cannot be written to '{stand}/file/out': Not a directory." in printed
    (kept,) = (stand.parent / "temporary").iterdir()
    assert f"The outputs are in {kept}:" in printed
    assert (kept / "demo_count.txt").read_text() == DEMO


def test_a_failure_is_told_once_and_without_the_folder_of_the_job(clone, stand):
    bam = build_sample(stand / "damaged.bam")
    bam.write_bytes(bam.read_bytes()[:-28])
    printed = make(clone, stand, "run", "BAM=damaged.bam", status=2)
    assert printed.count("is cut off or damaged") == 1
    sentence = next(line for line in printed.splitlines() if "is cut off or damaged" in line)
    assert sentence.startswith("'damaged.bam' is cut off or damaged.")
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


def test_make_alone_lists_the_commands(clone, stand):
    printed = make(clone, stand)
    for command in ("run", "shell", "test", "lint"):
        assert f"\nmake {command} " in printed


def test_make_as_dx_build_runs_it_says_and_leaves_nothing(clone, stand):
    before = sorted(clone.rglob("*"))
    assert make(clone, stand, "-j2") == ""
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
        ("", "sample.bam.bai", "BAI is the index of a BAM file"),
    ],
)
def test_a_name_that_is_no_file_is_refused(tmp_path, monkeypatch, bam, bai, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "sample.bam").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(run_applet.StepError, match=message):
        run_applet.find_files(bam, bai)


def test_a_long_count_file_is_shown_by_its_beginning_and_its_total(tmp_path):
    lines = [f"Region r{number}: 1" for number in range(100)]
    path = tmp_path / "s_count.txt"
    path.write_text("\n".join([*lines, "Total reads: 100"]))
    shown = run_applet.shorten(path).splitlines()
    assert len(shown) == run_applet.MOST_LINES + 1
    assert shown[-3:] == ["Region r28: 1", "... (72 more regions)", "Total reads: 100"]


def test_a_disk_that_is_full_holds_no_part_of_an_output(small_disk, tmp_path, capsys):
    downloads = tmp_path / "outputs"
    downloads.mkdir()
    (downloads / "s_count.html").write_bytes(bytes(1_000_000))
    kept = run_applet.keep(downloads, small_disk, tmp_path)
    assert (kept / "s_count.html").stat().st_size == 1_000_000
    assert names(small_disk) == []
    assert "No space left on device" in capsys.readouterr().out


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
