"""A container's log as its readers see it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from isolate.supervisor import logs

if TYPE_CHECKING:
    from pathlib import Path


def _append(directory: Path, *texts: str) -> None:
    with (directory / logs.LOG).open("a") as file:
        for text in texts:
            file.write(json.dumps({"stream": "stdout", "text": text}) + "\n")


def _texts(directory: Path, tail: int | None) -> list[str]:
    return [row["text"] for row in logs.read(str(directory), tail=tail)]


def test_the_last_entries(tmp_path: Path) -> None:
    _append(tmp_path, "one", "two", "three")
    assert _texts(tmp_path, None) == ["one", "two", "three"]
    assert _texts(tmp_path, 2) == ["two", "three"]
    assert _texts(tmp_path, 0) == []


def test_nothing_between_asking_and_reading_is_missed(tmp_path: Path) -> None:
    """Who attaches has the end of the log first, and what comes from then on in any case."""
    _append(tmp_path, "before")
    rows = logs.read(str(tmp_path), tail=0)
    _append(tmp_path, "since")
    assert [row["text"] for row in rows] == ["since"]
