"""The lines of jobs' logs."""

import json

from local_platform.store.database import Store
from local_platform.strict_json import Hash

LARGEST_PAGE = 1000


def append(store: Store, frame: Hash) -> None:
    """Append one line of a job's log, unless the job is gone."""
    store.execute(
        "INSERT INTO log (job, frame) SELECT ?1, ?2 WHERE EXISTS"
        " (SELECT 1 FROM entity WHERE id = ?1)",
        (frame["job"], json.dumps(frame)),
    )


def after(store: Store, jobs: list[str], seq: int) -> list[tuple[int, Hash]]:
    """Return (sequence number, frame) of these jobs' lines after a number, at most LARGEST_PAGE."""
    rows = store.execute(
        "SELECT seq, frame FROM log WHERE job IN (SELECT value FROM json_each(?)) AND seq > ?"
        " ORDER BY seq LIMIT ?",
        (json.dumps(jobs), seq, LARGEST_PAGE),
    )
    return [(number, json.loads(frame)) for number, frame in rows]
