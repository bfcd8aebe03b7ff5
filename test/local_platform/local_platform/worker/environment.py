"""The variables that a job's programs see: those of a worker, and none of the caller's."""

import os
import sys
from pathlib import Path

from local_platform.worker import tools
from local_platform.worker.namespace import HOME, OWN, Support


def of_job(root: Path, support: Support) -> dict[str, str]:
    """Return the variables beside DX_*."""

    def private(*folders: str) -> str:
        return os.pathsep.join(str(root / folder) for folder in folders)

    def seen(name: str) -> str:
        return support.seen(root, name)

    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    path = [private("usr/local/bin", "usr/bin", "bin"), seen(f"{OWN}/python/bin")]
    # The machine's own Python is the job's only where it is laid over.
    outside = "BREAK_SYSTEM_PACKAGES" if support.overlays else "REQUIRE_VIRTUALENV"
    return tools.pip_settings() | {
        "HOME": seen(HOME),
        "TMPDIR": seen(f"{OWN}/tmp"),  # noqa: S108 - the job's own
        "PATH": os.pathsep.join([*path, os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": private(
            "usr/lib/python3/dist-packages", f"usr/local/lib/{version}/dist-packages"
        ),
        "LD_LIBRARY_PATH": private("usr/local/lib", "usr/lib"),
        "LANG": "C.UTF-8",
        "USER": "dnanexus",
        # A job's lines reach its log as they are printed.
        "PYTHONUNBUFFERED": "1",
        f"PIP_{outside}": "1",
    }


def for_installing() -> dict[str, str]:
    """Return the variables with which packages are fetched, through the machine's proxies."""
    cache = {"PIP_CACHE_DIR": str(Path.home() / ".cache/pip"), "GIT_TERMINAL_PROMPT": "0"}
    return cache | os.environ
