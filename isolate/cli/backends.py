"""`isolate backends`."""

from __future__ import annotations

from typing import Any

from isolate.cli.app import JsonOption, app
from isolate.cli.output import print_json, print_table
from isolate.errors import IsolateError
from isolate.plugins import catalogue, load


@app.command()
def backends(*, json: JsonOption = False) -> None:
    """List the backends: which work here, what each promises, which are broken and why."""
    rows = [survey(row) for row in catalogue()]
    if json:
        print_json(rows)
        return
    print_table(
        ["NAME", "DISTRIBUTION", "STATE", "FEATURES", "WHY NOT"],
        [
            [
                row["name"],
                f"{row['distribution']} {row['version']}",
                "usable" if row["usable"] else "broken" if row["broken"] else "unusable",
                len(row["features"]),
                "; ".join(problem["what"] for problem in row["problems"]),
            ]
            for row in rows
        ],
    )


def survey(row: Any) -> dict[str, Any]:
    """What a row of the catalogue is worth on this host, as plain data."""
    found: dict[str, Any] = {
        "name": row.name,
        "distribution": row.distribution,
        "version": row.version,
        "summary": "",
        "usable": False,
        "broken": row.problem is not None,
        "problems": [],
        "features": [],
    }
    if row.problem is not None:
        found["problems"] = [{"what": row.problem, "remedy": "repair or remove the plugin"}]
        return found
    try:
        backend = load(row.name)
        problems = backend.check()
        found["summary"] = backend.summary
        found["problems"] = [{"what": found.what, "remedy": found.remedy} for found in problems]
        found["usable"] = not problems
        found["features"] = sorted(backend.capabilities()) if not problems else []
    except IsolateError as error:
        found["broken"] = True
        found["problems"] = [{"what": error.message, "remedy": error.hint or ""}]
    except Exception as error:  # noqa: BLE001 - a third party's bug must not break the list
        found["broken"] = True
        found["usable"] = False
        found["problems"] = [
            {"what": f"{type(error).__name__}: {error}", "remedy": "a bug of the plugin: report it"}
        ]
    return found
