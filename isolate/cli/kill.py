"""`isolate kill`."""

from __future__ import annotations

from typing import Annotated

import typer

from isolate.cli.app import IdsArgument, RootOption, app


@app.command()
def kill(
    ids: IdsArgument,
    *,
    signal: Annotated[str, typer.Option("--signal", "-s", help="Name or number.")] = "TERM",
    everyone: Annotated[
        bool, typer.Option("--all", "-a", help="Every process of the container.")
    ] = False,
    root: RootOption = None,
) -> None:
    """Send a signal to containers."""
    from isolate.runtime.control import kill as send
    from isolate.runtime.control import signal_number
    from isolate.runtime.stores import open_store

    number = signal_number(signal)
    store = open_store(root)
    for id in ids:
        send(store.get(id), number, everyone=everyone)
