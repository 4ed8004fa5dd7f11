"""Undoing what root makes: mounts, namespace names, links, frozen cgroups; unusable disks."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from isolate.errors import StateError
from isolate.linux import mount
from isolate.linux.mountinfo import mount_at, mounts_below
from isolate.linux.process import identify
from isolate.state import tree
from isolate.state.gc import collect
from isolate.state.store import Store
from isolate.state.undo import undo
from tests.support import accounts, cgroups

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from isolate.state.entry import Entry

pytestmark = pytest.mark.needs("root")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"{tmp_path}/state")


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[str]:
    """A directory that is a filesystem of 64 kB."""
    path = f"{tmp_path}/small"
    os.mkdir(path)
    mount.mount("small", path, "tmpfs", 0, "size=64k,nr_inodes=24,mode=700")
    yield path
    mount.umount2(path, mount.MNT_DETACH)


def orphaned(store: Store) -> Entry:
    entry = store.reserve("dead")
    entry.release()
    return entry


def test_mounts_are_detached_to_the_last(store: Store) -> None:
    entry = orphaned(store)
    target = f"{entry.directory}/root"
    os.mkdir(target)
    entry.journal.record("mount", target=target)
    mount.mount("one", target, "tmpfs")
    mount.mount("two", target, "tmpfs")
    os.mkdir(f"{target}/in")
    mount.mount("three", f"{target}/in", "tmpfs")
    report = collect(store)
    assert report.problems == []
    assert report.collected == ["dead"]
    assert mounts_below(store.root) == []


def test_a_mount_elsewhere_needs_its_source(store: Store, tmp_path: Path) -> None:
    entry = orphaned(store)
    target = f"{tmp_path}/elsewhere"
    os.mkdir(target)
    mount.mount("isolate-dead", target, "tmpfs")
    try:
        entry.journal.record("mount", target=target)
        entry.journal.record("mount", target=target, source="other")
        assert len(undo(entry.journal).refused) == 2
        assert mount_at(target) is not None
        entry.journal.record("mount", target=target, source="isolate-dead")
        undo(entry.journal)
        assert mount_at(target) is None
    finally:
        while mount_at(target):
            mount.umount2(target, mount.MNT_DETACH)


@pytest.mark.parametrize("way", ["openat2", "by hand"])
@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_no_tree_is_deleted_through_a_mount(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, way: str
) -> None:
    if way == "by hand":
        monkeypatch.setattr(tree, "openat2", _missing)
    precious = tmp_path / "precious"
    precious.mkdir()
    entry = store.reserve("x")
    point = f"{store.root}/made/sub/point"
    os.makedirs(point)
    if kind == "bind":
        mount.mount(str(precious), point, None, mount.MS_BIND)
    else:
        mount.mount("t", point, "tmpfs")
    try:
        with open(f"{point}/keep", "w"):
            pass
        entry.journal.record("tree", path=f"{store.root}/made")
        entry.journal.record("tree", path=f"{point}/keep")
        failures = undo(entry.journal).failures
        assert len(failures) == 2
        assert os.path.exists(f"{point}/keep")
        # Also without a look at mountinfo beforehand, which a mount may outrun:
        with pytest.raises(OSError, match=r"busy|[Cc]ross-device"):
            tree.remove_tree(f"{store.root}/made")
        assert os.path.exists(f"{point}/keep")
    finally:
        mount.umount2(point, mount.MNT_DETACH)
    assert undo(entry.journal).problems == []
    entry.remove()


def _missing(*_args: object) -> int:
    raise OSError(38, "no such call")


def test_a_container_with_a_mount_is_kept(store: Store) -> None:
    entry = orphaned(store)
    target = f"{entry.directory}/root"
    os.mkdir(target)
    mount.mount("t", target, "tmpfs")
    try:
        report = collect(store)
        assert report.collected == []
        assert "is mounted" in report.failures[0]
        assert mount_at(target) is not None
    finally:
        mount.umount2(target, mount.MNT_DETACH)
    assert collect(store).collected == ["dead"]


def test_a_network_namespace_loses_its_name(store: Store) -> None:
    entry = orphaned(store)
    path = f"{store.root}/netns"
    entry.journal.record("netns", path=path)
    with open(path, "w"):
        pass
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo; read x"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        mount.mount(f"/proc/{child.pid}/ns/net", path, None, mount.MS_BIND)
        child.communicate(b"\n")
    found = mount_at(path)
    assert found is not None
    assert found.fs_type == "nsfs"
    assert collect(store).problems == []
    assert not os.path.lexists(path)


def test_what_is_no_namespace_is_not_unmounted_as_one(store: Store, tmpfs: str) -> None:
    entry = store.reserve("x")
    entry.journal.record("netns", path=tmpfs)
    assert undo(entry.journal, within=[os.path.dirname(tmpfs)]).refused != []
    assert mount_at(tmpfs) is not None
    entry.remove()


@pytest.mark.needs("ip")
def test_links_are_deleted(store: Store) -> None:
    entry = orphaned(store)
    name = f"iso{os.getpid()}"
    entry.journal.record("link", name=name)
    entry.journal.record("link", name="isonever")
    command = ["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p"]
    subprocess.run(command, check=True)
    assert os.path.exists(f"/sys/class/net/{name}")
    assert collect(store).problems == []
    assert not os.path.exists(f"/sys/class/net/{name}")
    assert not os.path.exists(f"/sys/class/net/{name}p")


@pytest.fixture
def frozen() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A cgroup in which a process is frozen."""
    path, knob, value = _freezer()
    os.mkdir(path)
    with subprocess.Popen(["sleep", "60"]) as child:
        with open(f"{path}/cgroup.procs", "w") as file:
            file.write(str(child.pid))
        with open(f"{path}/{knob}", "w") as file:
            file.write(value)
        yield path, child
        if child.poll() is None:  # the test failed: don't wait for ever
            with contextlib.suppress(OSError), open(f"{path}/{knob}", "w") as file:
                file.write("THAWED" if knob == "freezer.state" else "0")
            child.kill()
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(path)


def _freezer() -> tuple[str, str, str]:
    name = f"isolate-test-{os.getpid()}"
    for hierarchy in cgroups.own():
        if "freezer" in hierarchy.controllers:
            return f"{hierarchy.directory}/{name}", "freezer.state", "FROZEN"
    for hierarchy in cgroups.own():
        if os.path.exists(f"{hierarchy.directory}/cgroup.controllers"):
            return f"{hierarchy.directory}/{name}", "cgroup.freeze", "1"
    raise AssertionError("no hierarchy to freeze in")


def test_a_frozen_container_is_killed(
    store: Store, frozen: tuple[str, subprocess.Popen[bytes]]
) -> None:
    path, child = frozen
    entry = orphaned(store)
    entry.journal.record("cgroup", paths=[path])
    entry.journal.record("process", pid=child.pid, start_time=identify(child.pid).start_time)
    report = collect(store)
    assert report.problems == []
    assert child.wait() == -signal.SIGKILL
    assert not os.path.exists(path)


def test_our_own_cgroup_is_refused(store: Store) -> None:
    entry = store.reserve("x")
    own = [hierarchy.directory for hierarchy in cgroups.own()]
    entry.journal.record("cgroup", paths=own)
    assert len(undo(entry.journal).refused) == 1
    entry.remove()


def test_a_full_disk_leaves_nothing_half_made(tmpfs: str) -> None:
    store = Store(f"{tmpfs}/state")
    living = store.reserve("living")
    living.write_record({"n": 1})
    living.journal.record("file", path="/x")
    journal = living.journal.entries()
    with open(f"{tmpfs}/filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    with pytest.raises(StateError, match="No space left") as caught:
        store.reserve("late")
    assert "full" in str(caught.value.hint)
    assert [entry.id for entry in store.list()] == ["living"]
    with pytest.raises(StateError, match="No space left"):
        living.write_record({"n": "x" * 8192})
    assert living.read_record()["n"] == 1
    with pytest.raises(StateError, match="No space left"):
        _fill(living)
    assert {"kind": ""} not in living.journal.entries()
    assert living.journal.entries()[: len(journal)] == journal
    living.remove()  # needs no space
    assert store.list() == ()
    os.unlink(f"{tmpfs}/filler")
    store.reserve("late").remove()


def _fill(entry: Entry) -> None:
    for _ in range(200):
        entry.journal.record("file", path="y" * 500)


def test_no_inodes_leave_nothing_half_made(tmpfs: str) -> None:
    store = Store(f"{tmpfs}/state")
    store.reserve("first").remove()
    made: list[Entry] = []
    with pytest.raises(StateError, match="No space left"):
        made.extend(store.reserve() for _ in range(100))
    assert len(store.list()) == len(made)
    assert all(entry.owner_alive() for entry in store.list())
    for entry in made:
        entry.remove()


def test_a_state_directory_that_cannot_be_made_on_a_full_disk(tmpfs: str) -> None:
    for number in range(30):
        with contextlib.suppress(OSError):
            os.mkdir(f"{tmpfs}/{number}")
    with pytest.raises(StateError, match="No space left"):
        Store(f"{tmpfs}/state").reserve("x")


def test_a_read_only_filesystem(tmpfs: str) -> None:
    entry = Store(f"{tmpfs}/state").reserve("old")
    entry.release()
    mount.mount(None, tmpfs, None, mount.MS_REMOUNT | mount.MS_RDONLY)
    store = Store(f"{tmpfs}/state")
    for path in (f"{tmpfs}/state", f"{tmpfs}/other"):
        with pytest.raises(StateError, match="Read-only") as caught:
            Store(path).reserve("x")
        assert "--root" in str(caught.value.hint)
    assert [found.id for found in store.list()] == ["old"]
    report = collect(store)
    assert report.collected == []
    assert "Read-only" in report.failures[0]


def test_a_directory_of_another_user(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    os.chown(path, 65534, 65534)
    with pytest.raises(StateError, match="belongs to user 65534"):
        Store(str(path))


def test_an_ordinary_user_is_told_what_to_do(tmp_path: Path, plain_user: accounts.Account) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    for directory in (tmp_path, tmp_path.parent):
        directory.chmod(0o755)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(plain_user.gid, plain_user.gid, plain_user.gid)
            os.setresuid(plain_user.uid, plain_user.uid, plain_user.uid)
            for path in (tmp_path / "state", tmp_path / "new"):
                try:
                    Store(str(path)).reserve("x")
                except StateError as error:
                    os.write(writing, f"{error.message}|{error.hint}\n".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as answers:
        lines = answers.read().splitlines()
    os.waitpid(pid, 0)
    assert len(lines) == 2
    assert all("Permission denied" in line and "--root" in line for line in lines)
