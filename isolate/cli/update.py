"""`isolate update`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from isolate.cli.app import IdsArgument, RootOption, app
from isolate.errors import SpecError


@app.command()
def update(
    ids: IdsArgument,
    *,
    memory: Annotated[
        str | None, typer.Option("--memory", "-m", metavar="SIZE", help="Memory limit.")
    ] = None,
    memory_swap: Annotated[
        str | None, typer.Option("--memory-swap", metavar="SIZE", help="Swap beside it.")
    ] = None,
    cpus: Annotated[
        str | None, typer.Option("--cpus", metavar="N", help="CPUs' worth of time.")
    ] = None,
    cpu_weight: Annotated[
        str | None, typer.Option("--cpu-weight", metavar="1..10000", help="CPU share.")
    ] = None,
    cpuset: Annotated[str | None, typer.Option("--cpuset", metavar="LIST", help="CPUs.")] = None,
    pids: Annotated[
        str | None, typer.Option("--pids", metavar="N", help="Processes and threads.")
    ] = None,
    root: RootOption = None,
) -> None:
    """Change limits of containers that run."""
    from isolate.cli.flags import document
    from isolate.runtime.stores import open_store
    from isolate.spec.model import Limits
    from isolate.supervisor import control

    said: dict[str, Any] = {
        "memory": memory,
        "memory_swap": memory_swap,
        "cpus": cpus,
        "cpu_weight": cpu_weight,
        "cpuset": cpuset,
        "pids": pids,
    }
    asked = document({name: value for name, value in said.items() if value is not None}, "")
    limits = asked.get("limits", {})
    if not limits:
        raise SpecError("update", "no limit is given", hint="as in --memory 64M")
    store = open_store(root)
    for id in ids:
        control.update(store.get(id), Limits.build(limits, "limits"))
