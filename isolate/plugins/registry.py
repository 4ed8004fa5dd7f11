"""What plugins register: names and the classes behind them, imported only when asked for."""

from __future__ import annotations

import sys

from isolate.errors import PluginError
from isolate.spec.record import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class Registration:
    """A registered class: itself, or where to import it from."""

    __slots__ = ("_target", "summary")

    def __init__(self, target: str | type, summary: str) -> None:
        self._target = target
        self.summary = summary

    def resolve(self) -> Any:
        """The class; runs the plugin's code, which may raise anything."""
        return find(self._target) if isinstance(self._target, str) else self._target


class Registry:
    """Registrations by name; the hooks `isolate_register_*` get one."""

    def __init__(self) -> None:
        self._registrations: dict[str, Registration] = {}

    def add(self, name: str, target: str | type, *, summary: str = "") -> None:
        """Register a class under a name.

        Args:
            name: what users call it.
            target: the class, or "package.module:Class", which is imported when it is wanted.
            summary: one line for lists.

        Raises:
            PluginError: the name is taken or no string, or the target is no class and no such
                string.
        """
        if name in self._registrations:
            raise PluginError(f"registers {quoted(name)} twice")
        _check(name, target)
        self._registrations[name] = Registration(target, summary)

    def get(self, name: str) -> Registration | None:
        """What is registered under a name."""
        return self._registrations.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._registrations)

    def __len__(self) -> int:
        return len(self._registrations)


def _check(name: object, target: object) -> None:
    if not isinstance(name, str) or name == "":
        raise PluginError(f"registers {quoted(name)} as a name")
    if not isinstance(target, type) and not (isinstance(target, str) and ":" in target):
        raise PluginError(
            f"registers {quoted(name)} as {quoted(target)}",
            hint='it wants a class or "package.module:Class"',
        )


def find(path: str) -> Any:
    """The object at `module` or `module:attribute.attribute`; the import may raise anything."""
    module, _, attributes = path.partition(":")
    __import__(module)
    found: Any = sys.modules[module]  # as importlib.import_module, but for its own import
    for name in filter(None, attributes.split(".")):
        found = getattr(found, name)
    return found
