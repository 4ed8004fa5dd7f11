"""`isolate cp`."""

from __future__ import annotations

from typing import Annotated

import typer

from isolate.cli.app import RootOption, app
from isolate.errors import SpecError


@app.command()
def cp(
    source: Annotated[str, typer.Argument(metavar="SRC", help="PATH, or ID:PATH inside.")],
    target: Annotated[str, typer.Argument(metavar="DST", help="The same; one has an ID.")],
    *,
    root: RootOption = None,
) -> None:
    """Copy a file or directory into a container that runs, or out of it."""
    from isolate.runtime import copying
    from isolate.runtime.stores import open_store

    store = open_store(root)
    outside, inside = _split(source), _split(target)
    if (outside is None) == (inside is None):
        raise SpecError("cp", "one of the two is ID:PATH", hint="isolate cp FILE ID:/tmp/")
    if inside is not None:
        copying.to_container(store.get(inside[0]), source, inside[1])
    elif outside is not None:
        copying.from_container(store.get(outside[0]), outside[1], target)


def _split(text: str) -> tuple[str, str] | None:
    """ID and path; None for a path of the host (one with a slash before any colon)."""
    name, colon, path = text.partition(":")
    return (name, path or "/") if colon and name and "/" not in name else None
