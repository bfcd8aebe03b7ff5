"""Projects, containers, data objects, jobs and analyses: all that has an ID and a description."""

import json
import secrets
from collections.abc import Iterable, Iterator
from typing import Any

from local_platform.errors import InvalidState, ResourceNotFound
from local_platform.store import parts
from local_platform.store.database import Store, now
from local_platform.strict_json import Hash

# The service draws identifiers from these, so that they never spell a word.
ID_ALPHABET = "0123456789BFGJKPQVXYZbfgjkpqvxyz"


def new_id(class_name: str) -> str:
    """Return a fresh identifier: the class and 24 characters (120 bits) that cannot be guessed."""
    return f"{class_name}-" + "".join(secrets.choice(ID_ALPHABET) for _ in range(24))


def save(store: Store, description: Hash) -> None:
    """Write a new description, or one with another state."""
    store.changes += 1
    _write(store, description)


def change(store: Store, object_id: str, **changes: Any) -> None:
    """Write changed fields of a description, and when they changed.

    Raises:
        ResourceNotFound: there is no such object.
    """
    write = save if "state" in changes else _write
    write(store, get(store, object_id) | changes | {"modified": now()})


def _write(store: Store, description: Hash) -> None:
    store.execute(
        "INSERT INTO entity (id, class, state, description) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET state = excluded.state,"
        " description = excluded.description",
        (
            description["id"],
            description["class"],
            description.get("state"),
            json.dumps(description),
        ),
    )


def find(store: Store, object_id: str) -> Hash | None:
    """Return a description, or None when there is no such object."""
    row = store.execute("SELECT description FROM entity WHERE id = ?", (object_id,))
    found = row.fetchone()
    return json.loads(found[0]) if found else None


def get(store: Store, object_id: str) -> Hash:
    """Return a description.

    Raises:
        ResourceNotFound: there is no such object.
    """
    description = find(store, object_id)
    if description is None:
        raise ResourceNotFound(f"The entity {object_id} could not be found")
    return description


def require_open(store: Store, object_id: str) -> None:
    """Raise InvalidState unless an object can still be changed.

    https://documentation.dnanexus.com/developer/api/data-object-lifecycle
    """
    state = get(store, object_id)["state"]
    if state != "open":
        raise InvalidState(f"The object is not in the open state, but {state}: {object_id}")


def delete(store: Store, object_id: str) -> None:
    """Remove an entity and what hangs on it."""
    store.changes += 1
    for table, column in (
        ("entity", "id"),
        ("folder", "container"),
        ("part", "file"),
        ("log", "job"),
        ("token", "job"),
    ):
        store.execute(f"DELETE FROM {table} WHERE {column} = ?", (object_id,))  # noqa: S608
    store.discard(parts.folder(store, object_id))


def newest(store: Store, class_name: str, before: int | None = None) -> Iterator[tuple[int, Hash]]:
    """Yield (sequence number, description) of one class, newest first."""
    query = "SELECT seq, description FROM entity WHERE class = ?"
    values: list[Any] = [class_name]
    if before is not None:
        query += " AND seq < ?"
        values.append(before)
    for seq, description in store.execute(query + " ORDER BY seq DESC", values):
        yield seq, json.loads(description)


def oldest(store: Store, class_name: str, states: Iterable[str], limit: int = -1) -> list[Hash]:
    """Return entities of one class in some states, oldest first, at most `limit` of them."""
    condition = "class = ? AND state IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?"
    return _where(store, condition, class_name, json.dumps(list(states)), limit)


def executions_in(store: Store, project: str) -> list[Hash]:
    """Return every job and analysis of a project, oldest first."""
    in_project = "json_extract(description, '$.project') = ?"
    return _where(store, f"class IN ('job', 'analysis') AND {in_project} ORDER BY seq", project)


def tree(store: Store, root_execution: str) -> list[Hash]:
    """Return every job and analysis of a tree, oldest first."""
    in_tree = "json_extract(description, '$.rootExecution') = ?"
    return _where(store, f"{in_tree} ORDER BY seq", root_execution)


def _where(store: Store, condition: str, *values: object) -> list[Hash]:
    rows = store.execute(f"SELECT description FROM entity WHERE {condition}", values)  # noqa: S608
    return [json.loads(description) for (description,) in rows]


def parents(store: Store, job_ids: Iterable[str], states: Iterable[str]) -> set[str]:
    """Return those of some jobs that have a subjob or an analysis with a job in some states."""
    rows = store.execute(
        "SELECT DISTINCT json_extract(child.description, '$.parentJob') FROM entity AS child"
        # An analysis has the jobs of its stages, a job itself.
        " JOIN json_each(coalesce(json_extract(child.description, '$.stages'),"
        " json_array(json_object('execution', child.id)))) AS stage"
        " JOIN entity AS job ON job.id = json_extract(stage.value, '$.execution')"
        " WHERE json_extract(child.description, '$.parentJob') IN (SELECT value FROM json_each(?))"
        " AND job.state IN (SELECT value FROM json_each(?))",
        (json.dumps(list(job_ids)), json.dumps(list(states))),
    )
    return {job_id for (job_id,) in rows}
