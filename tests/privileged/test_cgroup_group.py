"""Groups in the running kernel: entering, killing, freezing, measuring, removing."""

from __future__ import annotations

import errno
import os
import select
import threading
from typing import TYPE_CHECKING

import pytest

from isolate.linux import mount, namespaces
from isolate.linux.cgroup import CgroupError, Group, discover, remove_paths, usable_controllers
from tests.support import needs
from tests.support.cgroup_groups import group, layout, run, start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.needs("root")

KINDS = pytest.mark.parametrize("kind", ["host", "v1"])
SLEEP = "import time; time.sleep(60)"
BOMB = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
TICK = """
import os, time
while True:
    os.write(1, b".")
    time.sleep(0.001)
"""


def reap(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def cgroups_of(pid: int | str) -> str:
    with open(f"/proc/{pid}/cgroup") as lines:
        return lines.read()


def in_child(work: Callable[[], str]) -> str:
    """What the function answers in a forked child, where it may change the process."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, work().encode())
        except BaseException as error:  # noqa: BLE001 - it is the answer; nothing may unwind
            os.write(write, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return text


@KINDS
def test_the_child_is_in_every_directory(kind: str) -> None:
    with group(kind, "memory", "pids", "cpu", "cpuset") as made:
        pid = start(made, SLEEP)
        assert made.pids() == [pid]
        assert made.populated()
        for path in made.directories.values():
            with open(f"{path}/cgroup.procs") as lines:
                assert lines.read().split() == [str(pid)]
        made.kill()
        assert reap(pid) == -9
        assert not made.populated()
        assert made.pids() == []


@KINDS
def test_a_process_is_added_with_its_threads(kind: str) -> None:
    with group(kind, "pids") as made:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(write)
            threading.Thread(target=lambda: os.read(read, 1), daemon=True).start()
            os.read(read, 1)
            os._exit(0)
        os.close(read)
        while len(os.listdir(f"/proc/{pid}/task")) < 2:
            pass
        made.add(pid)
        assert made.pids() == [pid]
        assert made.usage().pids == 2
        os.close(write)
        assert reap(pid) == 0
        assert made.wait_empty(5)


def test_a_process_that_is_gone_is_not_added() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    reap(pid)
    with group("host") as made, pytest.raises(CgroupError, match="No such process"):
        made.add(pid)


@pytest.mark.parametrize("kind", ["host", "v1", "v1-pids"])
def test_kill_wins_against_a_fork_bomb(kind: str) -> None:
    with group(kind, "pids") as made:
        made.set_limits(pids=64)
        pid = start(made, BOMB)
        while (made.usage().pids or 0) < 60:
            pass
        made.kill()
        assert reap(pid) == -9
        assert not made.populated()
        assert made.pids() == []


@KINDS
def test_a_frozen_group_is_killed(kind: str) -> None:
    with group(kind, "freezer") as made:
        pid = start(made, SLEEP)
        made.freeze()
        made.kill()
        assert reap(pid) == -9


@KINDS
def test_groups_frozen_from_inside_are_killed(kind: str) -> None:
    with group(kind, "freezer") as made:
        pid = start(made, SLEEP)
        for path in made.directories.values():
            os.mkdir(f"{path}/below")
        below = Group({key: f"{path}/isolate-below" for key, path in made.directories.items()})
        below.create()
        below.add(pid)
        below.freeze()
        assert made.pids() == [pid]
        made.kill()
        assert reap(pid) == -9


def test_killing_the_empty_and_the_gone_is_no_error() -> None:
    with group("host") as made:
        made.kill()
        made.remove()
        made.kill()
        made.remove()


@KINDS
def test_freeze_and_thaw(kind: str) -> None:
    with group(kind, "freezer") as made:
        read, write = os.pipe()
        os.set_blocking(read, False)
        pid = start(made, TICK, output=write)
        os.close(write)
        assert select.select([read], [], [], 10)[0]
        assert not made.frozen()
        made.freeze()
        assert made.frozen()
        os.read(read, 1 << 20)
        assert not select.select([read], [], [], 0.05)[0]
        made.thaw()
        assert not made.frozen()
        assert select.select([read], [], [], 10)[0]
        made.kill()
        reap(pid)
        os.close(read)


@KINDS
def test_wait_until_empty(kind: str) -> None:
    with group(kind) as made:
        read, write = os.pipe()
        pid = start(made, f"import os; os.read({read}, 1)")
        assert reap(pid) == 1  # the descriptor was close-on-exec
        assert made.wait_empty(5)
        pid = start(made, SLEEP)
        assert not made.wait_empty(0.01)
        made.kill()
        reap(pid)
        os.close(read)
        os.close(write)


@KINDS
def test_nested_groups_are_removed_deepest_first(kind: str) -> None:
    with group(kind, "pids") as made:
        for path in made.directories.values():
            os.makedirs(f"{path}/a/b/c")
            os.makedirs(f"{path}/a/d")
        pid = start(made, SLEEP)
        for path in made.directories.values():
            with open(f"{path}/a/b/c/cgroup.procs", "w") as procs:
                procs.write(str(pid))
        assert made.pids() == [pid]
        made.kill()
        assert reap(pid) == -9
        made.remove()
        assert not any(os.path.exists(path) for path in made.directories.values())


@KINDS
def test_a_group_in_use_is_not_removed(kind: str) -> None:
    with group(kind) as made:
        pid = start(made, SLEEP)
        with pytest.raises(CgroupError, match=f"is not empty: processes {pid} are in it") as caught:
            made.remove(timeout=0.05)
        assert caught.value.errno == errno.EBUSY
        made.kill()
        reap(pid)


@KINDS
def test_paths_alone_suffice_to_remove(kind: str) -> None:
    with group(kind, "pids") as made:
        pid = start(made, SLEEP)
        first = next(iter(made.directories.values()))
        os.mkdir(f"{first}/below")
        paths = list(made.directories.values())
        remove_paths([*paths, f"{first}-never-made"])
        assert reap(pid) == -9
        assert not any(os.path.exists(path) for path in paths)
        remove_paths(paths)


def test_a_half_entered_process_is_killed_by_its_path() -> None:
    """Killed between two hierarchies, the maker leaves a process in one of them only."""
    with group("v1", "memory", "pids") as made:
        pid = os.fork()
        if pid == 0:
            os.execvp("sleep", ["sleep", "60"])
        memory = made.directories["v1:memory"]
        with open(f"{memory}/cgroup.procs", "w") as procs:
            procs.write(str(pid))
        remove_paths(made.directories.values())
        assert reap(pid) == -9


def test_a_later_process_goes_on_with_what_was_recorded() -> None:
    with group("host", "pids") as made:
        made.set_limits(pids=7)
        pid = start(made, SLEEP)
        later = Group(dict(made.directories))
        assert later.read_limits()["pids"].value == 7
        assert later.pids() == [pid]
        later.kill()
        assert reap(pid) == -9
        later.remove()


def test_a_name_in_use_is_not_adopted() -> None:
    with group("host", "pids") as made:
        with pytest.raises(CgroupError, match="File exists"):
            Group(made.directories).create()
        assert all(os.path.isdir(path) for path in made.directories.values())


def test_usage() -> None:
    with group("host", "memory", "pids") as made:
        assert run(made, "for _ in range(3000000): pass")[0] == 0
        used = made.usage()
        assert used.memory_peak_bytes is None or used.memory_peak_bytes > 2**20
        assert used.oom_kills == 0
        assert used.pids == 0
        if made.unified is not None:
            assert used.cpu_user_seconds
            assert used.cpu_system_seconds is not None
        else:
            assert used.cpu_user_seconds is None


def test_cpu_time_by_version_1() -> None:
    with group("v1") as made:
        where = layout("v1")
        needs.require_that(where.find("cpuacct") is not None, "cgroup_v1", "no cpuacct")
        other = Group(Group.paths(where, "isolate-test-cpuacct", ("cpuacct",)))
        other.create()
        try:
            assert run(other, "for _ in range(3000000): pass")[0] == 0
            assert other.usage().cpu_user_seconds
        finally:
            other.remove()
        assert made.usage().cpu_user_seconds is None


def test_an_ordinary_user_is_told_why_not() -> None:
    def work() -> str:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        return repr([name for name, reason in usable_controllers(discover()).items() if not reason])

    assert in_child(work) == "[]"


def test_a_cgroup_namespace_with_mounts_of_its_own(tmp_path: Path) -> None:
    """Seen from inside of a container: the root of what is seen is the container's own group."""
    if (unified := discover().unified) is None:
        needs.require_that(False, "cgroup_v2", "version 2 is not mounted")
        return
    with group("host") as made:

        def work() -> str:
            with made.open() as entry:
                pid, _ = namespaces.clone(0, cgroup_fd=entry.unified)
                if pid:
                    return str(reap(pid))
                inside(entry.enter)
                os._exit(1)

        def inside(enter: Callable[[], None]) -> None:
            enter()
            namespaces.unshare(namespaces.CLONE_NEWCGROUP | namespaces.CLONE_NEWNS)
            mount.mount(None, "/", None, mount.MS_REC | mount.MS_PRIVATE)
            outer = discover().unified
            mount.mount("none", str(tmp_path), "cgroup2")
            found = discover().unified
            assert outer is None
            assert found is not None
            assert (found.directory, found.cgroup) == (str(tmp_path), "/")
            with open(f"{found.directory}/cgroup.procs") as procs:
                assert str(os.getpid()) in procs.read().split()
            os._exit(7)

        assert in_child(work) == "7"
        assert unified.directory in str(made.unified)
