"""The applet's launch form in a browser, with files to run it on: what `make web` shows.

Usage: python test/show_applet.py FOLDER BAM BAI, with dx talking to a local platform. FOLDER is
where the command was typed: relative names begin there. An empty BAM stands for the demo, an empty
BAI for the index next to the BAM file, if there is one.
"""

import json
import os
import shlex
import signal
import sys
import tempfile
from pathlib import Path

from demo_bam import build_demo
from local_platform.address import launch_place, open_in_browser, page_address
from run_applet import (
    APPLET,
    DX,
    FIELDS,
    StepError,
    build,
    dx,
    end_in_order,
    enter,
    find_files,
    upload,
)

PROJECT = "make_web"


def main() -> int:
    """Prepare a project, show the form and wait for an interrupt; return the exit status."""
    stand, bam, bai = sys.argv[1:]
    end_in_order()
    try:
        enter(stand)
        with tempfile.TemporaryDirectory(prefix="make_web_") as folder:
            os.environ["TMPDIR"] = folder
            form = prepare_form(find_files(bam, bai) or build_demo(Path(folder)))
            address = find_address(form)
            print(
                f"\nTo use dx with this platform, type in another shell: . {write_exports(folder)}"
            )
            print(
                f"Open this address in a browser. Ctrl-C stops everything.\n  {address}", flush=True
            )
            open_in_browser(address)
            signal.pause()
    except StepError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
    return 0


def prepare_form(files: list[Path]) -> str:
    """Build the applet, upload the files, and return the place of the filled-in form."""
    project = find_project() or dx("new", "project", "--brief", PROJECT).strip()
    dx("select", project)
    applet = build(APPLET, "--overwrite")
    ids = [find_uploaded(file, project) or upload(file, project) for file in files]
    return launch_place(applet, project, dict(zip(FIELDS, ids, strict=False)))


def find_project() -> str | None:
    """Return the project of an earlier time on the same state, if there is one."""
    found = dx("find", "projects", "--brief", "--name", PROJECT, show=False).split()
    return found[0] if found else None


def find_uploaded(file: Path, project: str) -> str | None:
    """Return the ID of a file of the same name and size that was uploaded before."""
    options = ("--json", "--class", "file", "--state", "closed", "--project", project)
    found = json.loads(dx("find", "data", *options, "--name", file.name, show=False))
    size = file.stat().st_size
    return next((one["id"] for one in found if one["describe"]["size"] == size), None)


def write_exports(folder: str) -> str:
    """Write the variables that lead dx here to a file for shells; return its path, quoted."""
    path = Path(folder) / "dx.sh"
    variables = {name: value for name, value in os.environ.items() if name.startswith("DX_")}
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    # The dx that was tried with this platform, also where there is none or another one.
    lines.append(f'export PATH={shlex.quote(str(Path(DX).parent))}:"$PATH"\n')
    path.write_text("".join(lines))
    return shlex.quote(str(path))


def find_address(place: str) -> str:
    """Return the address of a place in the page of the platform that dx talks to here."""
    token = json.loads(os.environ["DX_SECURITY_CONTEXT"])["auth_token"]
    host, port = os.environ["DX_APISERVER_HOST"], os.environ["DX_APISERVER_PORT"]
    return page_address(host, port, token, place)


if __name__ == "__main__":
    sys.exit(main())
