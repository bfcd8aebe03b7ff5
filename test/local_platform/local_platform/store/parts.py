"""The parts of files: a row that says what each must be, and a file of its bytes."""

from pathlib import Path

from local_platform.store.database import Store
from local_platform.strict_json import Hash


def folder(store: Store, file_id: str) -> Path:
    """Return where the bytes of a file lie."""
    return store.root / "parts" / file_id


def path_of(store: Store, file_id: str, number: int) -> Path:
    """Return where the bytes of a part lie."""
    return folder(store, file_id) / str(number)


def keep(store: Store, received: Path, file_id: str, number: int) -> None:
    """Move the bytes of a part to their place, to stay there."""
    path = path_of(store, file_id, number)
    path.parent.mkdir(exist_ok=True)
    received.replace(path)


def save(store: Store, file_id: str, number: int, size: int, md5: str, state: str) -> None:
    """Write a part's row: pending when its upload was asked for, complete when it is here."""
    store.execute(
        "INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?, ?)",
        (file_id, number, size, md5, state),
    )


def of(store: Store, file_id: str) -> dict[int, Hash]:
    """Return the parts of a file by number, in order: state, size in bytes, md5."""
    rows = store.execute(
        "SELECT number, size, md5, state FROM part WHERE file = ? ORDER BY number", (file_id,)
    )
    return {number: {"state": state, "size": size, "md5": md5} for number, size, md5, state in rows}
