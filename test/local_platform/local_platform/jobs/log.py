"""The logs of jobs: what they print, line by line, and what a reader is given of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from local_platform.access import Caller
from local_platform.jobs.states import FINAL, subtree
from local_platform.rules.fields import Fields
from local_platform.store import logs
from local_platform.store.database import Store, now
from local_platform.strict_json import Hash


def write(
    store: Store, job: Hash, source: str, level: str, lines: list[str], numbers: Iterator[int]
) -> None:
    """Append lines of the program (APP) or of the platform (SYSTEM)."""
    with store.transaction():
        for line in lines:
            logs.append(
                store,
                {
                    "timestamp": now(),
                    "source": source,
                    "level": level,
                    "job": job["id"],
                    "jobTry": job["try"],
                    "line": next(numbers),
                    "msg": line,
                },
            )


@dataclass
class Reader:
    """Reads a log from its start and as it grows."""

    caller: Caller
    job_id: str
    wishes: Fields
    """What the client asks for."""
    last: int = 0
    complete: bool = False
    """Whether nothing that the client asks for is left to come."""

    def read(self) -> Iterator[Hash]:
        """Yield the frames that have come since the last time, one for each line."""
        store, job = self.caller.store, self.caller.job(self.job_id)
        recurse, tail = self.wishes.body.get("recurseJobs"), self.wishes.body.get("tail", True)
        jobs = subtree(store, job) if recurse else [job]
        # Check for the end first, so that no line written before it is missed.
        ended = all(job["state"] in FINAL for job in jobs)
        lines = logs.after(store, [job["id"] for job in jobs], self.last)
        for self.last, frame in lines:
            if self._wanted(frame):
                yield frame
        # A job that prints faster than it is read would never be read to its end.
        reached = len(lines) < logs.LARGEST_PAGE
        self.complete = reached if not tail else ended and not lines

    def _wanted(self, frame: Hash) -> bool:
        """Apply the filters that the client leaves to the server."""
        levels, attempt = self.wishes.strings("levels", []), self.wishes.optional("try", int)
        return (not levels or frame["level"] in levels) and attempt in (None, frame["jobTry"])
