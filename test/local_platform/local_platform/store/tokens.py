"""Tokens, of which only the SHA-256 is kept."""

from local_platform.store.database import Store, sha256


def add(store: Store, token: str, job: str | None = None) -> None:
    """Let a token in, for the user or for one job."""
    store.execute("INSERT OR REPLACE INTO token VALUES (?, ?)", (sha256(token), job))


def holder(store: Store, token: str) -> tuple[bool, str | None]:
    """Return whether a token is known, and the job it belongs to (None: the user)."""
    row = store.execute("SELECT job FROM token WHERE signature = ?", (sha256(token),)).fetchone()
    return (True, row[0]) if row else (False, None)


def remove_of(store: Store, job: str) -> None:
    """Destroy the tokens of a job that has ended."""
    store.execute("DELETE FROM token WHERE job = ?", (job,))
