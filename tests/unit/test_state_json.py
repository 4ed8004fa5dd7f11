"""The small JSON writer agrees with the json module, and journals outlive torn lines."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolate.errors import StateError
from isolate.state.journal import Journal
from isolate.state.json_lines import dumps, loads

if TYPE_CHECKING:
    from pathlib import Path

_TEXTS = st.text() | st.binary(max_size=20).map(os.fsdecode)
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXTS
)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner) | st.dictionaries(_TEXTS, inner), max_leaves=20
)


@given(_VALUES)
def test_the_json_module_reads_what_we_write(value: object) -> None:
    text = dumps(value)
    assert "\n" not in text
    assert text.isascii()
    assert json.loads(text) == value
    assert loads(text.encode()) == value


def test_tuples_are_lists() -> None:
    assert dumps((1, (2.5, "x"))) == '[1,[2.5,"x"]]'


@pytest.mark.parametrize("value", [b"x", {1: 2}, {"a": {3}}, object()])
def test_what_is_no_plain_data(value: object) -> None:
    with pytest.raises(TypeError):
        dumps(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_json_cannot_hold(value: float) -> None:
    with pytest.raises(ValueError, match="can't hold"):
        dumps([value])


def test_depth_is_no_traceback() -> None:
    with pytest.raises(ValueError, match="deep"):
        loads(b"[" * 200_000 + b"]" * 200_000)


def test_a_journal_gives_back_what_was_recorded(tmp_path: Path) -> None:
    journal = Journal(f"{tmp_path}/journal")
    assert journal.entries() == []
    journal.record("tree", path="/a b\n\udcff")
    journal.record("process", pid=1, start_time=2)
    assert journal.entries() == [
        {"kind": "tree", "path": "/a b\n\udcff"},
        {"kind": "process", "pid": 1, "start_time": 2},
    ]
    assert journal.directory == str(tmp_path)
    assert os.stat(journal.path).st_mode & 0o777 == 0o600


def test_every_torn_end_leaves_the_whole_entries(tmp_path: Path) -> None:
    journal = Journal(f"{tmp_path}/journal")
    journal.record("file", path="/one")
    first = os.path.getsize(journal.path)
    journal.record("file", path="/two")
    whole = (tmp_path / "journal").read_bytes()
    for length in range(first, len(whole)):
        (tmp_path / "journal").write_bytes(whole[:length])
        assert journal.entries() == [{"kind": "file", "path": "/one"}]


def test_damaged_lines_are_told_apart_from_others(tmp_path: Path) -> None:
    journal = Journal(f"{tmp_path}/journal")
    (tmp_path / "journal").write_bytes(b'\0\0\0\n[1]\n{"kind": 3}\n\xff\n{"kind":"file"}\n')
    assert [entry["kind"] for entry in journal.entries()] == ["", "", "", "", "file"]


def test_a_journal_is_not_read_or_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "journal").symlink_to("elsewhere")
    with pytest.raises(StateError):
        Journal(f"{tmp_path}/journal").record("file", path="/x")
    with pytest.raises(StateError):
        Journal(f"{tmp_path}/journal").entries()
    assert (tmp_path / "elsewhere").read_text() == ""
