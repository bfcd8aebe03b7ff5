"""What every worker has beside its system: a Python of the job's own, pip, sudo, and dstat."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

PIP = '#!/bin/sh\nexec "${0%/*}/python3" -m pip "$@"\n'
# A job has the rights that it has: options are read, and the command runs.
SUDO = """#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in
        --) shift; break ;;
        -[ugphCDRT]) shift 2 ;;
        -[is]|--login|--shell) shell=yes; shift ;;
        -*) shift ;;
        *) break ;;
    esac
done
if [ $# = 0 ] && [ "$shell" ]; then set -- bash; fi
if [ $# = 0 ]; then exit 0; fi
exec env -- "$@"
"""


def make(folder: Path) -> None:
    """Put the tools into a folder that is not there yet: `python`, `bin`, `tmp` and `log`."""
    for name in ("bin", "tmp", "log"):
        (folder / name).mkdir(parents=True)
    (folder / "bin" / "sudo").write_text(SUDO)
    (folder / "bin" / "sudo").chmod(0o755)
    _make_python(folder / "python")


def _make_python(folder: Path) -> None:
    """Make a virtual environment that adds to the platform's own, and never changes it."""
    builder = venv.EnvBuilder(system_site_packages=True, symlinks=True)
    builder.create(folder)
    places = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    site_packages = next(folder.glob("lib/python*/site-packages"))
    lines = [f"import site; site.addsitedir({place!r})\n" for place in places]
    (site_packages / "platform.pth").write_text("".join(lines))
    names = {path.name for path in Path(sys.executable).parent.glob("pip*")} | {"pip", "pip3"}
    for name in names:
        script = folder / "bin" / name
        script.write_text(PIP)
        script.chmod(0o755)


def pip_settings() -> dict[str, str]:
    """Return the variables that make a job's pip look where this machine's does."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    for name in (".config/pip/pip.conf", ".pip/pip.conf"):
        if (Path.home() / name).is_file():
            return {"PIP_CONFIG_FILE": str(Path.home() / name)} | settings
    return settings


def start_dstat(environment: dict[str, str]) -> "subprocess.Popen[bytes] | None":
    """Start what looks like a worker's dstat: programs search it with ps, and may end it."""
    bash = shutil.which("bash")
    if bash is None:
        return None
    # It ends when it is killed, or when nobody holds the other end of its standard input.
    return subprocess.Popen(
        ["/usr/bin/dstat", "-c", "read -r"],
        executable=bash,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
