"""Fixtures with which anybody tests an applet, on a local platform or on the service itself.

Suites that use none of them are left alone. All are named dx or dx_...: a suite's own fixture
called `project` or `run` would otherwise replace ours, also for those of ours that use it.
README.md lists them, and so does `pytest --fixtures -p local_platform.pytest_plugin`.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local_platform.testing import PlatformError
from local_platform.testing.clients import leading_nowhere

# dxpy reads a person's login when it is imported: not before that is set aside.
if TYPE_CHECKING:
    from local_platform.testing.faults import Faults
    from local_platform.testing.live import LiveProject
    from local_platform.testing.local import LocalPlatform
    from local_platform.testing.project import Dx, Job, Project

USED = pytest.StashKey[bool]()
"""Whether a collected test uses a fixture of ours."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that points the tests at the service."""
    parser.getgroup("DNAnexus").addoption(
        "--dx-project",
        metavar="PROJECT",
        help="test in this project, where you are logged in, instead of on a local platform",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Set a person's login aside before any test runs, if one of them uses a fixture of ours.

    Then no test reaches the service by mistake, not even one that forgets to ask for a fixture.
    All our fixtures need dx_platform.
    """
    used = any("dx_platform" in getattr(item, "fixturenames", ()) for item in items)
    config.stash[USED] = used
    if used and not config.getoption("dx_project"):
        aside = contextlib.ExitStack()
        aside.enter_context(leading_nowhere())
        config.add_cleanup(aside.close)


def pytest_report_collectionfinish(config: pytest.Config) -> str | None:
    """Say where the tests go."""
    if not config.stash.get(USED, False):
        return None
    project = config.getoption("dx_project")
    return f"DNAnexus: {project or 'a local platform; your login is set aside'}"


@pytest.fixture(scope="session")
def dx_platform(request: pytest.FixtureRequest) -> Iterator[LocalPlatform | LiveProject]:
    """One platform for all tests: a local one, or with --dx-project the service."""
    project = request.config.getoption("dx_project")
    with contextlib.ExitStack() as stack:
        if not project:
            # A test may also ask for this while it runs, with request.getfixturevalue.
            stack.enter_context(leading_nowhere())
        with warnings.catch_warnings():
            # dxpy's own source gives warnings that a suite may have turned into errors.
            warnings.simplefilter("ignore")
            from local_platform.testing.live import LiveProject
            from local_platform.testing.local import LocalPlatform
        stack.enter_context(_errors_as_sentences())
        yield LiveProject(project) if project else stack.enter_context(LocalPlatform())


@contextlib.contextmanager
def _errors_as_sentences() -> Iterator[None]:
    """Show an error of the platform without the source that raises it."""
    try:
        yield
    except PlatformError as error:
        pytest.fail(str(error), pytrace=False)


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
    folder = tmp_path_factory.mktemp("dx")
    with _errors_as_sentences(), dx_platform.new_project(request.node.name, folder) as project:
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
def dx_applet(_dx_new_project: Project) -> Callable[..., str]:
    """Make an applet from a string.

    dx_applet("echo hi"), dx_applet("import dxpy", "python3", outputSpec=[...]) return its ID; what
    is named is a field of dxapp.json.
    """
    return _dx_new_project.applet


@pytest.fixture
def dx_run(_dx_new_project: Project) -> Callable[..., Job]:
    """Run an applet to its end, which fails the test if it is not the expected one.

    dx_run(applet, {"number": 1, "bam": Path("a.bam")}, state="done", name="trial") returns a job
    with its output, failure_reason, failure_message and log; job.download("name") returns a path,
    or a list of paths for an array of files. The options are those of dxpy.DXApplet.run.
    """
    return _dx_new_project.run


@pytest.fixture
def dx_start(_dx_new_project: Project) -> Callable[..., Job]:
    """Start an applet like dx_run, without waiting: job.wait(state="done") does that."""
    return _dx_new_project.start


@pytest.fixture
def dx_upload_folder(_dx_new_project: Project) -> Callable[[str | Path], dict[str, str]]:
    """Upload what a folder holds, with its folders, into the test's project.

    dx_upload_folder("data") returns the files' IDs by their paths: {"a/b.txt": "file-..."}.
    """
    return _dx_new_project.upload_folder


@pytest.fixture
def dx_stand_in(dx_platform: LocalPlatform | LiveProject) -> Callable[..., None]:
    """Let a local file stand in for an object that only the service has. Not needed there.

    dx_stand_in("file-xxxx", "reference.fa.gz"), dx_stand_in("project-xxxx:/reference.fa.gz", path),
    dx_stand_in("record-xxxx", "asset.tar.gz"); without a path, the file or asset is empty.
    """
    from local_platform.testing.local import LocalPlatform

    return dx_platform.stand_in if isinstance(dx_platform, LocalPlatform) else lambda *_: None


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
    """Spoil requests to come; a fault that none has met fails the test. Local only.

    dx_faults("cut", file="*.bam", times=1, skip=0) spoils downloads, dx_faults("503",
    method="file/describe") calls, dx_faults("SpotInstanceInterruption", job="count") jobs. Each
    returns a function that returns how often the fault was met. times=None stands for always.
    """
    faults = _local(dx_platform).faults
    failed_before = request.session.testsfailed
    yield faults
    unmet = faults.unmet()
    faults.clear()
    # A test that has failed already need not be told.
    if unmet and request.session.testsfailed == failed_before:
        pytest.fail(f"No request met the fault: {', '.join(unmet)}", pytrace=False)


def _local(platform: LocalPlatform | LiveProject) -> LocalPlatform:
    """Return a local platform, or skip the test."""
    from local_platform.testing.local import LocalPlatform

    if not isinstance(platform, LocalPlatform):
        pytest.skip("needs the local platform: run it without --dx-project")
    return platform
