"""All state of the platform: SQLite for descriptions, a folder for file parts and jobs.

Everything is written inside a transaction, and a part is renamed into place before its row is
written, so a server killed at any moment leaves a state that can be opened again. What is promised
to a client (`promise`) survives a power cut too.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_platform.errors import InvalidInput, ResourceNotFound
from local_platform.strict_json import Hash

# The service draws identifiers from these, so that they never spell a word.
ID_ALPHABET = "0123456789BFGJKPQVXYZbfgjkpqvxyz"
# dx download -r makes them on a disk, where paths are not longer.
LONGEST_FOLDER = 4096
DEEPEST_FOLDER = 255
NONCE_LIFETIME = 60 * 60 * 1000
SCHEMA = Path(__file__).with_name("schema.sql").read_text()


def now() -> int:
    """Return the time in milliseconds since 1970, as the API gives it."""
    return time.time_ns() // 1_000_000


def new_id(class_name: str) -> str:
    """Return a fresh identifier: the class and 24 characters (120 bits) nobody can guess."""
    return f"{class_name}-" + "".join(secrets.choice(ID_ALPHABET) for _ in range(24))


def sha256(text: str) -> str:
    """Return the hexadecimal SHA-256 of a text."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def sync(path: Path) -> None:
    """Have a file or folder written to the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


class Store:
    """The state in one folder, opened by one process at a time."""

    def __init__(self, root: Path) -> None:
        """Open or make the state.

        Raises:
            BlockingIOError: another platform is using this folder.
        """
        root.mkdir(parents=True, exist_ok=True)
        # It holds the user's token.
        root.chmod(0o700)
        self.root = root
        self._lock = (root / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._database = sqlite3.connect(root / "platform.sqlite", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._migrate()
        self._database.executescript(SCHEMA)
        self._unused_parts: list[Path] = []
        self._promised = False
        shutil.rmtree(self.incoming, ignore_errors=True)
        self.incoming.mkdir()
        (root / "parts").mkdir(exist_ok=True)
        sync(root)
        files = self._database.execute("SELECT id FROM entity WHERE class = 'file'")
        known = {file_id for (file_id,) in files}
        for folder in (root / "parts").glob("*"):
            if folder.name not in known:
                shutil.rmtree(folder)

    def _migrate(self) -> None:
        """Bring a state that an earlier version made up to the schema."""
        columns = [row[1] for row in self._database.execute("PRAGMA table_info(placement)")]
        if columns and "metadata" not in columns:
            self._database.execute(
                "ALTER TABLE placement ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}'"
            )

    @property
    def incoming(self) -> Path:
        """Folder of parts that are still arriving."""
        return self.root / "incoming"

    @property
    def jobs(self) -> Path:
        """Folder of the running jobs' private roots."""
        return self.root / "jobs"

    def close(self) -> None:
        """Close the database and let go of the folder."""
        self._database.close()
        self._lock.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep everything written inside, or nothing when an exception passes."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            # A full disk ends it by itself.
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            self._unused_parts.clear()
            self._promised = False
            raise
        if self._promised:
            self._promised = False
            # It writes the log of changes to the disk, and syncs it, before anything else.
            self._database.execute("PRAGMA wal_checkpoint(PASSIVE)")
        # Only now: a description must never outlive its bytes.
        while self._unused_parts:
            shutil.rmtree(self._unused_parts.pop(), ignore_errors=True)

    def promise(self) -> None:
        """Let what this transaction writes, and all before it, survive a power cut."""
        self._promised = True

    @property
    def changes(self) -> int:
        """How many rows were written since the state was opened."""
        return self._database.total_changes

    def setting(self, name: str) -> str:
        """Return a secret of this state, drawn at its first use."""
        self._database.execute(
            "INSERT OR IGNORE INTO setting VALUES (?, ?)", (name, secrets.token_urlsafe(32))
        )
        row = self._database.execute("SELECT value FROM setting WHERE name = ?", (name,))
        return str(row.fetchone()[0])

    @property
    def port(self) -> int:
        """The port that this state was last served on, or 0."""
        row = self._database.execute("SELECT value FROM setting WHERE name = 'port'").fetchone()
        return int(row[0]) if row else 0

    @port.setter
    def port(self, port: int) -> None:
        """Remember the port."""
        self._database.execute("INSERT OR REPLACE INTO setting VALUES ('port', ?)", (str(port),))

    # Entities: projects, containers, data objects and jobs, each with its description.

    def save(self, description: Hash) -> None:
        """Write a new or changed description."""
        self._database.execute(
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

    def find(self, object_id: str) -> Hash | None:
        """Return a description, or None when there is no such object."""
        row = self._database.execute("SELECT description FROM entity WHERE id = ?", (object_id,))
        found = row.fetchone()
        return json.loads(found[0]) if found else None

    def get(self, object_id: str) -> Hash:
        """Return a description.

        Raises:
            ResourceNotFound: there is no such object.
        """
        description = self.find(object_id)
        if description is None:
            raise ResourceNotFound(f'The entity "{object_id}" could not be found')
        return description

    def delete(self, object_id: str) -> None:
        """Remove an entity and what hangs on it."""
        for table, column in (
            ("entity", "id"),
            ("folder", "container"),
            ("part", "file"),
            ("log", "job"),
        ):
            self._database.execute(f"DELETE FROM {table} WHERE {column} = ?", (object_id,))  # noqa: S608
        self._unused_parts.append(self.part_path(object_id, 1).parent)

    def newest(self, class_name: str, before: int | None = None) -> Iterator[tuple[int, Hash]]:
        """Yield (sequence number, description) of one class, newest first."""
        query = "SELECT seq, description FROM entity WHERE class = ?"
        values: list[Any] = [class_name]
        if before is not None:
            query += " AND seq < ?"
            values.append(before)
        for seq, description in self._database.execute(query + " ORDER BY seq DESC", values):
            yield seq, json.loads(description)

    def oldest(self, class_name: str, states: Iterable[str], limit: int = -1) -> list[Hash]:
        """Return those of one class in some states, oldest first, at most so many."""
        rows = self._database.execute(
            "SELECT description FROM entity WHERE class = ?"
            " AND state IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?",
            (class_name, json.dumps(list(states)), limit),
        )
        return [json.loads(description) for (description,) in rows]

    def parents(self, job_ids: Iterable[str], states: Iterable[str]) -> set[str]:
        """Return those of some jobs that have a subjob in one of some states."""
        rows = self._database.execute(
            "SELECT DISTINCT json_extract(description, '$.parentJob') FROM entity"
            " WHERE json_extract(description, '$.parentJob') IN (SELECT value FROM json_each(?))"
            " AND state IN (SELECT value FROM json_each(?))",
            (json.dumps(list(job_ids)), json.dumps(list(states))),
        )
        return {job_id for (job_id,) in rows}

    def tree(self, root_execution: str) -> list[Hash]:
        """Return every job of a tree, oldest first."""
        rows = self._database.execute(
            "SELECT description FROM entity"
            " WHERE json_extract(description, '$.rootExecution') = ? ORDER BY seq",
            (root_execution,),
        )
        return [json.loads(description) for (description,) in rows]

    # Placements and folders.

    def place(
        self, object_id: str, container: str, folder: str, metadata: Hash | None = None
    ) -> None:
        """Put an object into a container's folder, or move it there."""
        self.add_folder(container, folder)
        self._database.execute(
            "INSERT INTO placement (object, container, folder, metadata) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (object, container) DO UPDATE SET folder = excluded.folder",
            (object_id, container, folder, json.dumps(metadata or {})),
        )

    def relabel(self, place: Placement, changes: Hash) -> None:
        """Change metadata of an object in one place."""
        self._database.execute(
            "UPDATE placement SET metadata = ? WHERE seq = ?",
            (json.dumps(place.metadata | changes), place.seq),
        )

    def unplace(self, object_id: str, container: str) -> None:
        """Take an object out of a container; out of its last one, it is gone."""
        self._database.execute(
            "DELETE FROM placement WHERE object = ? AND container = ?", (object_id, container)
        )
        if not self.placements(object_id):
            self.delete(object_id)

    def placements(self, object_id: str) -> list[Placement]:
        """Return every place an object lies in, oldest first."""
        rows = self._database.execute(
            "SELECT * FROM placement WHERE object = ? ORDER BY seq", (object_id,)
        )
        return [_placement(row) for row in rows]

    def describe(self, place: Placement) -> Hash:
        """Return the description of an object as it is in one place."""
        return self.get(place.object) | place.metadata

    def holders(self, object_id: str) -> list[str]:
        """Return the containers an object lies in."""
        return [place.container for place in self.placements(object_id)]

    def contents(self, container: str, folder: str = "/") -> list[Placement]:
        """Return what lies in a folder and those below it, newest first."""
        return [place for place, _ in self.objects([container], folder)]

    def objects(
        self,
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
        rows = self._database.execute(
            "SELECT placement.*, description FROM placement CROSS JOIN entity"  # noqa: S608
            f" WHERE {' AND '.join(conditions)} ORDER BY placement.seq DESC",
            values,
        )
        for *row, text in rows:
            place = _placement(row)
            description = json.loads(text) | place.metadata
            if name in (None, description["name"]):
                yield place, description

    def usage(self, container: str) -> int:
        """Return the size of a container's files, in bytes."""
        rows = self._database.execute(
            "SELECT SUM(json_extract(description, '$.size'))"
            " FROM placement JOIN entity ON entity.id = placement.object"
            " WHERE container = ? AND class = 'file'",
            (container,),
        )
        return rows.fetchone()[0] or 0

    def folders(self, container: str) -> list[str]:
        """Return the absolute paths of a container's folders, sorted."""
        rows = self._database.execute(
            "SELECT path FROM folder WHERE container = ? ORDER BY path", (container,)
        )
        return [path for (path,) in rows]

    def has_folder(self, container: str, path: str) -> bool:
        """Tell whether a folder exists."""
        rows = self._database.execute(
            "SELECT 1 FROM folder WHERE container = ? AND path = ?", (container, path)
        )
        return rows.fetchone() is not None

    def add_folder(self, container: str, path: str) -> None:
        """Make a folder and those above it.

        Raises:
            InvalidInput: it lies too deep.
        """
        if path.count("/") > DEEPEST_FOLDER or len(path) > LONGEST_FOLDER:
            raise InvalidInput(
                f"A folder has up to {DEEPEST_FOLDER} levels and {LONGEST_FOLDER} characters"
            )
        while not self.has_folder(container, path):
            self._database.execute("INSERT INTO folder VALUES (?, ?)", (container, path))
            path = path.rpartition("/")[0] or "/"

    def remove_folder(self, container: str, path: str) -> None:
        """Remove one folder, without looking into it."""
        self._database.execute(
            "DELETE FROM folder WHERE container = ? AND path = ?", (container, path)
        )

    # Parts of files.

    def part_path(self, file_id: str, number: int) -> Path:
        """Return where the bytes of a part lie."""
        return self.root / "parts" / file_id / str(number)

    def keep_part(self, received: Path, file_id: str, number: int) -> None:
        """Move the bytes of a part to their place, to stay there."""
        path = self.part_path(file_id, number)
        path.parent.mkdir(exist_ok=True)
        sync(received)
        received.replace(path)
        for folder in (path.parent, path.parent.parent):
            sync(folder)

    def save_part(self, file_id: str, number: int, size: int, md5: str, state: str) -> None:
        """Write a part's row: pending when its upload was asked for, complete when it is here."""
        self._database.execute(
            "INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?, ?)",
            (file_id, number, size, md5, state),
        )

    def parts(self, file_id: str) -> dict[int, Hash]:
        """Return the parts of a file by number, in order: state, size in bytes, md5."""
        rows = self._database.execute(
            "SELECT number, size, md5, state FROM part WHERE file = ? ORDER BY number", (file_id,)
        )
        return {
            number: {"state": state, "size": size, "md5": md5} for number, size, md5, state in rows
        }

    # Tokens: only their SHA-256 is kept.

    def add_token(self, token: str, job: str | None = None) -> None:
        """Let a token in, for the user or for one job."""
        self._database.execute("INSERT OR REPLACE INTO token VALUES (?, ?)", (sha256(token), job))

    def token_holder(self, token: str) -> tuple[bool, str | None]:
        """Return whether a token is known, and the job it belongs to (None: the user)."""
        row = self._database.execute(
            "SELECT job FROM token WHERE signature = ?", (sha256(token),)
        ).fetchone()
        return (True, row[0]) if row else (False, None)

    def remove_job_tokens(self, job: str) -> None:
        """Destroy the tokens of a job that has ended."""
        self._database.execute("DELETE FROM token WHERE job = ?", (job,))

    # Logs and nonces.

    def add_log(self, frame: Hash) -> None:
        """Append one line of a job's log."""
        self._database.execute(
            "INSERT INTO log (job, frame) VALUES (?, ?)", (frame["job"], json.dumps(frame))
        )

    def log_after(self, jobs: list[str], seq: int) -> list[tuple[int, Hash]]:
        """Return (sequence number, frame) of these jobs' lines after a number, at most 1,000."""
        marks = ", ".join("?" * len(jobs))
        rows = self._database.execute(
            f"SELECT seq, frame FROM log WHERE job IN ({marks}) AND seq > ?"  # noqa: S608
            " ORDER BY seq LIMIT 1000",
            (*jobs, seq),
        )
        return [(number, json.loads(frame)) for number, frame in rows]

    def nonce_reply(self, key: str) -> tuple[str, Hash] | None:
        """Return what a nonce was first used for and the answer given, within the last hour."""
        self._database.execute("DELETE FROM nonce WHERE time < ?", (now() - NONCE_LIFETIME,))
        row = self._database.execute("SELECT request, reply FROM nonce WHERE key = ?", (key,))
        found = row.fetchone()
        return (found[0], json.loads(found[1])) if found else None

    def save_nonce(self, key: str, request: str, reply: Hash) -> None:
        """Remember the answer to a request with a nonce."""
        self._database.execute(
            "INSERT INTO nonce VALUES (?, ?, ?, ?)", (key, request, json.dumps(reply), now())
        )
