"""`isolate run` and `isolate explain` on the full command line, made from the table of options."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isolate.cli import options
from isolate.cli import run as hot
from isolate.cli.app import app
from isolate.cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Callable


def _run(values: dict[str, Any]) -> int:
    return hot.command(values)


def _create(values: dict[str, Any]) -> int:
    from isolate.runtime.stores import open_store
    from isolate.supervisor.launch import create

    spec, backend = hot.prepare(values)
    print(create(open_store(values.get("root")), backend, spec, values))
    return 0


def _explain(values: dict[str, Any]) -> int:
    spec, backend = hot.prepare(values)
    plan = backend.explain(spec)
    if values.get("json"):
        print_json({"unsupported": list(plan.unsupported), **plan.to_dict()})
    else:
        hot.print_plan(plan, sys.stdout)
    return 0


def _command(act: Callable[[dict[str, Any]], int], rows: tuple[options.Option, ...]) -> Any:
    """A function with the signature that typer reads: one parameter a row, then the command."""

    def command(**values: Any) -> int:
        given = {key: value for key, value in values.items() if value not in (None, [])}
        return act({**given, "args": given.get("args", [])})

    parameters = [_parameter(row) for row in rows]
    words = Annotated[list[str] | None, typer.Argument(metavar="-- CMD...", help="The program.")]
    parameters.append(
        inspect.Parameter("args", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=words)
    )
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # typer's way in
    command.__annotations__ = {made.name: made.annotation for made in parameters}
    return command


def _parameter(row: options.Option) -> inspect.Parameter:
    flags = list(row.flags)
    if row.kind == options.SWITCH:
        flags[0] = f"{flags[0]}/{row.negative}" if row.negative else flags[0]
        option = typer.Option(*flags, help=row.help, show_default=False)
        kind: Any = bool | None
    else:
        option = typer.Option(*flags, help=row.help, metavar=row.metavar, show_default=False)
        kind = list[str] | None if row.kind == options.LIST else str | None
    return inspect.Parameter(
        row.dest, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
    )


_SETTINGS = {"allow_interspersed_args": False}  # options end where the command begins


def register(
    name: str,
    summary: str,
    act: Callable[[dict[str, Any]], int],
    rows: tuple[options.Option, ...],
) -> None:
    """Put a verb that takes the options of `run` on the full command line."""
    command = app.command(name, help=summary, context_settings=_SETTINGS)
    command(_command(act, rows))


register("run", "Run a program in a container.", _run, options.RUN_OPTIONS)
register(
    "create",
    "Make a container in the background that `start` starts; print its id.",
    _create,
    options.CREATE_OPTIONS,
)
register("explain", "Say what `run` would do, step by step.", _explain, options.EXPLAIN_OPTIONS)
