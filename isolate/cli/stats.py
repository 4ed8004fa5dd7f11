"""`isolate stats` and `isolate top`: what containers use, and their processes, live."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isolate.cli.app import JsonOption, RootOption, app
from isolate.cli.output import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from isolate.state import Store

_CLEAR = "\x1b[H\x1b[2J"
_SHORT = 0.25  # seconds between the two samples of a single look

NoStreamOption = Annotated[bool, typer.Option("--no-stream", help="One look, no refreshing.")]
IntervalOption = Annotated[float, typer.Option("--interval", help="Seconds.", min=0.1)]


@app.command()
def stats(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Container ids; none said: all.", metavar="[ID...]")
    ] = None,
    *,
    no_stream: NoStreamOption = False,
    interval: IntervalOption = 1.0,
    json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Show what containers use: CPU, memory, tasks, io, pressure."""
    from isolate.runtime.sampling import Sampler
    from isolate.runtime.stores import open_store

    sampler = Sampler(_entries(open_store(root), ids or []))

    def show() -> None:
        rows = sampler.take()
        if json:
            print_json(rows)
        else:
            _table(rows)

    _repeat(sampler.take, show, interval, live=not no_stream and not json)


@app.command()
def top(
    id: Annotated[str, typer.Argument(metavar="ID", help="Container id, or unique beginning.")],
    *,
    no_stream: NoStreamOption = False,
    interval: IntervalOption = 1.0,
    json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Show what a container uses, and its processes, the busiest first."""
    from isolate.runtime.sampling import Sampler
    from isolate.runtime.stores import open_store

    entry = open_store(root).get(id)
    sampler = Sampler([entry])

    def sample() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        return sampler.take(), sampler.processes(entry)

    def show() -> None:
        rows, processes = sample()
        if json:
            print_json({"container": rows[0] if rows else None, "processes": processes})
            return
        _table(rows)
        print()
        print_table(
            ["PID", "USER", "STATE", "CPU %", "MEMORY", "COMMAND"],
            [
                [
                    row["pid"],
                    row["user"],
                    row["state"],
                    _said(row["cpu_percent"]),
                    _size(row["memory_bytes"]),
                    row["command"][:80],
                ]
                for row in processes
            ],
        )

    _repeat(sample, show, interval, live=not no_stream and not json)


def _entries(store: Store, ids: list[str]) -> list[Any]:
    return [store.get(id) for id in ids] if ids else list(store.list())


def _repeat(
    sample: Callable[[], object], show: Callable[[], None], interval: float, *, live: bool
) -> None:
    """One look, or on a terminal one after the other, until Ctrl-C."""
    sample()  # rates need one before
    if not live or not sys.stdout.isatty():
        time.sleep(_SHORT)
        show()
        return
    while True:
        time.sleep(interval)
        sys.stdout.write(_CLEAR)
        show()
        sys.stdout.flush()


def _table(rows: list[dict[str, Any]]) -> None:
    print_table(
        ["ID", "CPU %", "MEMORY", "PEAK", "TASKS", "READ", "WRITTEN", "PRESSURE"],
        [
            [
                row["id"],
                _said(row["cpu_percent"]),
                _size(row["memory_bytes"]),
                _size(row["memory_peak_bytes"]),
                _said(row["pids"]),
                _size(row["io_read_bytes"]),
                _size(row["io_write_bytes"]),
                " ".join(f"{name}={value:.2f}s" for name, value in row["pressure"].items()) or "-",
            ]
            for row in rows
        ],
    )


def _said(value: object) -> str:
    return "-" if value is None else str(value)


def _size(value: int | None) -> str:
    if value is None:
        return "-"
    amount = float(value)
    for unit in ("B", "K", "M", "G"):
        if amount < 1024:
            return f"{amount:.0f}{unit}" if unit == "B" else f"{amount:.1f}{unit}"
        amount /= 1024
    return f"{amount:.1f}T"
