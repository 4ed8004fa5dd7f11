"""`isolate logs`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isolate.cli.app import RootOption, app

if TYPE_CHECKING:
    from collections.abc import Callable


@app.command()
def logs(
    id: Annotated[str, typer.Argument(metavar="ID", help="Container id, or unique beginning.")],
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the program ends.")] = False,
    tail: Annotated[int | None, typer.Option("--tail", help="Last entries only.", min=0)] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="Time before lines.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The entries as they are kept.")] = False,
    root: RootOption = None,
) -> None:
    """Print what a detached container has written, each stream to its own."""
    from isolate.errors import UnsupportedError
    from isolate.runtime.stores import open_store
    from isolate.supervisor import client
    from isolate.supervisor import logs as kept

    store = open_store(root)
    entry = store.get(id)
    if not entry.kept():
        raise UnsupportedError(
            f"container {entry.id} has no log", hint="only detached containers have one"
        )
    client.ensure(store)
    show = _as_json if json else _Lines(timestamps=timestamps).show
    going_on = _going_on(store, entry, follow=follow)
    for row in kept.read(entry.directory, follow=going_on, tail=tail):
        show(row)


def _going_on(store: Any, entry: Any, *, follow: bool) -> Callable[[], bool]:
    """Whether more may come: while the container hasn't ended. Restarts a killed supervisor."""
    import time

    from isolate.runtime import exits
    from isolate.supervisor import client

    looked = time.monotonic()

    def going_on() -> bool:
        nonlocal looked
        if not follow or not entry.exists() or exits.read(entry.directory) is not None:
            return False
        if time.monotonic() - looked > 0.5:
            looked = time.monotonic()
            client.ensure(store)
        return True

    return going_on


def _as_json(row: dict[str, Any]) -> None:
    import json

    sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
    sys.stdout.flush()


class _Lines:
    """Entries as the bytes that the program wrote."""

    def __init__(self, *, timestamps: bool) -> None:
        self._timestamps = timestamps
        self._at_start = {"stdout": True, "stderr": True}

    def show(self, row: dict[str, Any]) -> None:
        from isolate.supervisor.logs import data_of

        stream = str(row.get("stream"))
        sink = sys.stdout.buffer if stream == "stdout" else sys.stderr.buffer
        data = data_of(row)
        if self._timestamps:
            data = self._stamped(stream, str(row.get("time")).encode(), data)
        sink.write(data)
        sink.flush()

    def _stamped(self, stream: str, stamp: bytes, data: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        made = []
        for number, line in enumerate(lines):
            begins = number > 0 or self._at_start.get(stream, True)
            made.append(stamp + b" " + line if begins else line)
        self._at_start[stream] = data.endswith(b"\n")
        return b"".join(made)
