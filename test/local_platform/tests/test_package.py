"""The local platform as a stranger gets it: installed from a wheel, used in an empty folder."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local_platform import __version__, pytest_plugin
from local_platform.api import routes
from local_platform.testing.faults import CALLS, DOWNLOADS, REASONS

PACKAGE = Path(__file__).parents[1]
PINS = PACKAGE.parent / "requirements.txt"
README = (PACKAGE / "README.md").read_text()


def run(command: list[object], folder: Path, **environment: str) -> str:
    """Run a command that knows nothing of this repository; return what it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command],
        env=kept | environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the package in an empty virtual environment, and return where its programs are.

    With the versions that we test with; pip fails if they are not among those that it allows.
    """
    folder = tmp_path_factory.mktemp("installed")
    run([sys.executable, "-m", "venv", "venv"], folder)
    pip = [folder / "venv" / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    before = sorted(PACKAGE.rglob("*"))
    run([*pip, "install", "--quiet", "--constraint", PINS, f"{PACKAGE}[pytest]"], folder)
    assert sorted(PACKAGE.rglob("*")) == before, "building leaves something behind"
    return folder / "venv" / "bin"


def test_example_passes_where_only_the_package_is_installed(programs: Path, tmp_path: Path) -> None:
    shutil.copytree(PACKAGE / "example", tmp_path / "example")
    printed = run([programs / "pytest", "example"], tmp_path)
    assert "DNAnexus: a local platform" in printed
    assert "5 passed" in printed


def test_what_the_page_says_can_be_pasted_into_an_empty_folder(
    programs: Path, tmp_path: Path
) -> None:
    script = re.search("```sh\n(.*?)```", README, re.DOTALL)[1]
    path = f"{programs}:{os.environ['PATH']}"
    assert "1 passed" in run(["bash", "-ec", script], tmp_path, PATH=path)


@pytest.mark.parametrize("on", [True, False])
def test_plugin_is_turned_off_by_one_line_of_settings(
    programs: Path, tmp_path: Path, on: bool
) -> None:
    line = re.search("`(addopts = .*?)`", README)[1]
    (tmp_path / "pytest.ini").write_text("[pytest]\n" + line * (not on))
    (tmp_path / "test_it.py").write_text(
        "def test_it(pytestconfig):\n"
        f"    assert pytestconfig.pluginmanager.hasplugin('local_platform.pytest_plugin') is {on}\n"
    )
    assert "1 passed" in run([programs / "pytest"], tmp_path)


def test_command_says_its_version(programs: Path, tmp_path: Path) -> None:
    printed = run([programs / "dx-local-platform", "--version"], tmp_path)
    assert printed == f"dx-local-platform {__version__}\n"


def test_command_finds_the_dx_that_was_installed_with_it(programs: Path, tmp_path: Path) -> None:
    command = [programs / "dx-local-platform", "--", "dx", "whoami"]
    assert run(command, tmp_path, PATH="/usr/bin:/bin") == "local\n"


def test_page_lists_what_is_served() -> None:
    table = README.split("## What is served")[1].split("\n\n")[1]
    rows = [line.split("|")[1:3] for line in table.splitlines()[2:]]
    listed = {
        (name, method)
        for names, methods in rows
        for name in re.findall("`(.+?)`", names)
        for method in re.findall("`(.+?)`", methods)
    }
    assert listed == set(routes.ROUTES)


def test_page_lists_every_fixture_and_every_fault() -> None:
    fixtures = {name for name in dir(pytest_plugin) if re.match("dx($|_)", name)}
    assert len(fixtures) > 5
    assert {
        name for name in (*fixtures, *CALLS, *DOWNLOADS, *REASONS) if f"`{name}`" not in README
    } == set()
