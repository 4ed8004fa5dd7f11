"""Reading a hostile JSON object key by key: what nobody took at the end is refused by its path."""

from __future__ import annotations

from isolate.errors import SpecError
from isolate.spec.record import below, quoted, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_MOST = 4096  # items of a list


class Table:
    """One object of config.json, with the path that names it in errors.

    A key that is null is a key that isn't there, as Go writes empty values so.
    """

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise SpecError(path, f"{quoted(value)} stands where an object belongs")
        self.path = path
        self._left: dict[str, Any] = {key: item for key, item in value.items() if item is not None}

    def at(self, key: str) -> str:
        """The path of a key."""
        return below(self.path, key)

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def take(self, key: str, default: Any = None) -> Any:
        """A value of any kind, which its user checks."""
        return self._left.pop(key, default)

    def text(self, key: str, default: str | None = None) -> str | None:
        """A string."""
        value: str | None = self._typed(key, str, "a string", default)
        return value

    def flag(self, key: str, *, default: bool = False) -> bool:
        """A boolean."""
        value: bool = self._typed(key, bool, "true or false", default)
        return value

    def number(self, key: str, default: int | None = None) -> int | None:
        """A whole number."""
        value = self._left.get(key)
        if isinstance(value, bool):
            raise SpecError(self.at(key), f"{shown(value)} stands where a whole number belongs")
        number: int | None = self._typed(key, int, "a whole number", default)
        return number

    def _typed(self, key: str, kind: type, words: str, default: Any) -> Any:
        value = self.take(key, default)
        if value is not default and not isinstance(value, kind):
            raise SpecError(self.at(key), f"{quoted(value)} stands where {words} belongs")
        return value

    def items(self, key: str) -> list[Any]:
        """A list; empty where there is none."""
        value = self.take(key, [])
        if not isinstance(value, list):
            raise SpecError(self.at(key), f"{quoted(value)} stands where a list belongs")
        if len(value) > _MOST:
            raise SpecError(self.at(key), f"has more than {_MOST} items")
        return value

    def texts(self, key: str) -> list[str]:
        """A list of strings."""
        items = self.items(key)
        for number, item in enumerate(items):
            if not isinstance(item, str):
                path = f"{self.at(key)}[{number}]"
                raise SpecError(path, f"{quoted(item)} stands where a string belongs")
        return items

    def table(self, key: str) -> Table:
        """An object; an empty one where there is none."""
        return Table(self.take(key, {}), self.at(key))

    def tables(self, key: str) -> Iterator[Table]:
        """A list of objects."""
        for number, item in enumerate(self.items(key)):
            yield Table(item, f"{self.at(key)}[{number}]")

    def pairs(self, key: str) -> dict[str, str]:
        """An object of strings."""
        value = self.take(key, {})
        table = Table(value, self.at(key))
        return {name: table.text(name) or "" for name in value}

    def environment(self, key: str) -> dict[str, str]:
        """A list of NAME=VALUE."""
        found: dict[str, str] = {}
        for number, item in enumerate(self.texts(key)):
            name, equals, value = item.partition("=")
            if not equals or name in found:
                problem = "stands there twice" if equals else "is not NAME=VALUE"
                raise SpecError(f"{self.at(key)}[{number}]", f"{quoted(item)} {problem}")
            found[name] = value
        return found

    def finish(self) -> None:
        """Refuse what is left and says something: empty strings, lists, objects and false don't."""
        for key, value in self._left.items():
            says = value not in ("", [], {}) and value is not False
            if says:
                raise SpecError(self.at(key), "can't be expressed in a spec")
