"""`isolate inspect`."""

from __future__ import annotations

from isolate.cli.app import IdsArgument, RootOption, app
from isolate.cli.output import print_json


@app.command()
def inspect(ids: IdsArgument, *, root: RootOption = None) -> None:
    """Print all that is recorded of containers, as a JSON list."""
    from isolate.runtime.inspect import describe
    from isolate.runtime.stores import open_store

    store = open_store(root)
    print_json([describe(store.get(id)) for id in ids])
