"""`isolate plugin`: a package for a backend of one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from isolate.cli.app import app
from isolate.spec.record import printable

plugin = typer.Typer(help="Make a backend of your own.", no_args_is_help=True)
app.add_typer(plugin, name="plugin")


@plugin.callback()
def group() -> None:
    """Make a backend of your own."""


@plugin.command()
def new(
    name: Annotated[str, typer.Argument(help="The new backend's name.", metavar="NAME")],
    *,
    directory: Annotated[
        str | None,
        typer.Option(
            help="Where to write it; isolate-backend-NAME here, where nothing is said.",
            metavar="DIR",
        ),
    ] = None,
) -> None:
    """Write a package with a small working backend, and the contract suite as its tests."""
    import shlex

    from isolate.cli.scaffold import write

    target, files = write(name, directory)
    for file in files:
        typer.echo(printable(f"{target}/{file}"))
    source = shlex.quote(printable(f"{target}[dev]"))
    typer.echo(f"\nNext: pip install -e {source} && isolate verify {name}")
