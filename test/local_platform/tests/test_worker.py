"""What a job's machine looks like: as root and as an ordinary user, with namespaces and without."""

import os
import random
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dxpy
import pytest

import ordinary_user
from local_platform.testing.clients import restoring_clients
from local_platform.testing.local import LocalPlatform
from local_platform.testing.project import RELEASE, Dx
from local_platform.worker import packages, process
from platform_fixtures import ended, read_log, until, write_applet

SITE_PACKAGES = Path(sysconfig.get_paths()["purelib"])
ROOT = os.geteuid() == 0
# Limits of a user namespace that is made for this: nothing changes for the machine.
FORBID = (
    "echo 0 > /proc/sys/user/max_user_namespaces; echo 0 > /proc/sys/user/max_mnt_namespaces;"
    ' exec setpriv --ambient-caps=-all --inh-caps=-all -- "$@"'
)
FORBIDDEN = ["sh", "-ec", FORBID, "sh"]


def as_user() -> list[str]:
    """Return the command that runs another as an ordinary user."""
    if not ROOT:
        return []
    needed = ":".join({sys.base_prefix, sys.prefix, str(Path(__file__).parents[3])})
    return ["unshare", "--mount", sys.executable, ordinary_user.__file__, needed]


def as_user_without() -> list[str]:
    return [*as_user(), "unshare", "--user", "--map-current-user", "--keep-caps", *FORBIDDEN]


def as_root_without() -> list[str]:
    """Return the command that runs another as root without namespaces, as root may be already."""
    if ROOT and why_not(["unshare", "--mount", "true"]):
        return []
    return ["unshare", "--user", "--map-root-user", *FORBIDDEN]


def as_root_in_container() -> list[str]:
    """Return the command that runs another with its state in an overlay, as in a container."""
    lay = (
        'cd "$HOME"; mkdir state upper work;'
        " mount -t overlay -o lowerdir=state,upperdir=upper,workdir=work none state;"
        " mount -t tmpfs none /usr/local/src;"
        ' exec "$@"'
    )
    return ["unshare", "--mount", "sh", "-ec", lay, "sh"]


def why_not(command: list[str], **variables: str) -> str:
    """Return why this machine does not run a command; empty if it does."""
    environment = os.environ | variables
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", env=environment)
    return done.stderr if done.returncode else ""


# One of the packages that apt knows and this machine does not have.
SMALL_PACKAGES = ("sl", "cowsay", "figlet", "hello")


def apt_offers() -> str | None:
    """Return a package that could be installed with apt-get here, if there is one."""
    for package in SMALL_PACKAGES if ROOT and shutil.which("apt-get") else ():
        simulated = ["apt-get", "install", "--simulate", "--", package]
        done = subprocess.run(simulated, capture_output=True, text=True)
        if done.returncode == 0 and f"Inst {package} " in done.stdout:
            return package
    return None


KINDS: dict[str, Callable[[], list[str]]] = {
    "root": list,
    "user": as_user,
    "root without namespaces": as_root_without,
    "user without namespaces": as_user_without,
    "root in a container": as_root_in_container,
}
allowed, refused, in_container, anybody, with_and_without = (
    pytest.mark.parametrize("machine", kinds, indirect=True)
    for kinds in (
        *(list(KINDS)[:2], list(KINDS)[2:4], list(KINDS)[4:], list(KINDS)[:4]),
        ["user", "root without namespaces"],
    )
)


@dataclass
class Machine:
    """A platform run by somebody, and what it has at hand."""

    platform: LocalPlatform
    folder: Path
    project: str

    def start(self, code: str, interpreter: str = "bash", **run_spec: object) -> dxpy.DXJob:
        """Start a program."""
        run_spec = RELEASE | run_spec | {"interpreter": interpreter, "code": code}
        request = {"project": self.project, "name": "a", "dxapi": "1.0.0", "runSpec": run_spec}
        return dxpy.DXApplet(dxpy.api.applet_new(request)["id"]).run({}, project=self.project)

    def run(self, code: str, interpreter: str = "bash", **run_spec: object) -> tuple[dict, str]:
        """Run a program; return the job's description and its log."""
        job = self.start(code, interpreter, **run_spec)
        description = ended(job)
        lines = (f" {message['level']} {message['msg']}\n" for message in read_log(job))
        return description, "".join(lines)

    def allow_namespaces(self) -> None:
        """Let the platform have namespaces until it is started again."""
        kinds = ("user", "mnt", "pid")
        script = "".join(f"echo 1000 > /proc/sys/user/max_{kind}_namespaces;" for kind in kinds)
        target = ["--target", str(self.platform.pid), "--user"]
        if reason := why_not(["nsenter", *target, "sh", "-ec", script]):
            pytest.skip(f"this machine allows no user namespaces: {reason}")

    def done(self, code: str, interpreter: str = "bash", **run_spec: object) -> str:
        """Run a program to its good end; return its log."""
        description, log = self.run(code, interpreter, **run_spec)
        assert description["state"] == "done", (description, log)
        return log


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """Serve a platform as one kind of user."""
    kind = request.param
    if kind in ("root", "root in a container") and not ROOT:
        pytest.skip("needs root")
    prefix = KINDS[kind]()
    trials = [[*prefix, sys.executable, "-c", "import dxpy"]]
    if kind in ("root", "root in a container"):
        trials = [[*prefix, "unshare", "--mount", "true"]]
    elif kind == "user":
        trials.append([*prefix, "unshare", "--user", "--map-root-user", "--mount", "true"])
    for trial in trials:
        with tempfile.TemporaryDirectory(prefix="trial_") as home:
            if reason := why_not(trial, HOME=home):
                pytest.skip(f"this machine does not let the platform run so: {reason}")
    with tempfile.TemporaryDirectory(prefix="machine_") as name:
        folder = Path(name)
        make_wheels(folder / "wheels")
        make_repository(folder / "tool.git")
        if ROOT and "user" in kind:
            for path in [folder, *folder.rglob("*")]:
                os.chown(path, ordinary_user.USER, ordinary_user.USER)
        own = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder / "wheels"), "HOME": name}
        served = LocalPlatform(folder / "state", prefix, **own)
        served.start()
        with restoring_clients():
            served.use()
            project = dxpy.api.project_new({"name": "machine"})["id"]
            yield Machine(served, folder, project)
            assert served.complaints() == ""
            assert served.stop() == 0
            assert served.job_processes() == []
            assert list((folder / "state" / "jobs").glob("job-*")) == []
            served.kill()


def make_wheels(folder: Path) -> None:
    """Make packages that exist nowhere else: two versions of one, and one that shadows ours."""
    folder.mkdir()
    for name, module, version in (
        ("local_platform_probe", "local_platform_probe", "1.0"),
        ("local_platform_probe", "local_platform_probe", "2.0"),
        ("websocket_client", "websocket", "99.0"),
    ):
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{module}/__init__.py", f"__version__ = '{version}'\n")
            wheel.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            )
            wheel.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            wheel.writestr(f"{info}/RECORD", "")


def make_repository(folder: Path) -> None:
    """Make a git repository in which `tool` says what it is, tagged v1 and later changed."""
    folder.mkdir()
    identity = ["-c", "user.name=a", "-c", "user.email=a@localhost"]

    def git(*arguments: str) -> None:
        subprocess.run(
            ["git", "-C", folder, *identity, *arguments], check=True, capture_output=True
        )

    git("init")
    for says, tag in (("first", "v1"), ("second", "v2")):
        (folder / "tool").write_text(f"#!/bin/sh\necho from the {says}\n")
        (folder / "tool").chmod(0o755)
        git("add", "tool")
        git("commit", "-m", says)
        git("tag", tag)


@allowed
def test_home_and_user_are_the_jobs(machine: Machine) -> None:
    description, log = machine.run("""
mkdir -p /home/dnanexus/out/result
echo written > out/result/file
echo home=$HOME folder=$PWD user=$(id -u)
ls /home/dnanexus/job_input.json
printf '{"said": "%s"}' $(cat /home/dnanexus/out/result/file) > /home/dnanexus/job_output.json
""")
    owner = (machine.folder / "state").stat().st_uid
    assert f"home=/home/dnanexus folder=/home/dnanexus user={owner}\n" in log
    assert description["output"] == {"said": "written"}
    assert not Path("/home/dnanexus").exists()


@allowed
def test_what_a_job_writes_on_its_system_vanishes_with_it(machine: Machine) -> None:
    machine.done("""
sudo mkdir -p /local_platform_data/x
sudo -E -u root sh -c 'echo kept > /local_platform_data/x/file'
[ "$(cat /local_platform_data/x/file)" = kept ]
printf '#!/bin/sh\necho installed\n' > probe
sudo install -m 755 probe /usr/local/bin/local-platform-probe
[ "$(local-platform-probe)" = installed ]
[ "$(/usr/local/bin/local-platform-probe)" = installed ]
""")
    assert not Path("/local_platform_data").exists()
    assert not Path("/usr/local/bin/local-platform-probe").exists()


@in_container
def test_system_and_mounts_below_it_cannot_be_written_where_no_overlay_takes_it(
    machine: Machine,
) -> None:
    log = machine.done("""
sudo mkdir /usr/local/bin/local-platform-probe || touch /usr/local/src/local-platform-probe || true
""")
    assert log.count("Read-only file system") == 2
    assert not Path("/usr/local/bin/local-platform-probe").exists()


@pytest.mark.parametrize("machine", ["root", "user", "root in a container"], indirect=True)
def test_resources_lie_where_their_paths_say(machine: Machine) -> None:
    code = "for place in usr/bin opt/placed placed etc/placed; do /$place/placed-tool; done\n"
    write_applet(machine.folder / "placed", code + "/usr/bin/env true\n")
    resources = machine.folder / "placed" / "resources"
    for place in ("usr/bin", "opt/placed", "placed", "etc/placed"):
        (resources / place).mkdir(parents=True)
        (resources / place / "placed-tool").write_text(f"#!/bin/sh\necho from /{place}\n")
        (resources / place / "placed-tool").chmod(0o755)
    dx = Dx(
        os.environ | machine.platform.environment | {"DX_PROJECT_CONTEXT_ID": machine.project},
        machine.folder,
    )
    dx("build", "placed")
    log = dx("run", "placed", "-y", "--watch").stdout
    for place in ("usr/bin", "opt/placed", "placed", "etc/placed"):
        assert f"STDOUT from /{place}\n" in log


@allowed
def test_job_has_default_signals_and_cannot_write_the_platforms_packages(machine: Machine) -> None:
    log = machine.done(f"""
touch {SITE_PACKAGES}/probe || echo not written
yes | head -1; echo ${{PIPESTATUS[0]}}
""")
    assert "STDOUT not written" in log
    assert not (SITE_PACKAGES / "probe").exists()
    assert "STDOUT 141" in log


LOGS = """
import logging
import dxpy

@dxpy.entry_point("main")
def main():
    logger = logging.getLogger("applet")
    logger.setLevel(logging.DEBUG)
    logger.debug("a detail")
    logger.warning("a warning")
    logger.critical("the end")
    logger.error("of two\\nlines")
"""


@allowed
def test_records_of_the_log_handler_have_their_levels(machine: Machine) -> None:
    description, log = machine.run(LOGS, "python3")
    for line in (
        "DEBUG a detail",
        "WARNING a warning",
        "CRITICAL the end",
        "ERROR of two",
        "ERROR lines",
    ):
        assert f" {line}\n" in log
    assert "TODO: FIXME" not in log
    chosen = read_log(dxpy.DXJob(description["id"]), levels=["WARNING", "CRITICAL"])
    # The two sockets have no common order.
    shown = sorted(f"{message['level']} {message['msg']}" for message in chosen)
    assert shown == ["CRITICAL the end", "WARNING a warning"]


@allowed
def test_anything_sent_to_a_log_socket_is_a_line(machine: Machine) -> None:
    log = machine.done(
        """
import socket
import dxpy

@dxpy.entry_point("main")
def main():
    for name in ("priority", "bulk"):
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sender.connect("/opt/dnanexus/log/" + name)
        for sent in (b"", b"plain " + name.encode(), b"[]", b'{"msg": 5}', bytes([255]),
                     b'{"msg": "far", "level": 99}', b'{"msg": "real", "level": 4}'):
            sender.send(sent)
""",
        "python3",
    )
    for line in ("INFO plain priority", "INFO plain bulk", "INFO []", "INFO far", "WARNING real"):
        assert f" {line}\n" in log


@allowed
def test_every_record_of_a_flood_is_there(machine: Machine) -> None:
    log = machine.done(
        """
import logging
import dxpy

@dxpy.entry_point("main")
def main():
    logging.getLogger().handlers[0].setLevel(logging.CRITICAL)
    for number in range(3000):
        logging.getLogger("applet").error("record %d", number)
""",
        "python3",
    )
    numbers = [line.rsplit(" ", 1)[1] for line in log.splitlines() if "ERROR record" in line]
    assert numbers == [str(number) for number in range(3000)]


@refused
def test_log_begins_with_what_this_machine_refuses(machine: Machine) -> None:
    log = machine.done("echo home=$HOME")
    first, second, *_ = [line for line in log.splitlines() if " INFO " in line]
    assert re.search(r"gives jobs no file system of their own \((unshare|/): ", first)
    assert "bash running" in second
    assert "/root/home/dnanexus\n" in log


@pytest.mark.skipif(not (ROOT and shutil.which("apt-get")), reason="needs root and apt-get")
def test_waiting_for_apt_ends_with_the_jobs_time() -> None:
    with packages.APT_LOCK, pytest.raises(process.OverError):
        packages.install_apt(["local-platform-absent"], run=lambda _: 1, span=process.Span(0.1))


@pytest.mark.parametrize("machine", ["root"], indirect=True)
def test_only_apt_packages_that_fail_are_named(machine: Machine) -> None:
    offered = apt_offers()
    if not offered:
        pytest.skip("needs a package that apt-get can install: its lists are empty")
    depends = [{"name": offered}, {"name": "local-platform-absent"}]
    description, log = machine.run("true", execDepends=depends)
    assert description["failureReason"] == "AppInternalError"
    assert "could not install local-platform-absent" in description["failureMessage"]
    assert offered not in description["failureMessage"]
    assert "Unable to locate package local-platform-absent" in log


@anybody
def test_sudo_just_runs_the_command(machine: Machine) -> None:
    log = machine.done("""
sudo -E -H -u root -- env A=1 sh -c 'echo "one $A $0"' word
sudo B=2 sh -c 'echo "two $B"'
sudo -n true && sudo -v && echo three
sudo false || echo four
""")
    for line in ("one 1 word", "two 2", "three", "four"):
        assert f"STDOUT {line}\n" in log


VERSIONS = """python3 -c '
import local_platform_probe, websocket
print("versions", local_platform_probe.__version__, websocket.__version__)'"""


def assert_platform_has_its_own_packages() -> None:
    assert not list(SITE_PACKAGES.glob("local_platform_probe*"))
    assert list(SITE_PACKAGES.glob("websocket_client-1.8.0*"))


@with_and_without
def test_pip_packages_are_installed_into_the_job(machine: Machine) -> None:
    depends = [
        {"name": "local_platform_probe", "package_manager": "pip"},
        {"name": "websocket_client", "package_manager": "pip3", "version": "99.0"},
    ]
    log = machine.done(VERSIONS, execDepends=depends)
    assert "Installing pip packages local_platform_probe websocket_client==99.0" in log
    assert "STDOUT versions 2.0 99.0\n" in log
    description, _ = machine.run("python3 -c 'import local_platform_probe'")
    assert "No module named 'local_platform_probe'" in description["failureMessage"]
    assert_platform_has_its_own_packages()


@with_and_without
def test_pip_package_that_cannot_be_had_is_named(machine: Machine) -> None:
    depends = [{"name": "local-platform-absent", "package_manager": "pip"}]
    description, _ = machine.run("true", execDepends=depends)
    assert description["failureReason"] == "AppInternalError"
    assert "local-platform-absent" in description["failureMessage"]
    assert "No matching distribution" in description["failureMessage"]


@with_and_without
def test_what_a_job_installs_with_pip_lands_in_the_job(machine: Machine) -> None:
    log = machine.done(f"""
pip install local_platform_probe==1.0
pip3 install --upgrade local_platform_probe
sudo python3 -m pip install websocket-client==99.0
{VERSIONS}
dx describe "$DX_JOB_ID" --name
""")
    assert "STDOUT versions 2.0 99.0\n" in log
    assert_platform_has_its_own_packages()


@with_and_without
def test_users_own_pip_folder_is_the_jobs(machine: Machine) -> None:
    log = machine.done("pip install --user local_platform_probe\nls ~/.local/lib/*/site-packages")
    assert "STDOUT local_platform_probe\n" in log
    assert not (machine.folder / ".local").exists()


@with_and_without
def test_git_package_is_cloned_and_built_in_the_job(machine: Machine) -> None:
    depends = [
        {
            "name": "tool",
            "package_manager": "git",
            "url": f"file://{machine.folder}/tool.git",
            "tag": "v1",
            "destdir": "/usr/local/src",
            "build_commands": "mkdir -p ~/built && cp tool ~/built/ && echo $PWD is built",
        },
        {
            "name": "other",
            "package_manager": "git",
            "url": f"file://{machine.folder}/tool.git",
            "destdir": "~/sources",
        },
    ]
    log = machine.done("built/tool; sources/tool/tool", execDepends=depends)
    assert "from the first" in log
    assert "from the second" in log
    assert "/usr/local/src/tool is built" in log
    assert not Path("/usr/local/src/tool").exists()


@with_and_without
def test_git_package_that_cannot_be_had_is_named(machine: Machine) -> None:
    depends = [{"name": "absent", "package_manager": "git", "url": "file:///local_platform_absent"}]
    description, _ = machine.run("true", execDepends=depends)
    assert description["failureReason"] == "AppInternalError"
    assert "git package absent failed" in description["failureMessage"]


needs_ps = pytest.mark.skipif(not shutil.which("ps"), reason="needs ps, which lists processes")


@needs_ps
@anybody
def test_monitor_is_found_among_the_processes(machine: Machine) -> None:
    machine.done("ps aux | grep -v grep | grep pcp-dstat | awk '{print $2}' > found; test -s found")


@needs_ps
@allowed
def test_monitor_is_ended_and_started_again(machine: Machine) -> None:
    machine.done("""
kill $(ps aux | grep pcp-dstat | head -n1 | awk '{print $2}')
while ps aux | grep -v grep | grep pcp-dstat; do sleep 0.1; done
/usr/bin/dx-dstat &
sleep 0.1
ps aux | grep -v grep | grep dx-dstat
""")


@allowed
def test_system_python_is_the_jobs(machine: Machine) -> None:
    log = machine.done("""
pip install local_platform_probe
cat > script << END
#!/usr/bin/python3
import dxpy, local_platform_probe
print("probe", local_platform_probe.__version__)
END
chmod +x script
./script
""")
    assert "STDOUT probe 2.0\n" in log


@anybody
def test_dx_tools_see_what_the_job_installs(machine: Machine) -> None:
    log = machine.done("""
pip install websocket-client==99.0
cat > sitecustomize.py << END
import sys, websocket
if "dx" in sys.argv[0]: print("dx has", websocket.__version__)
END
PYTHONPATH=$PWD:$PYTHONPATH dx --version
PYTHONPATH=$PWD:$PYTHONPATH dx-jobutil-dxlink file-xxxx
""")
    assert log.count("STDOUT dx has 99.0\n") == 2


# Each has a number of its own, by which it is found.
HIDDEN = """
setsid env -i sh -c 'touch hidden; exec sleep {number}' > /dev/null 2>&1 &
until test -e hidden; do sleep 0.01; done
"""


def sleeps(number: int) -> list[Path]:
    """Return the processes that sleep for a number of seconds."""
    wanted = f"sleep\0{number}\0".encode()
    return [path for path in Path("/proc").glob("[0-9]*/cmdline") if content(path) == wanted]


def content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@anybody
@pytest.mark.parametrize("ending", ["exit 0", "exit 1", "kill -9 $$", "sleep 600"])
def test_process_that_hides_from_its_job_ends_with_it(machine: Machine, ending: str) -> None:
    number = 1_000_000 + random.randrange(1_000_000)
    code = HIDDEN.format(number=number) + ending
    machine.run(code, timeoutPolicy={"*": {"minutes": 0.02}})
    assert sleeps(number) == []


@anybody
def test_process_that_hides_from_its_job_ends_with_the_platform(machine: Machine) -> None:
    number = 1_000_000 + random.randrange(1_000_000)
    job = machine.start(HIDDEN.format(number=number) + "sleep 600")
    until(lambda: sleeps(number))
    machine.platform.kill()
    try:
        assert until(lambda: not sleeps(number))
    finally:
        machine.platform.start(machine.platform.port)
    assert ended(job)["failureReason"] == "UnresponsiveWorker"


@anybody
def test_installing_is_part_of_the_jobs_time(machine: Machine) -> None:
    depends = {
        "name": "tool",
        "package_manager": "git",
        "url": f"file://{machine.folder}/tool.git",
        "build_commands": "sleep 600",
    }
    policy = {"*": {"minutes": 0.02}}
    description, _ = machine.run("true", execDepends=[depends], timeoutPolicy=policy)
    assert description["failureReason"] == "JobTimeoutExceeded"


@pytest.mark.parametrize("machine", ["root without namespaces"], indirect=True)
def test_missing_namespaces_are_not_remembered(machine: Machine) -> None:
    where = "echo folder=$PWD"
    assert "STDOUT folder=/home/dnanexus\n" not in machine.done(where)
    try:
        machine.allow_namespaces()
        assert "STDOUT folder=/home/dnanexus\n" in machine.done(where)
    finally:
        # Started again, it has no namespaces again.
        machine.platform.stop()
        machine.platform.start(machine.platform.port)


@anybody
def test_locked_folders_do_not_outlive_the_job(machine: Machine) -> None:
    machine.done("mkdir -p a/b/c; touch a/b/c/file; chmod 0 a/b/c; chmod 0 a/b; chmod 0 a")
    assert list((machine.folder / "state" / "jobs").iterdir()) == []
