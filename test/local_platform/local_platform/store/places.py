"""Where data objects lie: an object can lie in several containers under one ID."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from local_platform.store import entities, folders
from local_platform.store.database import Store
from local_platform.strict_json import Hash


@dataclass(frozen=True)
class Placement:
    """Where a data object lies; one object can lie in several containers under one ID."""

    seq: int
    object: str
    container: str
    folder: str
    metadata: Hash
    """Name, tags and properties that were changed in this place; they go where it is cloned to."""


def _placement(row: Sequence[Any]) -> Placement:
    """Return what a row of the table says."""
    seq, object_id, container, folder, metadata = row
    return Placement(seq, object_id, container, folder, json.loads(metadata))


def put(
    store: Store, object_id: str, container: str, folder: str, metadata: Hash | None = None
) -> None:
    """Put an object into a container's folder, or move it there."""
    folders.add(store, container, folder)
    store.execute(
        "INSERT INTO placement (object, container, folder, metadata) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (object, container) DO UPDATE SET folder = excluded.folder",
        (object_id, container, folder, json.dumps(metadata or {})),
    )


def relabel(store: Store, place: Placement, changes: Hash) -> None:
    """Change metadata of an object in one place."""
    store.execute(
        "UPDATE placement SET metadata = ? WHERE seq = ?",
        (json.dumps(place.metadata | changes), place.seq),
    )


def remove(store: Store, object_id: str, container: str) -> None:
    """Take an object out of a container; out of its last one, it is gone."""
    store.execute(
        "DELETE FROM placement WHERE object = ? AND container = ?", (object_id, container)
    )
    if not of(store, object_id):
        entities.delete(store, object_id)


def of(store: Store, object_id: str) -> list[Placement]:
    """Return every place an object lies in, oldest first."""
    rows = store.execute("SELECT * FROM placement WHERE object = ? ORDER BY seq", (object_id,))
    return [_placement(row) for row in rows]


def describe(store: Store, place: Placement) -> Hash:
    """Return the description of an object as it is in one place."""
    return entities.get(store, place.object) | place.metadata


def describe_oldest(store: Store, object_id: str) -> Hash:
    """Return the description of an object in its oldest place."""
    return describe(store, of(store, object_id)[0])


def holders(store: Store, object_id: str) -> list[str]:
    """Return the containers an object lies in."""
    return [place.container for place in of(store, object_id)]


def contents(store: Store, container: str, folder: str = "/") -> list[Placement]:
    """Return what lies in a folder and those below it, newest first."""
    return [place for place, _ in search(store, [container], folder)]


def search(
    store: Store,
    containers: list[str],
    folder: str = "/",
    recurse: bool = True,
    before: int | None = None,
    name: str | None = None,
) -> Iterator[tuple[Placement, Hash]]:
    """Yield what lies in a folder of some containers with its description, newest first."""
    values: list[Any] = []
    conditions = ["entity.id = placement.object"]

    def require(condition: str, *more: Any) -> None:
        conditions.append(condition)
        values.extend(more)

    # The JSON functions of SQLite end a string at NUL.
    by_name = name is not None and "\0" not in name
    # Of one container, and even of one folder, the index knows the order already.
    if len(containers) == 1 and not by_name:
        require("container = ?", *containers)
    else:
        require("+container IN (SELECT value FROM json_each(?))", json.dumps(containers))
    if not recurse:
        require("folder = ?", folder)
    elif folder != "/":
        below = folder + "/"
        require("(+folder = ? OR substr(folder, 1, ?) = ?)", folder, len(below), below)
    if before is not None:
        require("placement.seq < ?", before)
    if by_name:
        require(
            "placement.object IN ("
            "SELECT id FROM entity WHERE json_extract(description, '$.name') = ? UNION"
            " SELECT object FROM placement WHERE json_extract(metadata, '$.name') = ?)",
            name,
            name,
        )
    rows = store.execute(
        "SELECT placement.*, description FROM placement CROSS JOIN entity"  # noqa: S608
        f" WHERE {' AND '.join(conditions)} ORDER BY placement.seq DESC",
        values,
    )
    for *row, text in rows:
        place = _placement(row)
        description = json.loads(text) | place.metadata
        if name in (None, description["name"]):
            yield place, description


def usage(store: Store, container: str) -> int:
    """Return the size of a container's files, in bytes."""
    rows = store.execute(
        "SELECT SUM(json_extract(description, '$.size'))"
        " FROM placement JOIN entity ON entity.id = placement.object"
        " WHERE container = ? AND class = 'file'",
        (container,),
    )
    return rows.fetchone()[0] or 0
