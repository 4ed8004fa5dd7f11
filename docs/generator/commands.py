"""The page of the commands, from the command line itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from generator.markdown import cell, code, table
from isolate.cli import verbs  # noqa: F401 - registers the verbs
from isolate.cli.app import app
from isolate.cli.options import EXPLAIN_OPTIONS, RUN_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

_INTRODUCTION = """\
# Commands

`isolate COMMAND --help` prints the same. Containers are named by their id, or by a beginning of
it that no other has.

"""

_VARIABLES = """\
## Environment variables

| Variable | Meaning |
| --- | --- |
| `ISOLATE_BACKEND` | the backend of `run` and `explain` where `--backend` is not given |
| `ISOLATE_ROOT` | the state directory where `--root` is not given |
| `ISOLATE_CACHE` | the directory of built roots, unpacked archives and compiled filters |

The state directory is `/run/isolate` for root, `$XDG_RUNTIME_DIR/isolate` for others, and
`/tmp/isolate-UID` where that variable isn't set. It belongs to its user alone: one that others may
write to is refused.

## Forms of values

| Value | Form |
| --- | --- |
| `SIZE` | bytes, or with a binary unit: `65536`, `64K`, `1.5G`, `64MiB` |
| `--volume` | `SOURCE:TARGET[:ro,idmap]`; `idmap` maps file owners through the user map |
| `--mount` | `type=bind,source=...,target=...` and the other keys of [Mount](spec.md#mount) |
| `--tmpfs` | `TARGET[:size=SIZE,mode=OCTAL]` |
| `--io-max` | `DEVICE:rbps=SIZE,wbps=SIZE,riops=N,wiops=N`, at least one of them |
| `--rlimit` | `NAME=SOFT[:HARD]`, each a number or `unlimited` |
| `--device` | `PATH[:TARGET][:ACCESS]`; ACCESS of the letters `r`, `w`, `m` |
| `--env` | `NAME=VALUE`; `NAME` alone copies the caller's |
"""


def commands_page() -> str:
    """The reference of the commands."""
    group: Any = typer.main.get_command(app)
    sections = [_section(name, command) for name, command in _commands(group)]
    return _INTRODUCTION + "\n".join([*sections, _VARIABLES])


def _commands(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every verb by its words, and those of a group after the group itself."""
    for name, command in group.commands.items():
        words = f"{above}{name}"
        yield words, command
        if hasattr(command, "commands"):
            yield from _commands(command, f"{words} ")


def _section(name: str, command: Any) -> str:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    words = ["isolate", name, *(["[OPTIONS]"] if options else []), *map(_argument, arguments)]
    text = f"## isolate {name}\n\n{command.help.strip()}\n\n```text\n{' '.join(words)}\n```\n"
    rows = [
        [_spelling(one), code(one.metavar) if one.metavar else "", cell(_meaning(one))]
        for one in options
    ]
    if name == "explain":
        own = {option.dest for option in EXPLAIN_OPTIONS} - {option.dest for option in RUN_OPTIONS}
        rows = [row for row, one in zip(rows, options, strict=True) if one.name in own]
        text += "\nThe options are those of [isolate run](#isolate-run), and these:\n"
    return f"{text}\n{table(['Option', 'Value', 'Meaning'], rows)}" if rows else text


def _argument(argument: Any) -> str:
    metavar: str = argument.metavar
    return metavar if argument.required else f"[{metavar}]"


def _spelling(option: Any) -> str:
    return ", ".join(code(one) for one in sorted(option.opts, key=len))


def _meaning(option: Any) -> str:
    text: str = option.help.rstrip(".")
    if option.secondary_opts:
        text += f"; the opposite is {' '.join(map(code, option.secondary_opts))}"
    if option.multiple:
        text += "; may be given more than once"
    if option.default not in (None, False, []) and not option.required:
        text += f"; default: {option.default}"
    return text
