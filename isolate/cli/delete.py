"""`isolate delete`."""

from __future__ import annotations

from typing import Annotated

import typer

from isolate.cli.app import IdsArgument, RootOption, app


@app.command()
def delete(
    ids: IdsArgument,
    *,
    force: Annotated[bool, typer.Option("--force", "-f", help="Kill a running one first.")] = False,
    root: RootOption = None,
) -> None:
    """Delete containers and all that they left."""
    from isolate.runtime.stores import open_store
    from isolate.supervisor.control import delete as remove

    store = open_store(root)
    for id in ids:
        remove(store.get(id), force=force)
