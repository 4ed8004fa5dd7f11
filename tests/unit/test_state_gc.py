"""Collecting what dead owners left, beside creations, other collections and other boots."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from isolate.errors import ExistsError
from isolate.linux.process import identify
from isolate.state import undo as undo_module
from isolate.state.gc import collect
from isolate.state.store import Store
from isolate.state.tree import remove_tree
from isolate.state.undo import undo
from tests.unit.test_state_store import code_of, in_child

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from isolate.state.entry import Entry


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"{tmp_path}/state")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as child:
        yield child
        child.kill()


def orphaned(store: Store, name: str = "dead") -> Entry:
    """An entry whose lock nobody holds, as after the owner's death."""
    entry = store.reserve(name)
    entry.release()
    return entry


def test_the_living_are_left_alone(store: Store) -> None:
    living = store.reserve("living")
    living.journal.record("file", path=f"{store.root}/keep")
    with open(f"{store.root}/keep", "w"):
        pass
    orphaned(store)
    report = collect(store)
    assert report.collected == ["dead"]
    assert report.problems == []
    assert os.path.exists(f"{store.root}/keep")
    assert living.owner_alive()
    living.remove()


def test_no_state_directory_is_nothing_to_do(store: Store) -> None:
    assert collect(store).problems == []
    assert not os.path.exists(store.root)


def test_processes_are_killed(store: Store, sleeper: subprocess.Popen[bytes]) -> None:
    entry = orphaned(store)
    start = identify(sleeper.pid).start_time
    entry.journal.record("process", pid=sleeper.pid, start_time=start)
    entry.journal.record("process", pid=sleeper.pid, start_time=start)
    assert collect(store).problems == []
    assert sleeper.wait() == -signal.SIGKILL


def test_a_stopped_process_is_killed(store: Store, sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.send_signal(signal.SIGSTOP)
    entry = orphaned(store)
    entry.journal.record("process", pid=sleeper.pid, start_time=identify(sleeper.pid).start_time)
    assert collect(store).problems == []
    assert sleeper.wait() == -signal.SIGKILL


def test_a_stranger_with_a_reused_pid_lives(store: Store, sleeper: subprocess.Popen[bytes]) -> None:
    entry = orphaned(store)
    start = identify(sleeper.pid).start_time
    entry.journal.record("process", pid=sleeper.pid, start_time=start - 1)
    report = collect(store)
    assert report.collected == ["dead"]
    assert report.problems == []
    assert sleeper.poll() is None


@pytest.mark.parametrize("line", ["another boot", "lost in a crash"])
def test_after_another_boot_only_files_are_removed(
    store: Store, sleeper: subprocess.Popen[bytes], line: str
) -> None:
    entry = orphaned(store)
    entry.journal.record("process", pid=sleeper.pid, start_time=identify(sleeper.pid).start_time)
    entry.journal.record("cgroup", paths=["/sys/fs/cgroup/isolate-x"])
    entry.journal.record("link", name="isonone0")
    entry.journal.record("file", path=f"{store.root}/made")
    entry.journal.record("netns", path=f"{store.root}/name")
    for name in ("made", "name"):
        with open(f"{store.root}/{name}", "w"):
            pass
    with open(f"{entry.directory}/lock", "r+") as file:
        if line == "another boot":
            file.write("00000000-1111-2222-3333-444444444444")
        else:
            file.truncate()
    report = collect(store)
    assert report.collected == ["dead"]
    assert report.problems == []
    assert sleeper.poll() is None
    assert not os.path.exists(f"{store.root}/made")
    assert not os.path.exists(f"{store.root}/name")


def test_what_cannot_be_undone_is_kept_and_tried_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = orphaned(store)
    entry.journal.record("file", path=f"{store.root}/first")
    entry.journal.record("file", path=f"{store.root}/directory")
    os.mkdir(f"{store.root}/directory")
    with open(f"{store.root}/first", "w"):
        pass
    report = collect(store)
    assert report.collected == []
    assert len(report.failures) == 1
    assert report.failures[0].startswith("dead: file: ")
    assert not os.path.exists(f"{store.root}/first")  # it went on past the failure
    assert entry.exists()
    os.rmdir(f"{store.root}/directory")
    assert collect(store).collected == ["dead"]


def test_a_process_that_does_not_end_is_reported(
    store: Store, sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo_module, "PATIENCE", 0.05)
    monkeypatch.setattr(undo_module, "send_signal", lambda _pidfd, _signal: None)
    entry = orphaned(store)
    entry.journal.record("process", pid=sleeper.pid, start_time=identify(sleeper.pid).start_time)
    report = collect(store)
    assert report.failures == [f"dead: process: {sleeper.pid} was killed, but doesn't end"]
    assert entry.exists()


def test_half_made_and_damaged_ones_are_collected(store: Store) -> None:
    store.reserve("other").remove()
    containers = f"{store.root}/containers"
    os.mkdir(f"{containers}/no-lock")
    os.mkdir(f"{containers}/junk")
    os.mkfifo(f"{containers}/junk/record.json")
    with open(f"{containers}/junk/record.json.new", "w") as file:
        file.write("{")
    entry = orphaned(store, "torn")
    with open(entry.journal.path, "w") as file:
        file.write('{"kind":"file","pa')
    report = collect(store)
    assert report.collected == ["junk", "no-lock", "torn"]
    assert report.problems == []
    assert store.list() == ()


def test_trash_is_emptied(store: Store) -> None:
    store.reserve("x").remove()
    os.makedirs(f"{store.root}/trash/x.0123/sub")
    assert collect(store).problems == []
    assert os.listdir(f"{store.root}/trash") == []


def test_hostile_entries_are_refused_and_named(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("")
    other = store.reserve("other")
    entry = orphaned(store)
    os.symlink(outside, f"{store.root}/link")
    hostile: list[dict[str, Any]] = [
        {"kind": kind, "path": path}
        for kind in ("file", "tree", "netns")
        for path in (
            f"{outside}/file",
            f"{store.root}/../outside/file",
            f"{entry.directory}/../../../outside",
            store.root,
            entry.directory,
            other.directory,
            f"{other.directory}/lock",
            f"{store.root}/containers",
            f"{store.root}/lock",
            "/",
            "/etc/passwd",
            "relative",
            f"//{store.root}/x",
            "",
            "a\0b",
            "/\ud800",
            None,
            3,
            ["/"],
        )
    ]
    hostile += [{"kind": "netns", "path": "/run/netns/other"}]
    hostile += [
        {"kind": "process", "pid": pid, "start_time": 1}
        for pid in (0, 1, -1, True, "2", None, 2**40, os.getpid())
    ]
    hostile += [{"kind": "process", "pid": 2}, {"kind": "process", "pid": 2, "start_time": -1}]
    hostile += [
        {"kind": "link", "name": name} for name in ("lo", "eth0", "", None, "iso/x", "isoé")
    ]
    hostile += [{"kind": "link", "name": "iso" + "x" * 20}]
    hostile += [
        {"kind": "cgroup", "paths": paths}
        for paths in (None, "/", ["/"], ["/etc"], [f"{outside}/isolate-x"], [3], ["/sys/fs/cgroup"])
    ]
    hostile += [{"kind": "mount", "target": target} for target in ("/", "/proc", "..", None)]
    hostile += [{"kind": "mount", "target": "/proc", "source": "forged"}]
    hostile += [{"kind": "idrange", "first": first} for first in (None, "x", -1)]
    for data in hostile:
        entry.journal.record(**data)
    # Through a link: opened without following it.
    entry.journal.record("tree", path=f"{store.root}/link/file")
    report = undo(entry.journal)
    assert len(report.refused) == len(hostile), report.refused
    assert len(report.failures) == 1
    assert report.failures[0].startswith("tree: ")
    assert (outside / "file").exists()
    assert os.path.exists(f"{other.directory}/lock")
    other.remove()


def test_a_refused_entry_does_not_keep_the_container(store: Store) -> None:
    entry = orphaned(store)
    entry.journal.record("tree", path="/etc")
    with open(entry.journal.path, "ab") as file:
        file.write(b"\0\0\n")
    report = collect(store)
    assert report.collected == ["dead"]
    assert len(report.refused) == 2
    assert report.failures == []


def test_undo_goes_backwards_and_again(store: Store) -> None:
    entry = store.reserve("x")
    entry.journal.record("tree", path=f"{store.root}/made")
    entry.journal.record("file", path=f"{store.root}/made/never")
    entry.journal.record("tree", path=f"{entry.directory}/own")
    os.makedirs(f"{store.root}/made/sub")
    os.mkdir(f"{entry.directory}/own")
    for _ in range(2):
        assert undo(entry.journal).problems == []
    assert not os.path.exists(f"{store.root}/made")
    assert sorted(os.listdir(entry.directory)) == ["journal", "lock"]
    entry.remove()


def test_eight_collectors_and_creators_at_once(store: Store) -> None:
    """Creators that live, creators that die, collectors: nothing living is lost."""
    store.reserve("first").remove()
    work = [_collecting, _creating, _dying, _collecting] * 2
    children = [in_child(partial(each, store, time.monotonic() + 1.5)) for each in work]
    assert [code_of(pid) for pid in children] == [0] * 8
    assert collect(store).problems == []
    assert store.list() == ()
    assert os.listdir(f"{store.root}/trash") == []


def _collecting(store: Store, until: float) -> int:
    while time.monotonic() < until:
        if problems := collect(store).problems:
            print(problems)  # noqa: T201 - says more than the exit code
            return 1
    return 0


def _creating(store: Store, until: float) -> int:
    lived = 0
    while time.monotonic() < until:
        with contextlib.suppress(ExistsError):  # a collector is at what was released below
            entry = store.reserve(f"{os.getpid()}-{lived % 3}")
            entry.write_record({"lived": lived})
            entry.journal.record("file", path=f"{store.root}/made{os.getpid()}")
            assert entry.read_record()["lived"] == lived
            lived += 1
            if lived % 2:
                entry.release()  # as if it died
            else:
                entry.remove()
    return 0 if lived > 3 else 2


def _dying(store: Store, until: float) -> int:
    def die() -> int:
        with contextlib.suppress(ExistsError):
            store.reserve("contended").journal.record("file", path=f"{store.root}/made")
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    while time.monotonic() < until:
        assert code_of(in_child(die)) == -signal.SIGKILL
    return 0


def test_a_leftover_is_collected_as_the_store_says(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (cache / "layer").mkdir(parents=True)
    deleted: list[str] = []

    def rmtree(path: str) -> None:
        deleted.append(path)
        remove_tree(path)

    store = Store(f"{tmp_path}/state", within=[str(cache)], rmtree=rmtree)
    orphaned(store).journal.record("tree", path=f"{cache}/layer")
    store.reserve("dead").release()
    assert list(cache.iterdir()) == []
    assert [os.path.dirname(path) for path in deleted] == [f"{store.root}/trash"]


def test_files_of_other_users_are_left_to_the_hook(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(_parent: int, name: str) -> None:
        raise PermissionError(1, os.strerror(1), name)

    monkeypatch.setattr(undo_module, "remove_at", forbidden)
    entry = store.reserve("x")
    entry.journal.record("tree", path=f"{store.root}/made")
    deleted: list[str] = []
    assert len(undo(entry.journal).failures) == 1
    assert undo(entry.journal, rmtree=deleted.append).problems == []
    assert deleted == [f"{store.root}/made"]
    entry.remove()
