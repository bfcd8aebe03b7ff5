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
def recipe(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run what the page says for CI beside the example; return the folder and what was printed.

    pip gets the versions that we test with; it fails if the package does not allow them.
    """
    folder = tmp_path_factory.mktemp("recipe")
    shutil.copytree(PACKAGE / "example", folder / "example")
    steps = re.findall("- run: (.*)", README)
    assert len(steps) == 2
    if not shutil.which("sysctl"):
        del steps[0]
    script = "; ".join(steps).replace("git+URL#subdirectory=test/local_platform", PACKAGE.as_uri())
    # The setting is the machine's: here it is read, not changed.
    script = script.replace("sudo ", "").replace("userns=0", "userns")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    before = sorted(PACKAGE.rglob("*"))
    printed = run(["bash", "-ec", script], folder, PATH=path, PIP_CONSTRAINT=str(PINS))
    assert sorted(PACKAGE.rglob("*")) == before, "building leaves something behind"
    return folder, printed


@pytest.fixture
def programs(recipe: tuple[Path, str]) -> Path:
    """Return the folder of the programs in an environment that has only the package."""
    return recipe[0] / "venv" / "bin"


def test_recipe_for_ci_installs_the_package_and_passes(recipe: tuple[Path, str]) -> None:
    assert "DNAnexus: a local platform" in recipe[1]
    assert "5 passed" in recipe[1]


def test_type_hints_are_installed(programs: Path, tmp_path: Path) -> None:
    where = "import local_platform, pathlib; print(pathlib.Path(local_platform.__file__).parent)"
    installed = run([programs / "python", "-c", where], tmp_path).strip()
    assert Path(installed, "py.typed").exists()


def test_what_the_page_says_can_be_pasted_into_an_empty_folder(
    programs: Path, tmp_path: Path
) -> None:
    script = re.search("```sh\n(.*?)```", README, re.DOTALL)[1]
    path = f"{programs}:{os.environ['PATH']}"
    assert "1 passed" in run(["bash", "-ec", script], tmp_path, PATH=path)


def test_script_of_the_page_needs_no_pytest(programs: Path, tmp_path: Path) -> None:
    script = re.search("```python\n(.*?)```", README, re.DOTALL)[1]
    assert run([programs / "python", "-c", script], tmp_path) == "hi\n\n"


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
