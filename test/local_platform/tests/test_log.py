"""The log stream: live, afterwards, filtered, and for a tree."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dxpy

from local_platform.testing.project import Dx
from platform_fixtures import ended, in_state, job_log, read_log

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


def test_log_is_read_again_after_the_end_and_filtered(make_applet: MakeApplet, dx: Dx) -> None:
    job = make_applet(SPEAKS, "bash").run({})
    ended(job)
    watched = dx("watch", job.get_id()).stdout
    assert "STDOUT out" in watched
    assert "STDERR err" in watched
    assert "(done)" in watched
    assert read_log(job) == read_log(job)
    for option, lines in (("stdout", ["out"]), ("stderr", ["err"]), ("streams", ["err", "out"])):
        watched = dx("watch", job.get_id(), f"--get-{option}", "--no-timestamps").stdout
        assert sorted(set(watched.splitlines()) & {"out", "err"}) == lines


def test_job_that_has_not_started_is_watched_to_its_end(make_applet: MakeApplet) -> None:
    first = make_applet("sleep 1", "bash").run({})
    second = make_applet(SPEAKS, "bash").run({}, depends_on=[first])
    in_state(second, "waiting_on_input")
    assert sorted(job_log(second).split()) == ["err", "out"]


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
    policy = {"executionPolicy": {"restartOn": {"*": 1}}}
    job = make_applet("echo $RANDOM$RANDOM; false", "bash", runSpec=policy).run({})
    assert ended(job)["try"] == 1
    first, second = (job_log(job, **{"try": number}) for number in (0, 1))
    assert first != second
    printed = dx("watch", job.get_id(), "--try", "0", "--get-stdout", status=3).stdout
    assert first in printed
    assert second not in printed


def test_every_line_of_a_flood_is_there(make_applet: MakeApplet) -> None:
    job = make_applet("seq 1 20000; printf 'no end'", "bash").run({})
    lines = [*map(str, range(1, 20001)), "no end"]
    assert job_log(job).splitlines() == lines


def test_line_of_any_length_and_bytes_that_are_no_text(make_applet: MakeApplet) -> None:
    job = make_applet("printf 'x%.0s' {1..100000}; echo; printf '\\xff\\xfe\\n'", "bash").run({})
    printed = job_log(job)
    assert "x" * 8000 in printed
    assert "\ufffd\ufffd" in printed


def test_unknown_job_is_an_error(dx: Dx) -> None:
    dx("watch", "job-" + "B" * 24, status=3)
