"""`isolate start`, `stop`, `pause`, `resume` and `wait`."""

from __future__ import annotations

from typing import Annotated

import typer

from isolate.cli.app import IdsArgument, RootOption, app


@app.command()
def start(ids: IdsArgument, *, root: RootOption = None) -> None:
    """Execute the programs of created or stopped containers."""
    from isolate.runtime.stores import open_store
    from isolate.supervisor import control

    store = open_store(root)
    for id in ids:
        control.start(store.get(id))


@app.command()
def stop(
    ids: IdsArgument,
    *,
    patience: Annotated[
        float, typer.Option("--time", "-t", help="Seconds before SIGKILL.", min=0)
    ] = 10.0,
    root: RootOption = None,
) -> None:
    """Stop containers: SIGTERM, later SIGKILL. A restart policy doesn't run them again."""
    from isolate.runtime.stores import open_store
    from isolate.supervisor import control

    store = open_store(root)
    for id in ids:
        control.stop(store.get(id), patience)


@app.command()
def pause(ids: IdsArgument, *, root: RootOption = None) -> None:
    """Stop every process of containers, unnoticed by them."""
    from isolate.runtime import abilities
    from isolate.runtime.stores import open_store

    store = open_store(root)
    for id in ids:
        abilities.pause(store.get(id))


@app.command()
def resume(ids: IdsArgument, *, root: RootOption = None) -> None:
    """Let paused containers go on."""
    from isolate.runtime import abilities
    from isolate.runtime.stores import open_store

    store = open_store(root)
    for id in ids:
        abilities.resume(store.get(id))


@app.command()
def wait(ids: IdsArgument, *, root: RootOption = None) -> None:
    """Wait until containers have ended; print the exit code of each, or `unknown`."""
    from isolate.runtime.stores import open_store
    from isolate.supervisor import control

    store = open_store(root)
    for id in ids:
        code = control.wait(store.get(id))
        print("unknown" if code is None else code, flush=True)
