"""The registry of jails: who there is, with which number, below whom, and what each was allowed.

Each jail's row lies in its container's directory of the state root, and goes with it.
"""

from __future__ import annotations

import os

from isolate.errors import SpecError, StateError, UnsupportedError
from isolate.spec.model import Spec
from isolate.state import Store
from isolate.state.json_lines import dumps, loads
from isolate_jail import parameters, settings
from isolate_jail.kinds import Bool
from isolate_jail.parameters import PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from isolate_jail.parameters import Jail

_FILE = "jail.json"
_LARGEST = 2**20


class Row:
    """One jail of the registry. `parent` is 0 for a jail that has none.

    `addresses` are those that it has by its host's name, as parameters in the place of those said.
    """

    __slots__ = ("addresses", "hostname", "jid", "name", "parameters", "parent", "path")

    def __init__(
        self,
        *,
        jid: int,
        name: str,
        parent: int,
        path: str,
        hostname: str,
        parameters: Mapping[str, Any],  # as they were said
        addresses: Mapping[str, list[str]],
    ) -> None:
        self.jid = jid
        self.name = name
        self.parent = parent
        self.path = path
        self.hostname = hostname
        self.parameters = parameters
        self.addresses = addresses

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "parameters"} | {
            "parameters": {key: _plain(value) for key, value in self.parameters.items()}
        }

    @property
    def jail(self) -> Jail:
        """Its parameters."""
        return parameters.read({**self.parameters, **self.addresses})


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def read(directory: str) -> Row | None:
    """The row of a container's directory; None where there is no jail in it, or a damaged one."""
    try:
        descriptor = os.open(f"{directory}/{_FILE}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = loads(os.read(descriptor, _LARGEST))
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)
    if not isinstance(data, dict) or set(data) != set(Row.__slots__):
        return None
    return Row(**data)


def rows(root: str) -> list[Row]:
    """Every jail of a state directory, by number."""
    found = (read(entry.directory) for entry in Store(root).list())
    return sorted((row for row in found if row is not None), key=lambda row: row.jid)


def register(directory: str, name: str, jail: Jail, *, path: str, hostname: str) -> Jail:
    """Enter a new jail; what comes back are its parameters, narrowed to its parent's, with the
    addresses that its host's name has now.

    Raises StateError where its number is taken or its parent isn't there, UnsupportedError where
    it asks for more than its parent has.
    """
    addresses = settings.resolved(jail)  # may take long, so before the lock
    root = os.path.dirname(os.path.dirname(directory))
    store = Store(root)
    with store.locked():
        others = [row for row in rows(root) if row.name != name]
        parent = _parent(name, others)
        if parent is not None:
            jail = narrowed(parent, jail, children=_children(parent, others))
        row = Row(
            jid=_number(jail, others),
            name=name,
            parent=parent.jid if parent is not None else 0,
            path=path,
            hostname=hostname,
            parameters=jail.said(),
            addresses=addresses,
        )
        _write(directory, row)
    return row.jail


def replace(directory: str, row: Row, said: Mapping[str, Any]) -> None:
    """Store other parameters of a jail. Raises OSError."""
    values = {name: getattr(row, name) for name in Row.__slots__} | {"parameters": said}
    _write(directory, Row(**values))


def spec_of(directory: str) -> Spec:
    """The spec that a container was made from, as the state directory has it. Raises StateError."""
    root = os.path.dirname(os.path.dirname(directory))
    record = Store(root).get(os.path.basename(directory)).read_record()
    return Spec.build(record["spec"], "spec")


def remove(directory: str) -> None:
    """Strike a jail off; nothing happens where there is none."""
    try:
        os.unlink(f"{directory}/{_FILE}")
    except FileNotFoundError:
        return


def _write(directory: str, row: Row) -> None:
    path = f"{directory}/{_FILE}"
    descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, dumps(row.to_json()).encode("ascii"))
    finally:
        os.close(descriptor)
    os.rename(f"{path}.new", path)


def _parent(name: str, others: Sequence[Row]) -> Row | None:
    above, dot, _own = name.rpartition(".")
    if not dot:
        return None
    for row in others:
        if row.name == above:
            return row
    raise StateError(
        f"jail {name} is below {above}, and there is no such jail", hint="create the parent first"
    )


def _children(parent: Row, others: Sequence[Row]) -> int:
    """All jails below, as jail(8) counts them."""
    return sum(row.name.startswith(f"{parent.name}.") for row in others)


def _number(jail: Jail, others: Sequence[Row]) -> int:
    taken = {row.jid for row in others}
    asked = jail["jid"]
    if asked is None:
        return next(number for number in range(1, len(taken) + 2) if number not in taken)
    if asked in taken:
        raise StateError(f"there is a jail {asked} already", hint="choose another jid")
    return int(asked)


def narrowed(parent: Row, jail: Jail, *, children: int) -> Jail:
    """The child's parameters: what it doesn't say is no more than its parent has.

    Raises UnsupportedError where it says more, or where the parent may have no further child.
    """
    above = parent.jail
    if children >= above["children.max"]:
        raise UnsupportedError(
            f"jail {parent.name} may have {above['children.max']} children, and has {children}",
            hint="raise its children.max",
        )
    said = jail.said()
    for name, parameter in parameters.TABLE.items():
        if name.startswith("allow.") and isinstance(parameter.kind, Bool):
            _narrow(said, name, parent, jail[name] and not above[name], value=False)
    for name in ("securelevel", "enforce_statfs"):
        _narrow(said, name, parent, jail[name] < above[name], value=above[name])
    _narrow(said, "children.max", parent, jail["children.max"] >= above["children.max"], value=0)
    return parameters.Jail(said)


def _narrow(said: dict[str, Any], name: str, parent: Row, exceeds: bool, *, value: object) -> None:  # noqa: FBT001 - an answer, not a switch
    if not exceeds:
        return
    if name in said:
        raise UnsupportedError(
            f"{PATH}.{name}: a child has no more than its parent {parent.name}",
            hint="leave the parameter out",
        )
    said[name] = value


def find(root: str, text: str) -> Row:
    """The jail of a name or a number. Raises SpecError."""
    for row in rows(root):
        if text in (row.name, str(row.jid)):
            return row
    raise SpecError("", f"there is no jail {text!a}", hint="`isolate jls` lists them")
