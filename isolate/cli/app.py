"""The full command line, by typer: every verb, its help and its errors."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from isolate.cli import run as hot
from isolate.errors import EXIT_FAILURE, IsolateError, PluginError

RootOption = Annotated[
    str | None, typer.Option("--root", help="State directory; also ISOLATE_ROOT.", metavar="DIR")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
IdsArgument = Annotated[
    list[str], typer.Argument(help="Container ids, or unique beginnings.", metavar="ID...")
]

# Typer carries its own copy of click and exports no UsageError; BadParameter is derived from it.
_USAGE_ERROR = typer.BadParameter.__mro__[1]

app = typer.Typer(
    help="One container spec for every isolation technology.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main(words: list[str]) -> int:
    """Run the full command line; expected failures are two lines and an exit status."""
    from isolate.cli import verbs  # noqa: F401 - registers the verbs on `app`

    is_run = words[:1] == ["run"]
    try:
        _add_plugin_commands(words)
        status = app(words, prog_name="isolate", standalone_mode=False)
    except IsolateError as error:
        hot.say_error(error.message, error.hint)
        return error.exit_status if is_run else 1
    except typer.Exit as error:
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        sys.stdout = None  # nothing is left to flush to
        return 141
    except Exception as error:
        if isinstance(error, _USAGE_ERROR):
            return _usage(error, is_run=is_run)
        if not hot.say_used_up(error):
            raise  # a bug: let it be seen
        status = EXIT_FAILURE if is_run else 1
    return status if isinstance(status, int) else 0


def _add_plugin_commands(words: list[str]) -> None:
    """The verb of a plugin that is asked for; all of them where a list of verbs is.

    A verb of our own isn't looked up at all. Raises PluginError for the one that is asked for; a
    broken one in the list is told, and the list goes on.
    """
    from isolate.plugins import commands

    own = {
        command.name or command.callback.__name__
        for command in app.registered_commands
        if command.callback
    } | {group.name for group in app.registered_groups}
    verb = next((word for word in words if not word.startswith("-")), None)
    if verb in own:
        return
    for name in commands.names():
        if name in own or (verb in commands.names() and name != verb):
            continue
        try:
            app.command(name)(commands.load(name))
        except PluginError as error:
            if name == verb:
                raise
            hot.say_error(error.message, error.hint)


def _usage(error: Exception, *, is_run: bool) -> int:
    """A command line that can't be understood; without any word, its help was the answer."""
    context = getattr(error, "ctx", None)
    where = context.command_path if context is not None else "isolate"
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stdout.write(f"{text}\n")
        return 0
    hot.say_error(text, f"see `{where} --help`")
    return EXIT_FAILURE if is_run else 2
