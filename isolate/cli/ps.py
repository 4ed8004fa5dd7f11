"""`isolate ps`."""

from __future__ import annotations

import time
from typing import Any

from isolate.cli.app import JsonOption, RootOption, app
from isolate.cli.output import print_json, print_table


@app.command()
def ps(*, json: JsonOption = False, root: RootOption = None) -> None:
    """List the containers of the state directory."""
    from isolate.runtime.inspect import containers
    from isolate.runtime.stores import open_store
    from isolate.supervisor.client import ensure

    store = open_store(root)
    ensure(store)
    rows = containers(store)
    if json:
        print_json([_short(row) for row in rows])
        return
    print_table(
        ["ID", "BACKEND", "STATUS", "PID", "AGE", "COMMAND"],
        [
            [
                row["id"],
                row.get("backend") or "-",
                row["status"],
                _pid(row) or "-",
                _age(row),
                " ".join(_command(row))[:60],
            ]
            for row in rows
        ],
    )


def _short(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "backend": row.get("backend"),
        "status": row["status"],
        "pid": _pid(row),
        "created": row.get("created"),
        "command": _command(row),
    }


def _pid(row: dict[str, Any]) -> int | None:
    return (row.get("handle") or {}).get("pid")


def _command(row: dict[str, Any]) -> list[str]:
    command: list[str] = row.get("spec", {}).get("process", {}).get("args", [])
    return command


def _age(row: dict[str, Any]) -> str:
    if "created" not in row:
        return "-"
    seconds = max(0, int(time.time() - row["created"]))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
