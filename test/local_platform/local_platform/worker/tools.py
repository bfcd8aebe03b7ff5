"""What every worker has beside its system: the job's own Python, pip, dx, sudo, and a monitor."""

import os
import shlex
import sys
import venv
from pathlib import Path

# Options are skipped: a job has no rights to raise.
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
# Programs look for the monitor's process, end it, and start it again under its other name.
MONITOR = "#!/bin/sh\nwhile :; do sleep 3600; done\n"
START = """#!/bin/sh
(pcp-dstat >/dev/null 2>&1 &)
exec "$@"
"""


def make(root: Path, own: str, seen: str) -> None:
    """Put the tools into a job's root, and folders for what it needs while it runs.

    The program `start` of the own folder runs a command beside a monitor.

    Args:
        root: the root.
        own: folder of the platform's own files in it, which is not there yet.
        seen: path under which the job sees that folder.
    """
    for name in ("tmp", "log"):
        (root / own / name).mkdir(parents=True)
    _write_scripts(root / own, {"start": START})
    real_python = _make_python(root / own / "python")
    python = f"{seen}/python/bin/python3"
    beside = Path(sys.executable).parent
    pips = {path.name for path in beside.glob("pip*")} | {"pip", "pip3"}
    _write_scripts(
        root / own / "python" / "bin",
        {name: _script(python, "-m", "pip") for name in pips}
        # The job's Python finds what the job installs.
        | {path.name: _script(python, str(path)) for path in beside.glob("dx*")},
    )
    programs = {"sudo": SUDO, "pcp-dstat": MONITOR, "dx-dstat": MONITOR}
    if real_python != "/usr/bin/python3":
        # A link would not be taken for the virtual environment that it leads into.
        programs["python3"] = _script(python)
    _write_scripts(root / "usr" / "bin", programs)


def _make_python(folder: Path) -> str:
    """Make a virtual environment that adds to the platform's own; return its interpreter."""
    builder = venv.EnvBuilder(system_site_packages=True, symlinks=True)
    builder.create(folder)
    places = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    site_packages = next(folder.glob("lib/python*/site-packages"))
    lines = [f"import site; site.addsitedir({place!r})\n" for place in places]
    (site_packages / "platform.pth").write_text("".join(lines))
    interpreter = os.path.realpath(folder / "bin" / "python3")
    for link in folder.glob("bin/python*"):
        if link.readlink().is_absolute():
            # It may lead to /usr/bin/python3, which for the job is a way to this link.
            link.unlink()
            link.symlink_to(interpreter)
    return interpreter


def _script(*command: str) -> str:
    """Return a script that passes its arguments on to a command."""
    return f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n'


def _write_scripts(folder: Path, scripts: dict[str, str]) -> None:
    """Write programs into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, script in scripts.items():
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)


def pip_settings() -> dict[str, str]:
    """Return the variables that make a job's pip look where this machine's does."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    for name in (".config/pip/pip.conf", ".pip/pip.conf"):
        if (Path.home() / name).is_file():
            return {"PIP_CONFIG_FILE": str(Path.home() / name)} | settings
    return settings
