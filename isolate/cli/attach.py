"""`isolate attach`: a detached container's streams at this terminal."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from isolate.cli.app import RootOption, app


@app.command()
def attach(
    id: Annotated[str, typer.Argument(metavar="ID", help="Container id, or unique beginning.")],
    *,
    no_stdin: Annotated[bool, typer.Option("--no-stdin", help="Show its output only.")] = False,
    root: RootOption = None,
) -> int:
    """Show a detached container's output from now on, and pass input; Ctrl-P Ctrl-Q detaches."""
    from isolate.runtime.stores import open_store
    from isolate.supervisor.attaching import Attached

    status = Attached(open_store(root).get(id), interactive=not no_stdin).run()
    if status is None:
        sys.stderr.write("detached\n")
        return 0
    return status
