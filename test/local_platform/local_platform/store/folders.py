"""The folders of projects and containers, by their absolute paths."""

from local_platform.errors import InvalidInput, ResourceNotFound
from local_platform.store.database import Store

# dx download -r makes them on a disk, where paths are not longer.
LONGEST_FOLDER = 4096
DEEPEST_FOLDER = 255


def of(store: Store, container: str) -> list[str]:
    """Return the absolute paths of a container's folders, sorted."""
    rows = store.execute("SELECT path FROM folder WHERE container = ? ORDER BY path", (container,))
    return [path for (path,) in rows]


def exists(store: Store, container: str, path: str) -> bool:
    """Tell whether a folder exists."""
    rows = store.execute("SELECT 1 FROM folder WHERE container = ? AND path = ?", (container, path))
    return rows.fetchone() is not None


def require(store: Store, container: str, path: str) -> None:
    """Raise ResourceNotFound unless a folder exists; clients look for parts of the message."""
    if not exists(store, container, path):
        missing = f'Folder "{path}" does not exist in project "{container}"'
        raise ResourceNotFound(f"{missing}: the folder could not be found")


def add(store: Store, container: str, path: str) -> None:
    """Make a folder and those above it.

    Raises:
        InvalidInput: it lies too deep.
    """
    if path.count("/") > DEEPEST_FOLDER or len(path) > LONGEST_FOLDER:
        raise InvalidInput(
            f"A folder has up to {DEEPEST_FOLDER} levels and {LONGEST_FOLDER} characters"
        )
    while not exists(store, container, path):
        store.execute("INSERT INTO folder VALUES (?, ?)", (container, path))
        path = path.rpartition("/")[0] or "/"


def remove(store: Store, container: str, path: str) -> None:
    """Remove one folder, without looking into it."""
    store.execute("DELETE FROM folder WHERE container = ? AND path = ?", (container, path))
