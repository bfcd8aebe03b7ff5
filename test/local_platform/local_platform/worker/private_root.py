"""A job's private root, in which the platform reads and writes without leaving it.

Bundles and programs put there what they like: links that lead elsewhere, pipes without a writer.
So nothing is opened through a link, and only regular files are read.
"""

import contextlib
import os
import shutil
import stat
import tarfile
from pathlib import Path
from typing import BinaryIO


class UnsafeError(Exception):
    """Something in the root is not what the platform may open; the message names it."""


def _locate(root: Path, name: str) -> Path:
    """Return the path of a name in a root.

    Raises:
        UnsafeError: the path leads out of the root, or through something that is not a folder.
    """
    *folders, last = [part for part in name.split("/") if part not in ("", ".")] or ["."]
    if ".." in [*folders, last]:
        raise UnsafeError(f"{name} leads out of the root")
    path = root
    for folder in folders:
        path /= folder
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise UnsafeError(f"{name} lies below {folder}, which is not a folder")
    return path / last


def read(root: Path, name: str, largest: int) -> bytes | None:
    """Return the content of a file of at most `largest` bytes, or None if there is no file.

    Raises:
        UnsafeError: it is not a regular file, or larger.
    """
    path = _locate(root, name)
    try:
        # Opening a pipe waits for a writer otherwise.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError:
        raise UnsafeError(f"{path.name} is not a regular file") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnsafeError(f"{path.name} is not a regular file")
        if status.st_size > largest:
            raise UnsafeError(f"{path.name} is larger than {largest} bytes")
        return os.read(descriptor, largest)
    finally:
        os.close(descriptor)


def create(root: Path, name: str) -> BinaryIO:
    """Open a new file; it replaces whatever has its name."""
    path = _locate(root, name)
    _unlink(path)
    return path.open("xb")


def write(root: Path, name: str, content: bytes) -> None:
    """Write a new file; it replaces whatever has its name."""
    with create(root, name) as target:
        target.write(content)


def _unlink(path: Path) -> None:
    """Remove a file or a link; a folder stays, and creating a file of its name then fails."""
    with contextlib.suppress(FileNotFoundError, IsADirectoryError, PermissionError):
        path.unlink()


def unpack(archive: tarfile.TarFile, root: Path) -> None:
    """Unpack files, folders and links; nothing is written outside of the root.

    The filters of tarfile do most of this, but Python has them from 3.10.12 and 3.11.4 on only.

    Raises:
        UnsafeError: a member is something else, or would lie elsewhere.
    """
    archive.extraction_filter = lambda member, _path: member
    for member in archive:
        member.name = str(_locate(root, member.name).relative_to(root))
        if member.islnk():
            linked = _locate(root, member.linkname)
            if linked.is_symlink():
                raise UnsafeError(f"{member.name} is a hard link to a link")
            member.linkname = str(linked.relative_to(root))
        elif not (member.isreg() or member.isdir() or member.issym()):
            raise UnsafeError(f"{member.name} is not a file, a folder or a link")
        # It belongs to the user of the platform, who can enter it; others get no rights.
        member.uid, member.gid, member.uname, member.gname = os.geteuid(), os.getegid(), "", ""
        member.mode = member.mode & 0o777 | (0o700 if member.isdir() else 0o600)
        # Also before a folder: its mode and times would be given to what a link leads to.
        _unlink(root / member.name)
        archive.extract(member, root)


def remove(root: Path) -> None:
    """Remove the root with everything in it."""
    shutil.rmtree(root, ignore_errors=True)
    if root.exists():
        # A job locks folders, and so does an overlay: their owner can unlock them.
        for folder, names, _ in os.walk(root):
            for name in names:
                path = Path(folder, name)
                if not path.is_symlink():
                    with contextlib.suppress(OSError):
                        path.chmod(0o700)
        shutil.rmtree(root, ignore_errors=True)
