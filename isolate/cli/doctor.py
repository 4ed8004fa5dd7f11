"""`isolate doctor`: what this host has and lacks, and the remedy of each lack."""

from __future__ import annotations

from typing import Any

from isolate.cli.app import JsonOption, app
from isolate.cli.output import print_json, print_table


@app.command()
def doctor(*, json: JsonOption = False) -> None:
    """Say what this host offers, what is missing, and what to do about it."""
    from isolate.cli.backends import survey
    from isolate.plugins import catalogue
    from isolate.runtime.host import facts

    found = facts()
    rows = [survey(row) for row in catalogue()]
    if json:
        print_json({"host": found, "backends": rows})
        return
    print_table(
        ["HOST", "", "REMARK"], [[fact["name"], fact["value"], fact["remark"]] for fact in found]
    )
    print()
    print_table(["BACKEND", "STATE", "PROBLEM", "REMEDY"], _lines(rows))


def _lines(rows: list[dict[str, Any]]) -> list[list[str]]:
    lines = []
    for row in rows:
        if row["usable"]:
            lines.append([row["name"], "usable", "", ""])
        lines += [
            [row["name"], "unusable", problem["what"], problem["remedy"]]
            for problem in row["problems"]
        ]
    return lines
