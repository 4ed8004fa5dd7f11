"""The jails of a jail.conf: wildcards applied, variables filled in, parameters checked."""

from __future__ import annotations

import graphlib
from typing import TYPE_CHECKING

from isolate.errors import IsolateError, SpecError
from isolate_jail import conf, parameters

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from isolate_jail.conf import Block, JailConfError, Place, Statement, Text
    from isolate_jail.parameters import Jail

_MOST_CHARACTERS = 2**16  # of one value: variables in variables grow fast
_MOST_VALUES = 1000
_DEEPEST = 32  # variables in variables


class Definition:
    """One jail of a file: its name, its parameters, and where it is defined."""

    __slots__ = ("jail", "name", "place")

    def __init__(self, name: str, jail: Jail, place: Place) -> None:
        self.name = name
        self.jail = jail
        self.place = place


def load(paths: Sequence[str]) -> dict[str, Definition]:
    """The jails of files, as if they were one; by name, in their order.

    Raises JailConfError.
    """
    blocks: list[Block] = []
    for path in paths:
        blocks += conf.parse(_read(path), path)
    return resolve(blocks)


def _read(path: str) -> bytes:
    import os
    import stat

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise conf.JailConfError(path, 1, 1, "is no regular file")
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(conf.MAX_BYTES + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise conf.JailConfError(path, 1, 1, str(error.strerror)) from None


def resolve(blocks: Sequence[Block]) -> dict[str, Definition]:
    """The jails of parsed blocks. Raises JailConfError."""
    names: dict[str, Place] = {}
    for block in blocks:
        if block.name and "*" not in block.name:
            names.setdefault(block.name, block.place)
    return {name: _definition(name, place, blocks) for name, place in names.items()}


def _definition(name: str, place: Place, blocks: Sequence[Block]) -> Definition:
    """What applies to a jail is applied in the order of the file: later statements win."""
    values = _Values(name)
    for block in blocks:
        if matches(block.name, name):
            for statement in block.statements:
                values.apply(statement)
    said: dict[str, object] = {}
    for key, (value, where) in values.resolved().items():
        said[key] = _checked(key, value, where)
    return Definition(name, parameters.Jail(_implied(said, place)), place)


def matches(pattern: str, name: str) -> bool:
    """Whether a block's name is this jail's: `*` stands for one part of a dotted name, alone for
    every name, and the empty one for statements outside of blocks."""
    if pattern in ("", "*", name):
        return True
    wanted, given = pattern.split("."), name.split(".")
    return len(wanted) == len(given) and all(
        part in ("*", own) for part, own in zip(wanted, given, strict=True)
    )


def _checked(key: str, value: object, where: Place) -> object:
    parameter = parameters.TABLE[key]
    try:
        return parameter.kind.check(value, key)
    except SpecError as error:
        raise where.error(error.message, error.hint or "") from None


def _implied(said: Mapping[str, object], place: Place) -> Mapping[str, object]:
    try:
        return parameters.read(said).said()
    except IsolateError as error:
        raise place.error(error.message, error.hint or "") from None


class _Values:
    """The statements of one jail, the last of each key, with what was appended to it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._texts: dict[str, list[Text]] = {}
        self._flags: dict[str, bool] = {}
        self._places: dict[str, Place] = {}

    def apply(self, statement: Statement) -> None:
        key, value = self._key(statement)
        self._places[key] = statement.place
        if statement.values is None:
            self._flags[key] = value
            self._texts.pop(key, None)
            return
        self._flags.pop(key, None)
        before = self._texts.get(key, []) if statement.append else []
        self._texts[key] = [*before, *statement.values]
        if len(self._texts[key]) > _MOST_VALUES:
            raise statement.place.error(f"{key} has more than {_MOST_VALUES} values")

    def _key(self, statement: Statement) -> tuple[str, bool]:
        """The canonical name, and what the switch means without a value."""
        if statement.key.startswith("$"):
            if statement.values is None:
                raise statement.place.error(f"{statement.key} is given no value")
            return statement.key, True
        try:
            name, switched = parameters.known_name(statement.key, "jail.conf")
        except IsolateError as error:
            raise statement.place.error(error.message, error.hint or "") from None
        if switched is not None and statement.values is not None:
            raise statement.place.error(f"{statement.key} takes no value")
        return name, switched is None

    def resolved(self) -> dict[str, tuple[object, Place]]:
        """Each parameter's value with its variables filled in."""
        found: dict[str, tuple[object, Place]] = {}
        for key, place in self._places.items():
            if key.startswith("$"):
                continue
            if key in self._flags:
                found[key] = (self._flags[key], place)
                continue
            values = self._fill(key, place, ())
            is_list = parameters.TABLE[key].kind.is_list
            if len(values) > 1 and not is_list:
                raise place.error(f"{key} takes one value")
            found[key] = (values if is_list else (values[0] if values else ""), place)
        return found

    def _fill(self, key: str, place: Place, stack: tuple[str, ...]) -> list[str]:
        if key in stack:
            raise place.error(f"{key} is defined by itself")
        if len(stack) > _DEEPEST:
            raise place.error("variables are nested too deep")
        values: list[str] = []
        for text in self._texts.get(key, []):
            values += self._expand(text, (*stack, key))
        if len(values) > _MOST_VALUES or sum(map(len, values)) > _MOST_CHARACTERS:
            raise place.error(f"{key} grows too large")
        return values

    def _expand(self, text: Text, stack: tuple[str, ...]) -> list[str]:
        if text.variable is not None:
            return self._variable(text.variable, text.place, stack)
        made = ""
        for piece, is_variable in text.pieces:
            if is_variable:
                values = self._variable(piece, text.place, stack)
                if len(values) != 1:
                    raise text.place.error(f"${piece} is a list, and can only stand alone")
                made += values[0]
            else:
                made += piece
            if len(made) > _MOST_CHARACTERS:
                raise text.place.error("grows too large")
        return [made]

    def _variable(self, name: str, place: Place, stack: tuple[str, ...]) -> list[str]:
        """A variable of the file, else the jail's parameter of that name."""
        for key in (f"${name}", name):
            if key in self._texts:
                return self._fill(key, place, stack)
        if name in self._flags:
            return ["true" if self._flags[name] else "false"]
        if name == "name":
            return [self._name]
        raise place.error(f"${name} is not defined")


def ordered(names: Iterable[str], all_jails: Mapping[str, Definition]) -> list[str]:
    """The jails and all that they depend on, each after what it depends on.

    A child depends on its parent. Raises JailConfError for a cycle or an unknown jail.
    """
    graph: dict[str, set[str]] = {}
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in graph:
            continue
        definition = all_jails[name]
        graph[name] = _depends(definition, all_jails)
        todo += graph[name]
    try:
        return list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        cycle = error.args[1]
        raise _cycle(all_jails[cycle[0]], cycle) from None


def _depends(definition: Definition, all_jails: Mapping[str, Definition]) -> set[str]:
    found = set(definition.jail["depend"])
    for name in found:
        if name not in all_jails:
            raise definition.place.error(f"depends on {name!a}, which isn't defined")
    parent = definition.name.rpartition(".")[0]
    return found | ({parent} if parent in all_jails else set())


def _cycle(definition: Definition, cycle: Sequence[str]) -> JailConfError:
    return definition.place.error(f"jails depend on one another: {' -> '.join(cycle)}")
