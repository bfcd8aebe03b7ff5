"""The sockets through which programs log with a level, as dxpy's DXLogHandler does.

Each record is one datagram, a JSON hash with `msg` and the number of a syslog `level`. The format
is that of dxpy/dxlog.py.
"""

import contextlib
import itertools
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from local_platform.strict_json import parse
from local_platform.worker.process import LONGEST_LINE, Log

NAMES = ("priority", "bulk")
LEVELS = ("EMERG", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG")
# More than dxpy ever sends.
LARGEST = 64 * 2**10
MOST_TOGETHER = 1000


@contextlib.contextmanager
def served(folder: Path, log: Log) -> Iterator[None]:
    """Serve the sockets in a folder; at the end, wait until all that was sent is in the log."""
    ended = threading.Event()
    sockets = [_bind(folder, name) for name in NAMES]
    pumps = [threading.Thread(target=_pump, args=(one, ended, log), daemon=True) for one in sockets]
    for pump in pumps:
        pump.start()
    try:
        yield
    finally:
        ended.set()
        for one in sockets:
            one.shutdown(socket.SHUT_RD)
        for pump in pumps:
            pump.join()
        for one in sockets:
            one.close()


def _bind(folder: Path, name: str) -> socket.socket:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # The name of a socket may have 107 bytes only.
        bound.bind(f"/proc/self/fd/{descriptor}/{name}")
    finally:
        os.close(descriptor)
    return bound


def _pump(source: socket.socket, ended: threading.Event, log: Log) -> None:
    """Log what is sent; waiting records of the same level are logged together."""
    while True:
        datagrams = [source.recv(LARGEST)]
        with contextlib.suppress(BlockingIOError):
            while datagrams[-1] and len(datagrams) < MOST_TOGETHER:
                datagrams.append(source.recv(LARGEST, socket.MSG_DONTWAIT))
        records = (_read(datagram) for datagram in datagrams if datagram)
        for level, group in itertools.groupby(records, lambda record: record[0]):
            lines = [line for _, message in group for line in message.split("\n")]
            log("APP", level, [line[:LONGEST_LINE] for line in lines])
        if not datagrams[-1] and ended.is_set():
            return


def _read(datagram: bytes) -> tuple[str, str]:
    """Return the level and the message of a record; anything else that was sent is a message."""
    text = datagram.decode("utf-8", "replace")
    try:
        record = parse(datagram)
    except ValueError:
        return "INFO", text
    if not isinstance(record, dict) or not isinstance(record.get("msg"), str):
        return "INFO", text
    level = record.get("level")
    if not isinstance(level, int) or not 0 <= level < len(LEVELS):
        return "INFO", record["msg"]
    return LEVELS[level], record["msg"]
