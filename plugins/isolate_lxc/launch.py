"""Launching: LXC's process is started, and waits with a container that stands ready."""

from __future__ import annotations

import fcntl
import os
import struct

from isolate.linux import process, terminal
from isolate.native import limits
from isolate_lxc import monitor, sysctl
from isolate_lxc.translate import READY, START

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate_lxc.build import Build


_TIOCSLCKTRMIOS = 0x5457


def launch(
    build: Build, argv: list[str], views: frozenset[str], parent: str | None
) -> tuple[monitor.Monitor, int]:
    """LXC's process, and the pid of the container's first one, which stands ready.

    `parent` is the version 2 group in which LXC is to be born. Raises IsolateError, OSError; then
    LXC's process is gone.
    """
    context = build.context
    build.prepared.update(_make_fifos(context.directory))
    console, peer = _open_terminal() if build.spec.process.terminal else (-1, -1)
    try:
        found = _spawn(build, argv, views, parent, peer)
        try:
            pid = _await_ready(build, found)
        except BaseException:
            monitor.kill(found.pid)
            raise
    except BaseException:
        _close(console)
        raise
    finally:
        _close(peer)
    if context.on_console is not None and console >= 0:
        context.on_console(console)
    else:
        _close(console)
    return found, pid


def _spawn(
    build: Build, argv: list[str], views: frozenset[str], parent: str | None, peer: int
) -> monitor.Monitor:
    if parent is not None:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        build.prepared["cgroup.parent"] = os.open(parent, flags)
    steps = build.steps(argv, views, peer)
    born_in = build.prepared.get("cgroup.parent")
    return monitor.spawn(steps, build.prepared, build.context, born_in)


def _await_ready(build: Build, found: monitor.Monitor) -> int:
    context = build.context
    context.checkpoint("monitor")
    pid = monitor.await_ready(found, context.directory, build.prepared[READY])
    limits.record_process(context, pid)
    context.checkpoint("ready")
    sysctl.write(pid, process.start_time(pid), build.spec.sysctl)
    os.unlink(f"{context.directory}/{READY}")
    return pid


def _make_fifos(directory: str) -> dict[str, int]:
    """The fifos between LXC's hook and us, opened for both ends so that nobody blocks."""
    found = {}
    for name in (START, READY):
        path = f"{directory}/{name}"
        os.mkfifo(path, 0o600)
        found[name] = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    return found


def _open_terminal() -> tuple[int, int]:
    """The terminal to which LXC passes the container's own on: raw, since that one has translated
    newlines already, and locked, since LXC would let this one do it again (ioctl_tty(2))."""
    import tty

    master, peer = terminal.open_pair()
    tty.setraw(peer)
    locked = struct.pack("4I20x", 0, 0xFFFFFFFF, 0, 0)  # struct termios: the output flags
    fcntl.ioctl(peer, _TIOCSLCKTRMIOS, locked)
    return master, peer


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)
