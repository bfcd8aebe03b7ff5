"""Run the README's two commands in a bare Debian: what `make test-system` does, as root.

Usage: python3 test/try_system.py RELEASE. The release is made once, by debootstrap, with only make,
git and python3 in it, and kept in .systems/RELEASE. The commands run in a copy of it, on a clone of
what is committed here, in an environment of three variables.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

CLONE = Path(__file__).parent.parent
SYSTEMS = CLONE / ".systems"
PROGRAMS = "make,git,python3"
COMMANDS = ("run", "test")
BARE = {"HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
# How this machine reaches package registries: names, proxies, certificates.
CONFIGURATION = ("etc/resolv.conf", "etc/hosts", "etc/pip.conf", "etc/ssl/certs")
PROXIES = re.compile(r"(https?|no|all)_proxy", re.IGNORECASE)
# What a system has mounted. The mounts, and processes that are left, end with these namespaces.
NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
ENTER = """
mount -t proc proc "$1/proc"
mount -t devpts devpts "$1/dev/pts"
mount -t tmpfs tmpfs "$1/dev/shm"
exec chroot "$@"
"""


def main() -> int:
    """Try the release of the command line; return the exit status."""
    (release,) = sys.argv[1:]
    if os.geteuid() != 0:
        sys.exit(
            "make test-system must be run by root: it makes a system of its own and enters it."
        )
    if shutil.which("debootstrap") is None:
        sys.exit("debootstrap is needed: install it (apt-get install debootstrap) and try again.")
    system = SYSTEMS / f"{release}.trial"
    shutil.rmtree(system, ignore_errors=True)
    subprocess.run(["cp", "-a", "--reflink=auto", find_system(release), system], check=True)
    configure(system)
    subprocess.run(["git", "clone", "--quiet", CLONE, system / "root/clone"], check=True)
    for command in COMMANDS:
        print(f"\n{release}: make {command}", flush=True)
        begin = time.monotonic()
        done = run(system, "sh", "-c", f"cd /root/clone && exec make {command}")
        print(f"{release}: make {command} ended with {done} after {time.monotonic() - begin:.0f} s")
        if done != 0:
            print(f"The system is kept in {system}.")
            return 1
    shutil.rmtree(system)
    return 0


def find_system(release: str) -> Path:
    """Return the folder of a release that is as new; make it if there is none yet."""
    system = SYSTEMS / release
    if not system.exists():
        print(f"Making {system}, once: about 400 MB", flush=True)
        part = SYSTEMS / f"{release}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        with (SYSTEMS / f"{release}.log").open("wb") as log:
            make = ["debootstrap", "--variant=minbase", f"--include={PROGRAMS}", release, part]
            if subprocess.run(make, stdout=log, stderr=log).returncode:
                sys.exit(f"debootstrap failed; its log is {log.name}.")
        part.rename(system)
    return system


def configure(system: Path) -> None:
    """Let a system reach package registries as this machine does."""
    for name in CONFIGURATION:
        source, target = Path("/", name), system / name
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif source.exists():
            shutil.copyfile(source, target)
    if shutil.which("apt-config"):
        settings = subprocess.check_output(["apt-config", "dump"], text=True).splitlines()
        own = [line for line in settings if re.match(r"Acquire::(https?::|Check-)", line)]
        (system / "etc/apt/apt.conf.d/99machine").write_text("\n".join([*own, ""]))


def run(system: Path, *command: str) -> int:
    """Run a command in a system, as root, in a bare environment; return its exit status."""
    proxies = {name: value for name, value in os.environ.items() if PROXIES.fullmatch(name)}
    enter = [*NAMESPACES, "sh", "-euc", ENTER, "sh", system]
    return subprocess.run(
        [*enter, *command], env=BARE | proxies, stdin=subprocess.DEVNULL
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
