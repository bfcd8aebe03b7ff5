"""Answers to calls with a nonce, which are given again when a call is."""

import json

from local_platform.store.database import Store, now
from local_platform.strict_json import Hash

NONCE_LIFETIME = 60 * 60 * 1000


def reply(store: Store, key: str) -> tuple[str, Hash] | None:
    """Return what a nonce was first used for and the answer given, within the last hour."""
    store.execute("DELETE FROM nonce WHERE time < ?", (now() - NONCE_LIFETIME,))
    row = store.execute("SELECT request, reply FROM nonce WHERE key = ?", (key,))
    found = row.fetchone()
    return (found[0], json.loads(found[1])) if found else None


def save(store: Store, key: str, request: str, reply: Hash) -> None:
    """Remember the answer to a request with a nonce."""
    store.execute("INSERT INTO nonce VALUES (?, ?, ?, ?)", (key, request, json.dumps(reply), now()))
