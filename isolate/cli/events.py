"""`isolate events`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from isolate.cli.app import RootOption, app


@app.command()
def events(
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Those to come, too.")] = False,
    root: RootOption = None,
) -> None:
    """Print what happened to detached containers, a JSON object a line."""
    import json

    from isolate.runtime.stores import open_store
    from isolate.supervisor import events as kept

    for row in kept.read(open_store(root).root, follow=follow):
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()
