"""Killed at any call to the kernel, a container leaves nothing behind that gc doesn't remove."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from isolate.state import idrange
from isolate.state.gc import collect
from isolate.state.store import Store
from isolate.state.undo import undo
from tests.unit.test_state_store import code_of, in_child

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CALLS = "open close write pwrite mkdir rename symlink unlink rmdir ftruncate lstat".split()


def die_at(number: int) -> None:
    """From now on, die by SIGKILL before the call of that number (from 0)."""
    left = [number]

    def deadly(call: Callable[..., object]) -> Callable[..., object]:
        def counted(*args: object, **options: object) -> object:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return call(*args, **options)

        return counted

    for name in CALLS:
        setattr(os, name, deadly(getattr(os, name)))


def live(store: Store, cache: Path) -> int:
    """Reserve, record, make things, undo them, remove."""
    entry = store.reserve("crashed")
    entry.write_record({"backend": "none", "handle": {}})
    idrange.claim(entry, ())
    entry.journal.record("file", path=f"{cache}/file")
    os.close(os.open(f"{cache}/file", os.O_CREAT | os.O_WRONLY))
    entry.journal.record("tree", path=f"{cache}/tree")
    os.mkdir(f"{cache}/tree")
    os.mkdir(f"{cache}/tree/sub")
    entry.write_record({"backend": "none", "handle": {"pid": 1}})
    assert undo(entry.journal, within=[str(cache)]).problems == []
    entry.remove()
    return 0


def test_killed_at_every_call(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    deaths = 0
    for number in range(1000):
        store = Store(f"{tmp_path}/state{number}")

        def work(number: int = number, store: Store = store) -> int:
            die_at(number)
            return live(store, cache)

        code = code_of(in_child(work))
        if code == 0:
            break
        assert code == -signal.SIGKILL
        deaths += 1
        report = collect(store, within=[str(cache)])
        assert report.problems == [], f"killed at call {number}"
        if deaths % 2:  # the next creation of that id works with gc and without
            store.reserve("crashed").remove()
        assert remains(store) == [], f"killed at call {number}"
        assert list(cache.iterdir()) == [], f"killed at call {number}"
    assert deaths > 40


def test_created_again_at_every_call(tmp_path: Path) -> None:
    """As `create` after a crash does it: no gc in between."""
    state = Store(f"{tmp_path}/state")
    cache = tmp_path / "state" / "cache"
    state.reserve("crashed").remove()
    cache.mkdir()
    for number in range(1000):

        def work(number: int = number) -> int:
            die_at(number)
            return live(state, cache)

        if code_of(in_child(work)) == 0:
            break
        state.reserve("crashed").remove()
        assert list(cache.iterdir()) == [], f"killed at call {number}"
    assert number > 40
    assert collect(state).problems == []
    assert remains(state) == []


def remains(store: Store) -> list[str]:
    return [
        f"{directory}/{name}"
        for directory in ("containers", "trash", "ranges")
        if os.path.isdir(f"{store.root}/{directory}")
        for name in os.listdir(f"{store.root}/{directory}")
    ]
