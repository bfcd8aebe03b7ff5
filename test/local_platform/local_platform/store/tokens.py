"""Tokens, of which only the SHA-256 is kept."""

from local_platform.store.database import Store, sha256


def add(store: Store, token: str, job: str | None = None) -> None:
    """Let a token in, for the user or for one job."""
    store.execute("INSERT OR REPLACE INTO token VALUES (?, ?)", (sha256(token), job))


def holder(store: Store, token: str) -> tuple[bool, str | None]:
    """Return whether a token is good, and the job it belongs to (None: the user).

    A job's token is good while the job runs.
    """
    row = store.execute(
        "SELECT job FROM token LEFT JOIN entity ON id = job"
        " WHERE signature = ? AND (job IS NULL OR state = 'running')",
        (sha256(token),),
    ).fetchone()
    return (True, row[0]) if row else (False, None)


def remove_of(store: Store, job: str) -> None:
    """Destroy the tokens of a job that has ended."""
    store.execute("DELETE FROM token WHERE job = ?", (job,))
