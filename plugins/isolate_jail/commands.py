"""`isolate jail`, `isolate jls`, `isolate jexec`: as FreeBSD's administrators know them."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from isolate.cli.app import JsonOption, RootOption  # noqa: TC001 - typer reads them
from isolate.cli.output import print_json, print_table
from isolate.errors import ExistsError, IsolateError, SpecError, UnsupportedError
from isolate.native.limits import group_of
from isolate.plugins import load
from isolate.runtime.executing import execute
from isolate.runtime.inspect import describe, handle_of
from isolate.spec.model import Process, Spec
from isolate.state import Store, find
from isolate.supervisor import control
from isolate.supervisor.launch import run_detached
from isolate_jail import hooks, jails, parameters, registry

BACKEND = "jail"
DEFAULT_FILE = "/etc/jail.conf"
# What is only stored, or read when the jail is removed: all else is fixed in its filters.
CHANGEABLE = ("meta", "env", "exec.prestop", "exec.poststop", "exec.release", "stop.timeout")

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME...", help="Jails; `*` is every jail of the file."),
]
Files = Annotated[
    list[str] | None,
    typer.Option("--file", "-f", metavar="FILE", help=f"jail.conf(5); default {DEFAULT_FILE}."),
]


def jail(
    names: Names = None,
    *,
    file: Files = None,
    create: Annotated[bool, typer.Option("-c", "--create", help="Create jails.")] = False,
    remove: Annotated[bool, typer.Option("-r", "--remove", help="Remove jails.")] = False,
    modify: Annotated[bool, typer.Option("-m", "--modify", help="Change jails.")] = False,
    root: RootOption = None,
) -> None:
    """Create, change or remove jails by a jail.conf(5)."""
    if create + remove + modify != 1:
        raise SpecError("", "give one of -c, -m and -r", hint="see `isolate jail --help`")
    if not names:
        raise SpecError("", "no jail is named", hint="`*` is every jail")
    store = Store(find(root))
    if remove:
        _remove(store, names)
        return
    defined = jails.load([os.path.abspath(path) for path in file or [DEFAULT_FILE]])
    wanted = _wanted(names, defined)
    if modify:
        for name in wanted:
            _modify(store, defined[name])
    else:
        _create(store, wanted, defined)


def _wanted(names: list[str], defined: dict[str, jails.Definition]) -> list[str]:
    if names == ["*"]:
        return list(defined)
    for name in names:
        if name not in defined:
            raise SpecError(
                "", f"jail {name!a} isn't defined", hint=f"there are: {', '.join(defined)}"
            )
    return names


def _create(store: Store, wanted: list[str], defined: dict[str, jails.Definition]) -> None:
    """Each jail after those that it depends on; what runs already is left alone, but for one that
    is named itself."""
    backend = load(BACKEND)
    there = {row.name for row in registry.rows(store.root)}
    for name in wanted:
        if name in there:
            raise ExistsError(f"jail {name} exists", hint=f"`isolate jail -r {name}` removes it")
    for name in jails.ordered(wanted, defined):
        if name not in there:
            spec = spec_of(defined[name])
            _forget(store, name)
            run_detached(store, backend, spec, {"name": name, "backend": BACKEND})
            typer.echo(f"{name}: created")


def _forget(store: Store, name: str) -> None:
    """Delete what an ended jail of that name has left to be looked at."""
    entry = store.entry(name)
    if entry.exists() and describe(entry)["status"] == "stopped":
        control.delete(entry, force=False)


def spec_of(definition: jails.Definition) -> Spec:
    """The spec of a jail of a file: `path` is its root, the rest are settings of the backend."""
    said: dict[str, Any] = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in definition.jail.said().items()
    }
    source = said.pop("path", None)
    if source is None:
        raise definition.place.error("path is missing", "every jail has a path")
    return Spec.build(
        {"root": {"source": source}, "backend_options": {BACKEND: said}}, definition.name
    )


def _remove(store: Store, names: list[str]) -> None:
    """Children first, and then what they are below."""
    rows = registry.rows(store.root)
    chosen = rows if names == ["*"] else [registry.find(store.root, name) for name in names]
    tops = {row.name for row in chosen}
    doomed = [
        row
        for row in rows
        if row.name in tops or any(row.name.startswith(f"{top}.") for top in tops)
    ]
    for row in sorted(doomed, key=lambda row: row.name.count("."), reverse=True):
        entry = store.get(row.name)
        hooks.run_all(row.jail, "prestop", name=row.name)
        control.stop(entry, float(row.jail["stop.timeout"]))
        if entry.exists():
            control.delete(entry, force=True)
        typer.echo(f"{row.name}: removed")


def _modify(store: Store, definition: jails.Definition) -> None:
    row = registry.find(store.root, definition.name)
    new, old = definition.jail.said(), parameters.read(row.parameters).said()
    old["path"] = row.path
    for key in sorted({*new, *old}):
        if new.get(key) != old.get(key) and key not in CHANGEABLE:
            raise UnsupportedError(
                f"{key} of jail {row.name} can't be changed while it runs",
                hint=f"remove and create it; changeable are {', '.join(CHANGEABLE)}",
            )
    del new["path"]  # it is the root, and no setting
    registry.replace(store.get(row.name).directory, row, new)
    typer.echo(f"{row.name}: changed")


def jls(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="PARAMETER...", help="Parameters to show.")
    ] = None,
    *,
    jail_name: Annotated[
        str | None,
        typer.Option("-j", "--jail", metavar="JAIL", help="One jail, by name or number."),
    ] = None,
    dying: Annotated[
        bool, typer.Option("-d", "--dying", help="Jails that are dying, too.")
    ] = False,
    pairs: Annotated[bool, typer.Option("-n", "--names", help="Print NAME=VALUE.")] = False,
    json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """List jails."""
    store = Store(find(root))
    found = registry.rows(store.root)
    if jail_name is not None:
        found = [registry.find(store.root, jail_name)]
    described = [_described(store, row, found) for row in found]
    described = [each for each in described if dying or not each["dying"]]
    for name in names or ():
        if name not in parameters.TABLE:
            parameters.known_name(name, "jls")
    if json:
        chosen = names or list(described[0] if described else ())
        print_json([{name: each.get(name) for name in chosen} for each in described])
    elif pairs:
        for each in described:
            shown = names or list(each)
            typer.echo(" ".join(f"{name}={_text(each.get(name))}" for name in shown))
    elif names:
        print_table(names, [[_text(each.get(name)) for name in names] for each in described])
    else:
        rows = [[_text(each.get(name)) for name in _COLUMNS] for each in described]
        print_table(["JID", "IP ADDRESS", "HOSTNAME", "PATH", "NAME"], rows)


_COLUMNS = ("jid", "ip4.addr", "host.hostname", "path", "name")


def _described(store: Store, row: registry.Row, rows: list[registry.Row]) -> dict[str, Any]:
    """Every parameter of a jail: what was said, the defaults, and what the registry knows."""
    jail = row.jail
    values = {name: jail[name] for name in parameters.TABLE}
    children = [other for other in rows if other.name.startswith(f"{row.name}.")]
    return values | {
        "jid": row.jid,
        "name": row.name,
        "parent": row.parent,
        "path": row.path,
        "host.hostname": row.hostname,
        "children.cur": len(children),
        "dying": _dying(store, row.name),
    }


def _dying(store: Store, name: str) -> bool:
    """Its program has ended, and something of it is still there."""
    try:
        record = describe(store.get(name))
        if record["status"] != "stopped":
            return False
        group = group_of(handle_of(record))
    except IsolateError:
        return False
    return group is not None and group.populated()


def _text(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value)) or "-"
    if isinstance(value, bool):
        return str(value).lower()
    return "-" if value is None else str(value)


def jexec(
    name: Annotated[str, typer.Argument(metavar="JAIL", help="Name or number.")],
    command: Annotated[list[str] | None, typer.Argument(metavar="-- CMD...")] = None,
    *,
    user: Annotated[
        str | None, typer.Option("-U", "--user", help="User, looked up in the jail.")
    ] = None,
    root: RootOption = None,
) -> int:
    """Run a program in a jail."""
    store = Store(find(root))
    row = registry.find(store.root, name)
    process = Process(args=tuple(command or ("/bin/sh",)), user=user or row.jail["exec.jail_user"])
    return execute(store.get(row.name), process).shell_code
