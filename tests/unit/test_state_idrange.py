"""Ranges of user ids: each container its own."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from isolate.errors import StateError
from isolate.state import idrange
from isolate.state.gc import collect
from isolate.state.store import Store
from tests.unit.test_state_store import code_of, in_child

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"{tmp_path}/state")


def test_the_ranges_are_where_the_documents_say() -> None:
    assert idrange.FIRST >= 524288
    assert idrange.LAST <= 1879048191
    assert idrange.FIRST > 600100000
    assert idrange.FIRST % idrange.SIZE == 0
    assert idrange.SLOTS == 12288


def test_claims_differ_and_come_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idrange, "SLOTS", 3)
    entries = [store.reserve(name) for name in "abcd"]
    firsts = [idrange.claim(entry, ()) for entry in entries[:3]]
    assert sorted(firsts) == [idrange.FIRST + slot * 65536 for slot in range(3)]
    with pytest.raises(StateError, match="no user id range"):
        idrange.claim(store.entry("d"), ())
    idrange.release(store, "b", firsts[0])  # a's
    with pytest.raises(StateError):
        idrange.claim(store.entry("d"), ())
    idrange.release(store, "a", firsts[0])
    assert idrange.claim(store.entry("d"), ()) == firsts[0]
    for entry in entries:
        entry.remove()
    assert collect(store).problems == []
    assert os.listdir(f"{store.root}/ranges") == []


def test_a_stale_range_is_taken_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idrange, "SLOTS", 1)
    entry = store.reserve("old")
    idrange.claim(store.entry("old"), ())
    entry.remove()
    entry = store.reserve("new")
    assert idrange.claim(store.entry("new"), ()) == idrange.FIRST
    assert {"kind": "idrange", "first": idrange.FIRST} in entry.journal.entries()
    entry.remove()


def test_subordinate_ranges_are_kept_clear_of(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idrange, "SLOTS", 4)
    first = idrange.FIRST
    file = tmp_path / "subuid"
    file.write_text(
        f"a:100000:65536\nb:{first - 10}:11\nc:{first + 65536 + 5}:65536\nbad\nd:x:1\ne:{first}:0\n"
    )
    entry = store.reserve("x")
    assert idrange.claim(store.entry("x"), (str(file), f"{tmp_path}/none")) == first + 3 * 65536
    entry.remove()


@pytest.mark.parametrize("first", [0, -1, idrange.FIRST + 1, idrange.LAST + 1, 2**63])
def test_no_range_begins_there(store: Store, first: int) -> None:
    idrange.release(store, "x", first)
    assert not os.path.exists(store.root)


def test_processes_never_share(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idrange, "SLOTS", 40)

    def work() -> int:
        for number in range(5):
            entry = store.reserve(f"{os.getpid()}-{number}")
            os.write(out, idrange.claim(entry, ()).to_bytes(8, "little"))
        signal.pause()
        return 0

    results, out = os.pipe()
    children = [in_child(work) for _ in range(8)]
    found = [os.read(results, 8) for _ in range(40)]
    assert len(set(found)) == 40
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        code_of(pid)
    os.close(results)
    os.close(out)
    report = collect(store)
    assert len(report.collected) == 40
    assert os.listdir(f"{store.root}/ranges") == []
