"""The service itself, where a person is logged in, and folders of one project there."""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import dxpy

from local_platform.testing import PlatformError
from local_platform.testing.clients import lead_clients, restoring_clients
from local_platform.testing.project import Project


class LiveProject:
    """A project on the service; each test gets a folder of it, which is removed at its end."""

    def __init__(self, project_id: str) -> None:
        """Use a project of the person who is logged in.

        Raises:
            PlatformError: it cannot be reached; with the service's words.
        """
        try:
            self._id = str(dxpy.DXProject(project_id).describe()["id"])
        except dxpy.exceptions.DXError as error:
            raise PlatformError(
                f"--dx-project {project_id}: {error}\nLog in with: dx login"
            ) from None

    @contextlib.contextmanager
    def new_project(self, name: str, folder: Path) -> Iterator[Project]:
        """Make a folder and point all clients at it, until the end of the block.

        Args:
            name: unused; the project already has a name.
            folder: here, for what dx keeps; it runs in a folder `work` of it.
        """
        del name
        there = f"/pytest_{secrets.token_hex(8)}"
        with restoring_clients():
            # dxpy has put the login into the environment when it was imported.
            lead_clients({"DX_PROJECT_CONTEXT_ID": self._id, "DX_CLI_WD": there})
            dxpy.api.project_new_folder(self._id, {"folder": there})
            try:
                yield Project(self._id, there, folder)
            finally:
                dxpy.api.project_remove_folder(self._id, {"folder": there, "recurse": True})
