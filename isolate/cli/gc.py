"""`isolate gc`."""

from __future__ import annotations

from isolate.cli.app import JsonOption, RootOption, app
from isolate.cli.output import print_json
from isolate.cli.run import printable
from isolate.errors import StateError


@app.command()
def gc(*, json: JsonOption = False, root: RootOption = None) -> None:
    """Remove what killed runs left: processes, cgroups, mounts, links, files, stale caches."""
    from isolate.rootfs.gc import gc as collect_layers
    from isolate.runtime.collect import collect
    from isolate.runtime.stores import open_store

    report = collect(open_store(root))
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
