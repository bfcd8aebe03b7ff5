"""Runs a command in a mount namespace of its own, in which a job's root is /.

A program of its own: a process with several threads cannot enter a user namespace. It uses the
standard library only, and little of it, because every job waits for it. Its arguments are a plan,
written by namespace.py, and the command.

https://man7.org/linux/man-pages/man7/mount_namespaces.7.html
https://man7.org/linux/man-pages/man7/user_namespaces.7.html
"""

import ctypes
import json
import os
import signal
import sys

# linux/sched.h and linux/mount.h
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
MS_RDONLY = 1 << 0
MS_REMOUNT = 1 << 5
MS_BIND = 1 << 12
MS_MOVE = 1 << 13
MS_REC = 1 << 14
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_RELATIME = 1 << 21
# Those of statvfs that have the same number for mount.
SAME_FLAGS = os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME | os.ST_NODIRATIME

FAILED = 125
"""Exit status when the command could not be started; stderr then says why."""


def main(plan: str, *command: str) -> None:
    """Enter the namespace that a plan describes, and become the command."""
    with open(plan, encoding="utf-8") as file:  # noqa: PTH123 - pathlib takes time to import
        planned = json.load(file)
    os.chdir(planned["folder"])
    _lay_out(planned["mounts"], _unshare())
    os.chdir(planned["home"])
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        # Python ignores them, and what is ignored stays so in the command.
        signal.signal(number, signal.SIG_DFL)
    os.execvp(command[0], command)  # noqa: S606 - the job's program, as it was given


def _unshare() -> str:
    """Leave the machine's mount namespace; return what an overlay's options begin with."""
    try:
        _call("unshare", CLONE_NEWNS)
    except OSError:
        user, group = os.geteuid(), os.getegid()
        _call("unshare", CLONE_NEWNS | CLONE_NEWUSER)
        # The job goes on as who it is: as root, tar would try to give files to others.
        for name, content in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123
                file.write(content)
        return "userxattr,volatile"
    return "volatile"


def _lay_out(mounts: list[tuple[str, str, str]], options: str) -> None:
    """Make the planned mounts below the view of the root, and make that view /."""
    _mount(None, "/", None, MS_REC | MS_PRIVATE)
    _mount("root", "view", None, MS_BIND)
    # Else the machine's folders, which are shown in it, would show it in turn.
    _mount(None, "view", None, MS_UNBINDABLE)
    # Volatile: nobody waits until what goes with the job is on the disk. Such a work folder serves
    # but once.
    work = f"work/{os.getpid()}"
    os.mkdir(work)  # noqa: PTH102
    for number, (kind, source, name) in enumerate(mounts):
        if kind == "overlay":
            os.mkdir(f"{work}/{number}")  # noqa: PTH102
            folders = f"lowerdir={source},upperdir=root/{name},workdir={work}/{number}"
            _mount("overlay", f"view/{name}", "overlay", 0, f"{options},{folders}")
        else:
            _mount(source, f"view/{name}", None, MS_BIND | MS_REC)
        if kind == "frozen":
            _freeze(f"view/{name}")
    _mount(None, "view", None, MS_PRIVATE)
    os.chdir("view")
    _mount(".", "/", None, MS_MOVE)
    os.chroot(".")


def _freeze(target: str) -> None:
    """Make a mount read-only; no other of its flags may be taken from it."""
    flags = os.statvfs(target).f_flag
    kept = flags & SAME_FLAGS | (MS_RELATIME if flags & os.ST_RELATIME else 0)
    _mount(None, target, None, MS_BIND | MS_REMOUNT | MS_RDONLY | kept)


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    texts = [text if text is None else os.fsencode(text) for text in (source, target, kind)]
    data = None if options is None else os.fsencode(options)
    try:
        _call("mount", *texts, ctypes.c_ulong(flags), data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, target) from None


def _call(name: str, *arguments: object) -> None:
    """Call a function of the C library; Python has unshare from 3.12 on only, and no mount.

    Raises:
        OSError: as the function says.
    """
    if getattr(LIBRARY, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


if __name__ == "__main__":
    LIBRARY = ctypes.CDLL(None, use_errno=True)
    try:
        main(*sys.argv[1:])
    except OSError as failure:
        print(f"{failure.filename}: {failure.strerror}", file=sys.stderr)
        sys.exit(FAILED)
