"""Reserving, finding, recording and removing containers."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from isolate.errors import ExistsError, NotFoundError, StateError
from isolate.linux.process import boot_id, identify
from isolate.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from isolate.state.entry import Entry


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"{tmp_path}/state")


def in_child(work: Callable[[], int]) -> int:
    """The pid of a forked child that exits with what `work` gives, 99 when it raises."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = work()
        finally:
            os._exit(code)
    return pid


def code_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def reserve_in_dead_child(store: Store, name: str) -> None:
    def work() -> int:
        store.reserve(name).journal.record("file", path=f"{store.root}/made")
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    assert code_of(in_child(work)) == -signal.SIGKILL


def test_a_whole_life(store: Store) -> None:
    entry = store.reserve("one")
    assert entry.owner_alive()
    assert entry.owner() == (boot_id(), identify(os.getpid()))
    assert entry.same_boot()
    entry.write_record({"backend": "b", "handle": {"id": "one"}, "id": "forged", "version": 9})
    record = store.get("one").read_record()
    assert record == {
        "version": 1,
        "id": "one",
        "backend": "b",
        "handle": {"id": "one"},
        "boot_id": boot_id(),
        "owner": {"pid": os.getpid(), "start_time": identify(os.getpid()).start_time},
    }
    assert os.stat(f"{entry.directory}/record.json").st_mode & 0o777 == 0o600
    with pytest.raises(ExistsError):
        store.reserve("one")
    entry.remove()
    assert not entry.exists()
    entry.remove()
    assert os.listdir(f"{store.root}/trash") == []
    store.reserve("one").remove()


def test_a_random_id(store: Store) -> None:
    first, second = store.reserve(), store.reserve()
    assert first.id != second.id
    first.remove()
    second.remove()


def test_exactly_one_of_fifty_wins(store: Store) -> None:
    def contend() -> int:
        os.read(gate, 1)
        try:
            store.reserve("same")
        except ExistsError:
            return 1
        os.write(won, b"x")
        signal.pause()
        return 0

    gate, opener = os.pipe()
    winners, won = os.pipe()
    children = [in_child(contend) for _ in range(50)]
    os.write(opener, b"x" * 50)
    winner = os.read(winners, 50)
    codes = []
    for _ in range(49):
        pid, status = os.wait()
        codes.append(os.waitstatus_to_exitcode(status))
        children.remove(pid)
    try:
        assert winner == b"x"
        assert codes == [1] * 49
        assert store.get("same").owner_alive()
    finally:
        for pid in children:  # the one that is left
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for descriptor in (gate, opener, winners, won):
            os.close(descriptor)
    assert not store.get("same").owner_alive()


def test_a_leftover_is_collected_and_its_id_reserved(store: Store) -> None:
    reserve_in_dead_child(store, "again")
    made = f"{store.root}/made"
    with open(made, "w"):
        pass
    entry = store.reserve("again")
    assert not os.path.exists(made)
    assert os.listdir(entry.directory) == ["lock"]
    entry.remove()


def test_exactly_one_of_many_wins_a_leftover(store: Store) -> None:
    reserve_in_dead_child(store, "again")

    def contend() -> int:
        try:
            entry = store.reserve("again")
        except ExistsError:
            return 1
        os.read(gate, 1)
        assert entry.owner_alive()
        return 0

    gate, opener = os.pipe()
    children = [in_child(contend) for _ in range(20)]
    codes = [os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(19)]
    os.write(opener, b"x")
    codes.append(os.waitstatus_to_exitcode(os.wait()[1]))
    os.close(gate)
    os.close(opener)
    assert len(children) == 20
    assert sorted(codes) == [0] + [1] * 19


def test_a_leftover_that_resists_keeps_its_id(store: Store) -> None:
    def work() -> int:
        store.reserve("again").journal.record("of-a-newer-version")
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    code_of(in_child(work))
    with pytest.raises(StateError, match="of-a-newer-version") as caught:
        store.reserve("again")
    assert not isinstance(caught.value, ExistsError)
    assert not store.get("again").owner_alive()


@pytest.fixture
def child_of_owner(store: Store) -> Iterator[tuple[Entry, Callable[[bool], int]]]:
    entry = store.reserve("handed")
    gate, opener = os.pipe()
    children = []

    def fork(disown: bool) -> int:
        def work() -> int:
            os.close(opener)
            if disown:
                entry.disown_in_child()
            else:
                entry.take_over()
            os.write(ready, b"x")
            os.read(gate, 1)
            return 0

        done, ready = os.pipe()
        children.append(in_child(work))
        os.read(done, 1)
        os.close(done)
        os.close(ready)
        return children[-1]

    yield entry, fork
    os.close(opener)
    assert [code_of(pid) for pid in children] == [0]
    os.close(gate)
    store.get("handed").remove()


def test_a_child_that_disowns_keeps_nothing_alive(
    child_of_owner: tuple[Entry, Callable[[bool], int]],
) -> None:
    entry, fork = child_of_owner
    fork(True)
    assert entry.owner_alive()
    entry.release()
    assert not entry.owner_alive()


def test_a_child_can_take_over(
    store: Store, child_of_owner: tuple[Entry, Callable[[bool], int]]
) -> None:
    entry, fork = child_of_owner
    child = fork(False)
    entry.release()
    assert entry.owner_alive()
    assert entry.owner() == (boot_id(), identify(child))
    with pytest.raises(ExistsError):
        store.reserve("handed")
    with pytest.raises(StateError, match="in use"):
        store.get("handed").remove()


def test_looking_never_takes_the_lock(store: Store) -> None:
    reserve_in_dead_child(store, "dead")
    looker = store.get("dead")
    assert [looker.owner_alive() for _ in range(3)] == [False] * 3
    assert looker.lock_fd == -1
    assert looker.try_lock()
    assert not store.get("dead").try_lock()
    looker.remove()


def test_an_old_entry_does_not_remove_its_successor(store: Store) -> None:
    first = store.reserve("same")
    os.rename(first.directory, f"{store.root}/trash/gone")
    second = store.reserve("same")
    first.remove()
    assert second.exists()
    assert second.owner_alive()
    second.remove()


def test_get_by_prefix(store: Store) -> None:
    entries = [store.reserve(name) for name in ("calm-fox", "calm-owl", "calm", "bold-elk")]
    assert store.get("calm").id == "calm"
    assert store.get("bo").id == "bold-elk"
    with pytest.raises(NotFoundError, match="several") as caught:
        store.get("calm-")
    assert "calm-fox, calm-owl" in str(caught.value.hint)
    with pytest.raises(NotFoundError) as caught:
        store.get("calm-wol")
    assert "calm-owl" in str(caught.value.hint)
    with pytest.raises(NotFoundError) as caught:
        store.get("")
    assert "bold-elk" in str(caught.value.hint)
    assert [entry.id for entry in store.list()] == ["bold-elk", "calm", "calm-fox", "calm-owl"]
    for entry in entries:
        entry.remove()


def test_strangers_in_the_directory_are_no_containers(store: Store, tmp_path: Path) -> None:
    store.reserve("real").remove()
    containers = tmp_path / "state" / "containers"
    (containers / "link").symlink_to(tmp_path)
    (containers / "file").write_text("")
    (containers / ".hidden").mkdir()
    assert store.list() == ()
    for name in ("link", "file"):
        with pytest.raises(StateError):
            store.reserve(name)
    assert not (tmp_path / "lock").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100000,
        b'{"version":1,"id":"other"}',
        b'{"id":"x"}',
        b'{"id":"x","version":2}',
        b"null",
    ],
)
def test_a_damaged_record(store: Store, content: bytes) -> None:
    entry = store.reserve("x")
    with open(f"{entry.directory}/record.json", "wb") as file:
        file.write(content)
    with pytest.raises(StateError, match="damaged") as caught:
        entry.read_record()
    assert caught.value.hint is not None
    entry.remove()


def test_a_record_that_is_no_file(store: Store) -> None:
    entry = store.reserve("x")
    with pytest.raises(NotFoundError, match="no record"):
        entry.read_record()
    os.mkfifo(f"{entry.directory}/record.json")
    with pytest.raises(StateError, match="damaged"):
        entry.read_record()
    os.unlink(f"{entry.directory}/record.json")
    os.symlink("/etc/passwd", f"{entry.directory}/record.json")
    with pytest.raises(StateError):
        entry.read_record()
    entry.remove()
