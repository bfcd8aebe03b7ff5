"""The logs of jobs: what they print, line by line, and what a reader is given of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from local_platform.api.call import Call
from local_platform.jobs.states import FINAL, subtree
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
    """Reads the log that a call wishes, from its start and as it grows."""

    call: Call
    last: int = 0
    complete: bool = False
    """Whether there is nothing left to come that the call wishes."""

    def read(self) -> Iterator[Hash]:
        """Yield the frames that have come since the last time, one for each line."""
        job = self.call.job(self.call.object_id)
        recurse, tail = self.call.body.get("recurseJobs"), self.call.body.get("tail", True)
        jobs = subtree(self.call.store, job) if recurse else [job]
        # Asked before the lines are read: what a job wrote before its end is then among them.
        ended = all(job["state"] in FINAL for job in jobs)
        lines = logs.after(self.call.store, [job["id"] for job in jobs], self.last)
        for self.last, frame in lines:
            if self._wanted(frame):
                yield frame
        # A job that prints faster than it is read would never be read to its end.
        reached = len(lines) < logs.LARGEST_PAGE
        self.complete = reached if not tail else ended and not lines

    def _wanted(self, frame: Hash) -> bool:
        """Apply the filters that the client leaves to the server."""
        levels, attempt = self.call.strings("levels", []), self.call.optional("try", int)
        return (not levels or frame["level"] in levels) and attempt in (None, frame["jobTry"])
