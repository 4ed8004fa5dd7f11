"""The full command line, by typer: every verb, its help and its errors."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import click
import typer
from typer.core import TyperGroup

from isolate.cli import options
from isolate.cli import run as hot
from isolate.errors import EXIT_FAILURE, IsolateError

RootOption = Annotated[
    str | None, typer.Option("--root", help="State directory; also ISOLATE_ROOT.", metavar="DIR")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
IdArgument = Annotated[str, typer.Argument(help="The container's id, or a unique beginning of it.")]
IdsArgument = Annotated[list[str], typer.Argument(help="Container ids.")]


class _Group(TyperGroup):
    """Typer's group, with `run` built from its own table of options."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["run", "explain", *[n for n in super().list_commands(ctx) if n not in ("run", "explain")]]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "run":
            return _run_command("run", "Run a program in a container.", hot.command)
        if cmd_name == "explain":
            return _run_command("explain", "Say what `run` would do, step by step.", explain)
        return super().get_command(ctx, cmd_name)


app = typer.Typer(
    cls=_Group,
    help="One container spec for every isolation technology.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _run_command(name: str, text: str, act: Any) -> click.Command:
    """The click command of the table: the same options as the fast parser's."""

    def callback(args: tuple[str, ...], **values: Any) -> int:
        given = {key: value for key, value in values.items() if value not in (None, ())}
        lists = {key: list(value) for key, value in given.items() if isinstance(value, tuple)}
        status: int = act({**given, **lists, "args": list(args)})
        return status

    parameters: list[click.Parameter] = [_click_option(option) for option in options.RUN_OPTIONS]
    parameters.append(click.Argument(["args"], nargs=-1, type=click.UNPROCESSED, metavar="-- CMD..."))
    return click.Command(
        name,
        help=text,
        params=parameters,
        callback=callback,
        context_settings={"allow_interspersed_args": False},
    )


def _click_option(option: options.Option) -> click.Option:
    if option.kind == options.SWITCH:
        first = f"{option.flags[0]}/{option.negative}" if option.negative else option.flags[0]
        return click.Option(
            [first, *option.flags[1:], option.dest],
            is_flag=True,
            default=None,
            help=option.help,
        )
    return click.Option(
        [*option.flags, option.dest],
        metavar=option.metavar,
        multiple=option.kind == options.LIST,
        help=option.help,
    )


def explain(values: dict[str, Any]) -> int:
    """Print the plan of `run`."""
    spec, backend = hot.prepare(values)
    hot.print_plan(backend.explain(spec), sys.stdout)
    return 0


def main(words: list[str]) -> int:
    """Run the full command line; expected failures are two lines and an exit status."""
    from isolate.cli import verbs  # noqa: F401 - registers the verbs on `app`

    command = typer.main.get_command(app)
    run_verb = words[:1] == ["run"]
    try:
        status = command.main(words, prog_name="isolate", standalone_mode=False)
    except IsolateError as error:
        hot.say_error(error.message, error.hint)
        return error.exit_status if run_verb else 1
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stdout.write(f"{error.format_message()}\n")
        return 0
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else "isolate"
        hot.say_error(error.format_message(), f"see `{where} --help`")
        return EXIT_FAILURE if run_verb else 2
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        return 141
    return status if isinstance(status, int) else 0


__all__ = ["IdArgument", "IdsArgument", "JsonOption", "RootOption", "app", "main"]
