"""The lines of jobs' logs."""

import json

from local_platform.store.database import Store
from local_platform.strict_json import Hash


def append(store: Store, frame: Hash) -> None:
    """Append one line of a job's log."""
    store.execute("INSERT INTO log (job, frame) VALUES (?, ?)", (frame["job"], json.dumps(frame)))


def after(store: Store, jobs: list[str], seq: int) -> list[tuple[int, Hash]]:
    """Return (sequence number, frame) of these jobs' lines after a number, at most 1,000."""
    marks = ", ".join("?" * len(jobs))
    rows = store.execute(
        f"SELECT seq, frame FROM log WHERE job IN ({marks}) AND seq > ?"  # noqa: S608
        " ORDER BY seq LIMIT 1000",
        (*jobs, seq),
    )
    return [(number, json.loads(frame)) for number, frame in rows]
