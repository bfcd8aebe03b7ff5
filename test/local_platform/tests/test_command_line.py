"""`python -m local_platform`: a command and its exit status, kept state, one user at a time."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from platform_fixtures import write_applet

PROJECT = Path(__file__).parents[1]


def local_platform(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line, and return what it printed."""
    return subprocess.run(
        [sys.executable, "-m", "local_platform", *map(str, arguments)],
        env=os.environ
        | {
            "PYTHONPATH": str(PROJECT),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "https_proxy": "http://proxy.invalid:1",
            "DX_PROJECT_CONTEXT_ID": "project-of-another-login",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_command_reaches_the_platform_through_the_real_dx() -> None:
    done = local_platform("--", "dx", "whoami")
    assert (done.stdout, done.stderr, done.returncode) == ("local\n", "", 0)


def test_exit_status_is_the_commands() -> None:
    assert local_platform("--", "sh", "-c", "exit 7").returncode == 7
    assert local_platform("--", "sh", "-c", "kill -9 $$").returncode == 137


def test_command_is_free_of_proxies_and_other_logins() -> None:
    environment = local_platform("--", "env").stdout
    assert "proxy" not in environment
    assert "project-of-another-login" not in environment


def test_unknown_command_is_one_line_and_no_traceback() -> None:
    done = local_platform("--", "no-such-command")
    assert done.returncode != 0
    assert "no-such-command" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [[], ["--", "sleep", "600"]])
def test_whatever_ends_the_scheduler_ends_the_platform(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "jobs").touch()
    done = local_platform("--state", tmp_path, *command)
    assert done.returncode == 2
    assert f"File exists: '{tmp_path}/jobs'" in done.stderr
    assert "Traceback" not in done.stderr


def test_full_disk_is_one_sentence_that_says_which_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("making a small disk needs the right to mount one")
    (tmp_path / "large.bam").write_bytes(bytes(4 << 20))
    commands = 'dx new project p --select && dx upload "$0" --wait'
    try:
        done = local_platform(
            "--state", disk / "state", "--", "sh", "-c", commands, tmp_path / "large.bam"
        )
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert done.returncode != 0
    assert f"No space left on the disk of the local platform ({disk / 'state'})" in done.stderr
    # The platform reports no defect. (dxpy may print one of its own as it ends.)
    assert "local_platform: " not in done.stderr


def test_command_that_ignores_the_end_of_the_platform_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    # What a shell ignores, the program that it becomes ignores too.
    command = ["sh", "-c", 'trap "" TERM; touch "$0"; exec sleep 600', str(ready)]
    script = f"""
import asyncio, pathlib
from local_platform import __main__ as command_line
command_line.PATIENCE = 0.1
async def cancel():
    running = asyncio.create_task(command_line.run({command}, {{}}))
    while not pathlib.Path({str(ready)!r}).exists():
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait({{running}})
asyncio.run(cancel())
"""
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=60)


def test_nothing_is_left_without_a_state_folder(tmp_path: Path) -> None:
    script = 'echo "$DX_USER_CONF_DIR"'
    configuration = Path(local_platform("--", "sh", "-c", script).stdout.strip())
    assert not configuration.parent.exists()
    assert list(tmp_path.iterdir()) == []


def test_state_is_served_on_its_own_port_again(tmp_path: Path) -> None:
    state = tmp_path / "state"
    script = 'echo "$DX_APISERVER_PORT"'
    first = local_platform("--state", state, "--", "sh", "-c", script).stdout
    assert local_platform("--state", state, "--", "sh", "-c", script).stdout == first
    with socket.create_server(("127.0.0.1", int(first))):
        assert local_platform("--state", state, "--", "sh", "-c", script).stdout != first


def test_state_and_selection_are_found_again_without_a_warning_of_dx(tmp_path: Path) -> None:
    state = tmp_path / "state"
    local_platform("--state", state, "--", "dx", "new", "project", "kept", "--select")
    # dx warns only where it prints to a terminal.
    in_terminal = "import os, pty; os._exit(os.waitstatus_to_exitcode(pty.spawn(['dx', 'pwd'])))"
    done = local_platform("--state", state, "--", sys.executable, "-c", in_terminal)
    assert (done.stdout.strip(), done.returncode) == ("kept:/", 0)
    assert state.stat().st_mode & 0o077 == 0, "others can read it"


def test_unknown_route_is_printed_once() -> None:
    refused = local_platform("--", "dx", "api", "system", "globalSearch").stderr
    assert refused.count("/system/globalSearch") == 1


def test_state_is_used_by_one_platform_at_a_time(tmp_path: Path) -> None:
    nested = [sys.executable, "-m", "local_platform", "--state", tmp_path, "--", "true"]
    done = local_platform("--state", tmp_path, "--", *nested)
    assert done.returncode != 0
    assert "in use" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_exports_can_be_pasted_and_serving_ends_on_a_signal(number: int) -> None:
    serving = subprocess.Popen(
        [sys.executable, "-m", "local_platform"],
        env=os.environ | {"PYTHONPATH": str(PROJECT), "http_proxy": "http://proxy.invalid:1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with serving:
        printed = []
        for line in serving.stdout:
            if line.startswith("#"):
                break
            printed.append(line)
        dx = Path(sys.executable).parent / "dx"
        script = "".join(printed) + f"exec {dx} whoami"
        pasted = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
        serving.send_signal(number)
    assert pasted.stdout == "local\n"
    assert "unset http_proxy\n" in printed
    assert serving.returncode == 0


BROKEN = """
main() {
    echo half > result
    packages=$(python3 -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
    echo answer = 42 > "$packages/own.py"
    exit 3
}
"""
ENTER = """
dx-local-platform() { python -m local_platform "$@"; }
job=$(dx find jobs --brief)
dx-local-platform enter $job -- bash -c '
    . ./environment; pwd; cat result; echo $who; python3 -c "import own; print(own.answer)"
    dx describe $DX_JOB_ID --json
'
"""


def test_failed_job_is_entered_with_its_files_variables_and_packages(tmp_path: Path) -> None:
    write_applet(tmp_path / "broken", BROKEN, inputSpec=[{"name": "who", "class": "string"}])
    run = f"dx new project --select trial; dx build {tmp_path}/broken; dx run broken -iwho=Ada -y"
    script = f"set -e; {run} --watch || true; {ENTER}"
    done = local_platform("--keep-failed", "--", "bash", "-c", script)
    assert "Look into this job with: dx-local-platform enter job-" in done.stdout
    assert "half\nAda\n42\n" in done.stdout, done.stderr
    assert '"state": "failed"' in done.stdout


def test_kept_job_outlasts_the_platform_and_goes_with_its_project(tmp_path: Path) -> None:
    state = tmp_path / "state"
    write_applet(tmp_path / "broken", BROKEN)
    run = f"dx new project --select trial; dx build {tmp_path}/broken; dx run broken -y --watch"
    local_platform("--state", state, "--keep-failed", "--", "bash", "-c", run)
    job = local_platform("--state", state, "--", "dx", "find", "jobs", "--brief").stdout.strip()
    inside = local_platform("enter", "--state", state, job, "--", "cat", "result")
    assert (inside.stdout, inside.returncode) == ("half\n", 0), inside.stderr
    local_platform("--state", state, "--", "dx", "rmproject", "--yes", "trial")
    local_platform("--state", state, "--", "true")
    assert list((state / "jobs").iterdir()) == []


def test_job_of_which_nothing_is_kept_is_named(tmp_path: Path) -> None:
    done = local_platform("enter", "job-x", "--state", tmp_path)
    assert done.returncode == 2
    assert f"nothing is kept of job-x in {tmp_path}: start the platform with --keep" in done.stderr
