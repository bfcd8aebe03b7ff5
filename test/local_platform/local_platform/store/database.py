"""All state of the platform: SQLite for descriptions, a folder for file parts and jobs.

Everything is written inside a transaction, and a part is renamed into place before its row is
written, so a server killed at any moment leaves a state that can be opened again.
"""

import contextlib
import fcntl
import hashlib
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).with_name("schema.sql").read_text()


def now() -> int:
    """Return the time in milliseconds since 1970, as the API gives it."""
    return time.time_ns() // 1_000_000


def sha256(text: str) -> str:
    """Return the hexadecimal SHA-256 of a text."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


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
        self.changes = 0
        """How often an object was made, got another state or was deleted: jobs wait for that."""
        self.url_key = self.setting("url_key").encode()
        shutil.rmtree(self.incoming, ignore_errors=True)
        self.incoming.mkdir()
        (root / "parts").mkdir(exist_ok=True)
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

    def execute(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one statement of SQL."""
        return self._database.execute(statement, values)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep everything written inside, or nothing when an exception passes."""
        self._database.execute("BEGIN")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            # A full disk ends it by itself.
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            self._unused_parts.clear()
            raise
        # Only now: a description must never outlive its bytes.
        while self._unused_parts:
            shutil.rmtree(self._unused_parts.pop(), ignore_errors=True)

    def discard(self, folder: Path) -> None:
        """Remove a folder of bytes once this transaction is complete."""
        self._unused_parts.append(folder)

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
