"""Groups for tests: made, entered by programs, and removed whatever happens."""

from __future__ import annotations

import contextlib
import os
import sys
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

from isolate.linux.cgroup import Group, Layout, discover, usable_controllers
from isolate.linux.namespaces import clone
from tests.support import needs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

_numbers = count()


def layout(kind: str) -> Layout:
    """The `host`'s layout; or as if there were only `v1`, or only v1 without its freezer
    (`v1-pids`), or no devices controller (`ebpf`)."""
    found = discover()
    if kind == "host":
        return found
    if kind == "ebpf":
        needs.require_that(found.unified is not None, "cgroup_v2", "version 2 is not mounted")
        return found.without("devices")
    old = Layout(each for each in found.hierarchies if each.version == 1)
    needs.require_that(old.find("freezer") is not None, "cgroup_v1", "version 1 is not mounted")
    return old.without("freezer") if kind == "v1-pids" else old


@contextmanager
def group(kind: str, *controllers: str) -> Iterator[Group]:
    """A new group with these controllers, in the layout of that kind."""
    where = layout(kind)
    reasons = usable_controllers(where)
    for name in controllers:
        reason = reasons[name]
        needs.require_that(reason is None, f"cgroup:{name}", str(reason))
    paths = Group.paths(where, f"isolate-test-{os.getpid()}-{next(_numbers)}", controllers)
    made = Group(paths)
    made.create()
    try:
        yield made
    finally:
        made.kill()
        _reap_all()
        made.remove()


def _reap_all() -> None:
    """Wait for the children that a failed test has left."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def start(inside: Group, script: str, *, output: int | None = None) -> int:
    """Run Python code in the group; its pid. Standard output goes to a descriptor.

    Returns when the program has been executed: the end of file of a close-on-exec pipe tells.
    """
    entered, held = os.pipe()
    with inside.open() as entry:
        pid, pidfd = clone(0, cgroup_fd=entry.unified)
        if pid == 0:
            _become(entry.enter, script, output)
        os.close(pidfd)
    os.close(held)
    os.read(entered, 1)
    os.close(entered)
    return pid


def _become(enter: object, script: str, output: int | None) -> NoReturn:
    try:
        assert callable(enter)
        enter()
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null if output is None else output, 1)
        os.dup2(null, 2)
        os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", script])
    finally:
        os._exit(99)


def run(inside: Group, script: str) -> tuple[int, str]:
    """Run Python code in the group to its end: exit code (negative: a signal), and its output."""
    read, write = os.pipe()
    with os.fdopen(read) as output:
        try:
            pid = start(inside, script, output=write)
        finally:
            os.close(write)
        text = output.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text
