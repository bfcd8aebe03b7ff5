"""Fixtures with which anybody tests an applet, on a local platform or on the service itself.

They are named dx and dx_..., since plain names like `project` and `run` are those that a suite is
likely to have: its own fixture would take the place of ours, also for those of ours that use it.
README.md lists them, and so does `pytest --fixtures -p local_platform.pytest_plugin`.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# dxpy reads a person's login when it is imported: not before that is set aside.
if TYPE_CHECKING:
    from local_platform.testing.faults import Faults
    from local_platform.testing.live import LiveProject
    from local_platform.testing.local import LocalPlatform
    from local_platform.testing.project import Dx, Job, Project

NOWHERE = "ask-for-a-dx-fixture.invalid"
"""The service's host, outside of our fixtures: what a test that forgot them reads in its error."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that leads the tests to the service."""
    parser.getgroup("DNAnexus").addoption(
        "--dx-project",
        metavar="PROJECT",
        help="test in this project, where you are logged in, instead of on a local platform",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Set a person's login aside before any file of the suite can import dxpy.

    Without --dx-project no test can reach the service by mistake, with a login or without.
    """
    if early_config.known_args_namespace.dx_project:
        return
    aside = {name: value for name, value in os.environ.items() if name.startswith("DX_")}
    for name in aside:
        del os.environ[name]
    configuration = tempfile.TemporaryDirectory(prefix="dnanexus_config_")
    instead = {"DX_USER_CONF_DIR": configuration.name, "DX_APISERVER_HOST": NOWHERE}
    os.environ.update(instead)

    def restore() -> None:
        configuration.cleanup()
        for name in instead:
            del os.environ[name]
        os.environ.update(aside)

    early_config.add_cleanup(restore)


def pytest_report_header(config: pytest.Config) -> str:
    """Say where the tests go."""
    project = config.getoption("dx_project")
    return f"DNAnexus: {project or 'a local platform; your login is set aside'}"


@pytest.fixture(scope="session")
def dx_platform(request: pytest.FixtureRequest) -> Iterator[LocalPlatform | LiveProject]:
    """One platform for all tests: a local one, or with --dx-project the service."""
    with warnings.catch_warnings():
        # Of dxpy's own source, which a suite that makes warnings errors cannot mend.
        warnings.simplefilter("ignore")
        from local_platform.testing.live import LiveProject
        from local_platform.testing.local import LocalPlatform

    if project := request.config.getoption("dx_project"):
        yield LiveProject(project)
        return
    with tempfile.TemporaryDirectory(prefix="dx_platform_") as folder:
        platform = LocalPlatform(Path(folder) / "state")
        platform.start()
        yield platform
        assert platform.stop() == 0, platform.complaints()
        assert platform.job_processes() == [], "processes of jobs outlived the local platform"


@pytest.fixture(autouse=True)
def _dx_no_complaints(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which the local platform met an unknown route or a defect of its own.

    A test that has read the complaints itself has dealt with them.
    """
    yield
    if "dx_platform" not in request.fixturenames or request.config.getoption("dx_project"):
        return
    if complaints := request.getfixturevalue("dx_platform").complaints():
        pytest.fail(f"The local platform could not do what was asked:\n{complaints}", pytrace=False)


@pytest.fixture
def _dx_new_project(
    dx_platform: LocalPlatform | LiveProject,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Project]:
    """Make a project for one test; its tmp_path stays empty for the test."""
    if "dx_empty_platform" in request.fixturenames:
        # First, whatever the order in which a test names the two.
        request.getfixturevalue("dx_empty_platform")
    with dx_platform.new_project(request.node.name, tmp_path_factory.mktemp("dx")) as project:
        yield project


@pytest.fixture
def dx_project(_dx_new_project: Project) -> str:
    """ID of a fresh project; with --dx-project, of that one."""
    return _dx_new_project.id


@pytest.fixture
def dx_folder(_dx_new_project: Project) -> str:
    """Path of the test's folder in its project: / locally, a fresh one with --dx-project."""
    return _dx_new_project.folder


@pytest.fixture
def dx(_dx_new_project: Project) -> Dx:
    """Run the real dx, in an empty folder of the test's own, dx.folder.

    dx("ls", "-l").stdout; another exit status than 0 fails the test, unless it is expected:
    dx("ls", "/nowhere", status=3).stderr.
    """
    return _dx_new_project.dx


@pytest.fixture
def dx_build_applet(_dx_new_project: Project) -> Callable[..., str]:
    """Build an applet with dx build, from a folder with its dxapp.json.

    dx_build_applet("my_applet", "--option") returns the applet's ID.
    """
    return _dx_new_project.build_applet


@pytest.fixture
def dx_run(_dx_new_project: Project) -> Callable[..., Job]:
    """Run an applet to its end, which fails the test if it is not the expected one.

    dx_run(applet, {"number": 1, "bam": Path("a.bam")}, state="done") returns a job with its
    output, failure_reason, failure_message and log; job.download("name") returns a path.
    """
    return _dx_new_project.run


@pytest.fixture
def dx_upload_folder(_dx_new_project: Project) -> Callable[[str | Path], dict[str, str]]:
    """Upload what a folder holds, with its folders, into the test's project.

    dx_upload_folder("data") returns the files' IDs by their paths: {"a/b.txt": "file-..."}.
    """
    return _dx_new_project.upload_folder


@pytest.fixture
def dx_empty_platform(dx_platform: LocalPlatform | LiveProject) -> LocalPlatform:
    """The local platform as new: all projects, jobs and files of earlier tests are gone."""
    platform = _local(dx_platform)
    platform.reset()
    return platform


@pytest.fixture
def dx_faults(
    dx_platform: LocalPlatform | LiveProject, request: pytest.FixtureRequest
) -> Iterator[Faults]:
    """Spoil downloads to come; a fault that no download has met fails the test. Local only.

    dx_faults("cut", file="*.bam", times=1, skip=0) returns a function that tells how often it
    was met. times=None stands for always.
    """
    faults = _local(dx_platform).faults
    failed_before = request.session.testsfailed
    yield faults
    unmet = faults.unmet()
    faults.clear()
    # A test that has failed already need not be told.
    if unmet and request.session.testsfailed == failed_before:
        pytest.fail(f"No download met the fault: {', '.join(unmet)}", pytrace=False)


def _local(platform: LocalPlatform | LiveProject) -> LocalPlatform:
    """Return a local platform, or skip the test."""
    from local_platform.testing.local import LocalPlatform

    if not isinstance(platform, LocalPlatform):
        pytest.skip("needs the local platform: run it without --dx-project")
    return platform
