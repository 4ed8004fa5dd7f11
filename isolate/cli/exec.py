"""`isolate exec`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from isolate.cli import run as hot
from isolate.cli.app import RootOption, app
from isolate.errors import IsolateError


@app.command("exec", context_settings={"allow_interspersed_args": False})
def exec_(
    id: Annotated[str, typer.Argument(metavar="ID", help="Container id, or unique beginning.")],
    words: Annotated[list[str], typer.Argument(metavar="[--] CMD...", help="The program.")],
    *,
    tty: Annotated[bool, typer.Option("--tty", "-t", help="Give it a terminal.")] = False,
    interactive: Annotated[
        bool, typer.Option("--interactive/--no-stdin", "-i", help="Pass standard input on.")
    ] = True,
    user: Annotated[
        str | None, typer.Option("--user", "-u", metavar="USER[:GROUP]", help="User inside.")
    ] = None,
    workdir: Annotated[
        str | None, typer.Option("--workdir", "-w", metavar="DIR", help="Directory inside.")
    ] = None,
    env: Annotated[
        list[str] | None, typer.Option("--env", "-e", metavar="NAME=VALUE", help="Variable.")
    ] = None,
    root: RootOption = None,
) -> int:
    """Run a further program in a running container, as confined as the container's own."""
    try:
        return _execute(
            id,
            root,
            {
                "args": [word for number, word in enumerate(words) if number or word != "--"],
                "tty": tty,
                "interactive": interactive,
                **{
                    name: value
                    for name, value in (("user", user), ("workdir", workdir), ("env", env))
                    if value
                },
            },
        )
    except IsolateError as error:
        hot.say_error(error.message, error.hint)
        return error.exit_status


def _execute(id: str, root: str | None, values: dict[str, Any]) -> int:
    from isolate.cli.flags import document
    from isolate.runtime.executing import execute
    from isolate.runtime.stores import open_store
    from isolate.spec.model import Process

    entry = open_store(root).get(id)
    base = entry.read_record().get("spec", {}).get("process", {})
    asked = document(values, "").get("process", {})
    inherited = {key: base[key] for key in ("cwd", "user", "groups") if key in base}
    if "user" in asked:
        inherited.pop("groups", None)
    env = {**base.get("env", {}), **asked.pop("env", {})}
    return execute(entry, Process.build({**inherited, **asked, "env": env}, "process")).shell_code
