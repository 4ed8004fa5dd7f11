"""The events of detached containers: one JSON line each in the state directory."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS = "events"
_LARGEST = 4 << 20  # bytes; then the file becomes `events.1`, and that is forgotten
_PAUSE = 0.1


def append(root: str, kind: str, container: str, **details: object) -> None:
    """Tell that something happened. A full disk loses the event, not the container."""
    path = f"{root}/{EVENTS}"
    row = {"time": time.time(), "event": kind, "id": container, **details}
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
        try:
            os.write(descriptor, json.dumps(row).encode("ascii") + b"\n")
            if os.fstat(descriptor).st_size > _LARGEST:
                os.rename(path, f"{path}.1")
        finally:
            os.close(descriptor)
    except OSError:
        return


def read(root: str, *, follow: bool = False) -> Iterator[dict[str, Any]]:
    """The events so far, the oldest first; with `follow` those to come too, for ever."""
    yield from _rows(f"{root}/{EVENTS}.1")
    while True:
        try:
            file = open(f"{root}/{EVENTS}", "rb")  # noqa: SIM115 - closed below, in every case
        except FileNotFoundError:
            if not follow:
                return
            time.sleep(_PAUSE)
            continue
        with file:
            yield from _to_the_end(f"{root}/{EVENTS}", file, follow=follow)
        if not follow:
            return


def _to_the_end(path: str, file: Any, *, follow: bool) -> Iterator[dict[str, Any]]:
    """The rows of an open file, until another one has its name."""
    rest = b""
    while True:
        replaced = follow and not _has_name(path, file)
        data = file.read(1 << 16)
        *lines, rest = (rest + data).split(b"\n")
        yield from map(json.loads, lines)
        if not data:
            if not follow or replaced:
                return
            time.sleep(_PAUSE)


def _has_name(path: str, file: Any) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _rows(path: str) -> Iterator[dict[str, Any]]:
    try:
        with open(path, "rb") as file:
            yield from map(json.loads, file)
    except FileNotFoundError:
        return
