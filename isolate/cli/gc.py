"""`isolate gc`."""

from __future__ import annotations

from typing import Annotated

import typer

from isolate.cli.app import JsonOption, RootOption, app
from isolate.cli.output import print_json
from isolate.errors import StateError
from isolate.spec.record import printable


@app.command()
def gc(
    *,
    stopped: Annotated[
        bool, typer.Option("--stopped", help="Stopped detached containers, too.")
    ] = False,
    json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Remove what killed runs left: processes, cgroups, mounts, links, files, stale caches."""
    from isolate.rootfs.gc import gc as collect_layers
    from isolate.runtime.collect import collect
    from isolate.runtime.stores import open_store
    from isolate.supervisor.client import ensure
    from isolate.supervisor.control import delete_stopped

    store = open_store(root)
    ensure(store)  # it holds the layers that detached containers use
    report = collect(store)
    report.collected += delete_stopped(store) if stopped else []
    caches = collect_layers()
    if json:
        print_json({"containers": report.collected, "caches": caches, "problems": report.problems})
    else:
        for name in report.collected:
            print(printable(f"removed container {name}"))
        for path in caches:
            print(printable(f"removed {path}"))
    if report.problems:
        raise StateError("; ".join(report.problems), hint="what is named here is kept: try again")
