"""Runs a command of a job, and ends with everything that the command started.

A program of its own: a process with several threads cannot enter a user namespace. It uses the
standard library only, and little of it (no pathlib), because every job waits for it.

Its arguments are the process ID of the platform, a plan written by namespace.py (empty without
namespaces), and the command. It kills the command when it gets SIGTERM, and when the platform
dies. Its exit status is the command's; 128 and more is a signal, as in a shell.

With a plan, the command runs in a PID namespace: when the first process of that ends, the kernel
kills the others. Without one, a process whose parent has ended becomes a child of this program.

https://man7.org/linux/man-pages/man7/mount_namespaces.7.html
https://man7.org/linux/man-pages/man7/pid_namespaces.7.html
https://man7.org/linux/man-pages/man7/user_namespaces.7.html
https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence

# linux/sched.h, linux/mount.h and linux/prctl.h
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
MS_NOSUID = 1 << 1
MS_NODEV = 1 << 2
MS_NOEXEC = 1 << 3
MS_BIND = 1 << 12
MS_MOVE = 1 << 13
MS_REC = 1 << 14
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
# Not in the C library before 2022. Linux has it since 5.12.
SYS_MOUNT_SETATTR = 442
MOUNT_ATTR_RDONLY = 1
AT_FDCWD = -100
AT_RECURSIVE = 0x8000

Mounts = Sequence[tuple[str, str, str]]
"""In their order: (kind, source, name below /)."""
FAILED = 125
"""Exit status when the command could not be started; stderr then says why."""


def main(platform: str, plan: str, *command: str) -> int:
    """Run a command to its end; return its exit status."""
    signal.signal(signal.SIGTERM, _end)
    if plan:
        with open(plan, encoding="utf-8") as file:
            planned = json.load(file)
        os.chdir(planned["folder"])
        options = _unshare()
        _die_with(int(platform), signal.SIGTERM)
        return _run(_first_process, planned["mounts"], options, planned["home"], command)
    if sys.platform == "linux":
        _call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        _die_with(int(platform), signal.SIGTERM)
    status = _run(_become, command)
    _kill_children()
    return status


def _end(*_: object) -> None:
    """End at once, and leave no process behind."""
    _kill_children()
    os._exit(FAILED)


def _die_with(parent: int, number: int) -> None:
    """Have a signal sent to this process when its parent dies; end if it has died already."""
    _call("prctl", PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(FAILED)


def _kill_children() -> None:
    """Kill every child, and every process that becomes a child when its parent is killed."""
    while children := _children():
        for child in children:
            os.kill(child, signal.SIGKILL)
        os.wait()


def _children() -> list[int]:
    """Return the process IDs of the children, among them those that ended; none without /proc."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def _run(start: Callable[..., int], *arguments: object) -> int:
    """Do something in a child, and return its exit status; collect every other child that ends."""
    main_child = os.fork()
    if main_child == 0:
        os._exit(_status(start, *arguments))
    while True:
        child, status = os.wait()
        if child == main_child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _status(start: Callable[..., int], *arguments: object) -> int:
    """Do something, and return the exit status; say what could not be done."""
    try:
        return start(*arguments)
    except OSError as failure:
        print(f"{failure.filename}: {failure.strerror}", file=sys.stderr, flush=True)
        return FAILED


def _first_process(mounts: Mounts, options: str, home: str, command: Sequence[str]) -> int:
    """Be the first process of a PID namespace: lay out the root, and run the command in it."""
    # Its parent lies outside of the namespace.
    _die_with(0, signal.SIGKILL)
    for number in (signal.SIGTERM, signal.SIGINT):
        # The kernel ignores what the namespace sends to its first process without a handler.
        signal.signal(number, signal.SIG_DFL)
    _lay_out(mounts, options)
    os.chdir(home)
    return _run(_become, command)


def _become(command: Sequence[str]) -> int:
    """Become the command."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        # Python ignores them, and what is ignored stays so in the command.
        signal.signal(number, signal.SIG_DFL)
    os.execvp(command[0], list(command))  # noqa: S606 - the job's program, as it was given


def _unshare() -> str:
    """Leave the machine's namespaces; return what an overlay's options begin with."""
    try:
        _call("unshare", CLONE_NEWNS | CLONE_NEWPID)
    except OSError:
        user, group = os.geteuid(), os.getegid()
        _call("unshare", CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUSER)
        # The job goes on as who it is: as root, tar would try to give files to others.
        for name, content in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(content)
        return "userxattr,volatile"
    return "volatile"


def _lay_out(mounts: Mounts, options: str) -> None:
    """Make the planned mounts below the view of the root, and make that view /."""
    _mount(None, "/", None, MS_REC | MS_PRIVATE)
    _mount("root", "view", None, MS_BIND)
    # Otherwise the machine's folders in the view would contain the view again.
    _mount(None, "view", None, MS_UNBINDABLE)
    # Volatile: no wait for the disk, because the files are removed with the job. Such a work folder
    # can be used once, and a job runs several commands.
    work = f"work/{len(os.listdir('work'))}"
    os.mkdir(work)
    for number, (kind, source, name) in enumerate(mounts):
        if kind == "overlay":
            os.mkdir(f"{work}/{number}")
            folders = f"lowerdir={source},upperdir=root/{name},workdir={work}/{number}"
            _mount("overlay", f"view/{name}", "overlay", 0, f"{options},{folders}")
        else:
            _mount(source, f"view/{name}", None, MS_BIND | MS_REC)
        if kind == "frozen":
            _freeze(f"view/{name}")
    _mount("proc", "view/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    _mount(None, "view", None, MS_PRIVATE)
    os.chdir("view")
    _mount(".", "/", None, MS_MOVE)
    os.chroot(".")


def _freeze(target: str) -> None:
    """Make a mount read-only, with all that is mounted below it."""
    # struct mount_attr: flags to set, flags to clear, propagation, user namespace
    attributes = MOUNT_ATTR_RDONLY.to_bytes(8, sys.byteorder) + bytes(24)
    arguments = (AT_FDCWD, os.fsencode(target), AT_RECURSIVE, attributes, len(attributes))
    _call("syscall", SYS_MOUNT_SETATTR, *arguments)


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
    sys.exit(_status(main, *sys.argv[1:]))
