"""The log stream: live, afterwards, filtered, and for a tree."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dxpy

from local_platform.testing.project import Dx
from platform_fixtures import ended, in_state

MakeApplet = Callable[..., dxpy.DXApplet]
SPEAKS = "echo out\necho err >&2\n"
TREE = """
import dxpy

@dxpy.entry_point("part")
def part():
    print("from the part")

@dxpy.entry_point("main")
def main():
    dxpy.new_dxjob({}, "part")
    print("from main")

dxpy.run()
"""


def messages(printed: str) -> list[str]:
    """Return what a job printed itself, in order."""
    return [line for line in printed.splitlines() if line in ("out", "err")]


def test_lines_arrive_while_the_job_runs(make_applet: MakeApplet, dx: Dx) -> None:
    job = make_applet("echo first; read -r -t 600 <> <(:) || true", "bash").run({})
    command = [Path(sys.executable).parent / "dx", "watch", job.get_id()]
    # Into a pipe, dx writes whole blocks otherwise.
    variables = dx.environment | {"PYTHONUNBUFFERED": "1"}
    watching = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True)
    with watching:
        assert any("STDOUT first" in line for line in watching.stdout)
        assert job.describe()["state"] == "running"
        job.terminate()
        assert "terminated" in watching.stdout.read()
    assert watching.returncode == 3


def test_log_is_read_again_after_the_end(make_applet: MakeApplet, dx: Dx) -> None:
    job = make_applet(SPEAKS, "bash").run({})
    ended(job)
    first = dx("watch", job.get_id()).stdout
    assert "STDOUT out" in first
    assert "STDERR err" in first
    assert "(done)" in first
    assert dx("watch", job.get_id()).stdout == first


def test_job_that_has_not_started_is_watched_to_its_end(make_applet: MakeApplet, dx: Dx) -> None:
    first = make_applet("sleep 1", "bash").run({})
    second = make_applet(SPEAKS, "bash").run({}, depends_on=[first])
    in_state(second, "waiting_on_input")
    assert "STDOUT out" in dx("watch", second.get_id()).stdout


def test_levels_are_filtered(make_applet: MakeApplet, dx: Dx) -> None:
    job = make_applet(SPEAKS, "bash").run({})
    ended(job)
    assert messages(dx("watch", job.get_id(), "--get-stdout").stdout) == ["out"]
    assert messages(dx("watch", job.get_id(), "--get-stderr").stdout) == ["err"]
    assert sorted(messages(dx("watch", job.get_id(), "--get-streams").stdout)) == ["err", "out"]


def test_no_wait_shows_what_there_is(make_applet: MakeApplet, dx: Dx) -> None:
    first = make_applet("sleep 600", "bash").run({})
    second = make_applet(SPEAKS, "bash").run({}, depends_on=[first])
    assert "STDOUT" not in dx("watch", second.get_id(), "--no-wait").stdout
    first.terminate()


def test_tree_shows_subjobs_only_when_asked(make_applet: MakeApplet, dx: Dx) -> None:
    job = make_applet(TREE).run({})
    ended(job)
    alone = dx("watch", job.get_id()).stdout
    assert "from main" in alone
    assert "from the part" not in alone
    assert "from the part" in dx("watch", job.get_id(), "--tree").stdout


def test_try_is_chosen(make_applet: MakeApplet, dx: Dx) -> None:
    code = """
import dxpy

@dxpy.entry_point("main")
def main():
    attempt = dxpy.DXJob(dxpy.JOB_ID).describe()["try"]
    print("attempt", attempt)
    if attempt == 0:
        raise ValueError("not yet")
"""
    policy = {"executionPolicy": {"restartOn": {"*": 1}}}
    job = make_applet(code, runSpec=policy).run({})
    ended(job)
    printed = dx("watch", job.get_id(), "--try", "0", "--get-stdout").stdout
    assert "attempt 0" in printed
    assert "attempt 1" not in printed


def test_every_line_of_a_flood_is_there(make_applet: MakeApplet, dx: Dx) -> None:
    job = make_applet("seq 1 20000; printf 'no end'", "bash").run({})
    lines = dx("watch", job.get_id(), "--get-stdout").stdout.splitlines()
    numbers = [line for line in lines if line.isdigit()]
    assert numbers == [str(number) for number in range(1, 20001)]
    assert "no end" in lines


def test_line_of_any_length_and_bytes_that_are_no_text(make_applet: MakeApplet, dx: Dx) -> None:
    job = make_applet("printf 'x%.0s' {1..100000}; echo; printf '\\xff\\xfe\\n'", "bash").run({})
    printed = dx("watch", job.get_id(), "--get-stdout").stdout
    assert "x" * 8000 in printed
    assert "\ufffd\ufffd" in printed


def test_unknown_job_is_an_error(dx: Dx) -> None:
    dx("watch", "job-" + "B" * 24, status=3)
