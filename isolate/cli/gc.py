"""`isolate gc`."""

from __future__ import annotations

from isolate.cli.app import JsonOption, RootOption, app
from isolate.cli.output import print_json
from isolate.cli.run import printable
from isolate.errors import StateError


@app.command()
def gc(*, json: JsonOption = False, root: RootOption = None) -> None:
    """Remove what killed runs left: processes, cgroups, mounts, links, files, stale caches."""
    from isolate import rootfs
    from isolate.state import Store, state_root
    from isolate.state.gc import collect

    collected = collect(Store(state_root(root)))
    caches = rootfs.gc()
    failures = [f"{row.id}: {failure}" for row in collected for failure in row.failures]
    if json:
        print_json({"containers": [row.id for row in collected], "caches": caches, "failures": failures})
    else:
        for row in collected:
            print(printable(f"removed container {row.id}"))
        for path in caches:
            print(printable(f"removed {path}"))
    if failures:
        raise StateError("; ".join(failures), hint="run it as the user whose containers these were")
