"""Kinds: what a field may hold. Each checks a value, dumps it, and describes itself as JSON Schema."""

from __future__ import annotations

from isolate.errors import SpecError
from isolate.spec.record import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from isolate.spec.record import Record

FrozenDict = type(type.__dict__)  # types.MappingProxyType without importing types

MAX_TEXT = 131072  # MAX_ARG_STRLEN: one argument or variable of execve(2), in bytes
MAX_ITEMS = 4096
MAX_INT = 2**63 - 1


class Kind:
    """What a field may hold."""

    allowed = "anything"

    def check(self, value: object, path: str) -> Any:
        """`value` in its canonical, hashable form. Raises SpecError."""
        raise NotImplementedError

    def dump(self, value: Any) -> Any:
        """The canonical value as plain data."""
        return value

    def schema(self) -> dict[str, Any]:
        """The kind in JSON Schema (draft 2020-12)."""
        raise NotImplementedError

    def refuse(self, value: object, path: str) -> SpecError:
        """The error for a value that isn't allowed."""
        return SpecError(path, f"{shown(value)!r} is not allowed", hint=f"allowed: {self.allowed}")


class Text(Kind):
    """A string without NUL, that encodes to UTF-8 or came from the file system."""

    def __init__(
        self,
        allowed: str = "a string",
        *,
        accept: Callable[[str], bool] | None = None,
        limit: int = MAX_TEXT,
        pattern: str | None = None,
    ) -> None:
        self.allowed = allowed
        self._accept = accept
        self._limit = limit
        self._pattern = pattern

    def check(self, value: object, path: str) -> str:
        if not isinstance(value, str):
            raise self.refuse(value, path)
        if "\0" in value:
            raise SpecError(path, "holds a NUL byte", hint=f"allowed: {self.allowed}")
        try:
            size = len(value.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:
            raise SpecError(path, "is not text that UTF-8 can hold") from None
        if size > self._limit:
            raise SpecError(path, f"is longer than {self._limit} bytes")
        if self._accept is not None and not self._accept(value):
            raise self.refuse(value, path)
        return value

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "string", "maxLength": self._limit}
        if self._pattern is not None:
            schema["pattern"] = self._pattern
        return schema


class Boolean(Kind):
    """true or false."""

    allowed = "true or false"

    def check(self, value: object, path: str) -> bool:
        if not isinstance(value, bool):
            raise self.refuse(value, path)
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


class Integer(Kind):
    """A whole number within bounds."""

    def __init__(self, low: int, high: int = MAX_INT) -> None:
        self._low = low
        self._high = high
        self.allowed = f"a whole number from {low} to {high}"

    def check(self, value: object, path: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refuse(value, path)
        if not self._low <= value <= self._high:
            raise self.refuse(value, path)
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self._low, "maximum": self._high}


class Number(Kind):
    """A finite number within bounds."""

    def __init__(self, low: float, high: float, unit: str) -> None:
        self._low = low
        self._high = high
        self.allowed = f"a number of {unit} from {low:g} to {high:g}"

    def check(self, value: object, path: str) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.refuse(value, path)
        if not self._low <= value <= self._high:  # NaN and infinities fail this too
            raise self.refuse(value, path)
        return float(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": self._low, "maximum": self._high}


class Size(Kind):
    """A number of bytes: an integer, or a string with a binary suffix ("64M" is 64 x 1024 x 1024)."""

    _SUFFIXES = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}

    def __init__(self, low: int = 0, high: int = 2**60) -> None:
        self._low = low
        self._high = high
        self.allowed = (
            f"bytes from {low} to {high}, as a number or with a suffix: 512K, 64M, 1.5G, 1T"
        )

    def check(self, value: object, path: str) -> int:
        if isinstance(value, str):
            value = self._parse(value, path)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refuse(value, path)
        if not self._low <= value <= self._high:
            raise self.refuse(value, path)
        return value

    def _parse(self, text: str, path: str) -> int:
        lowered = text.lower().removesuffix("ib") if len(text) < 32 else ""
        digits = lowered.rstrip("bkmgt")
        factor = self._SUFFIXES.get(lowered[len(digits) :])
        whole, _, fraction = digits.partition(".")
        plain = whole.isascii() and whole.isdigit() and (not fraction or fraction.isdigit())
        if factor is None or not plain or not digits.isascii() or digits.endswith("."):
            raise self.refuse(text, path)
        return int(float(digits) * factor) if fraction else int(whole) * factor

    def schema(self) -> dict[str, Any]:
        return {
            "anyOf": [
                {"type": "integer", "minimum": self._low, "maximum": self._high},
                {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?([bB]|[kKmMgGtT]([iI]?[bB])?)?$"},
            ]
        }


class Choice(Kind):
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self._words = words
        self.allowed = ", ".join(words)

    def check(self, value: object, path: str) -> str:
        if not isinstance(value, str) or value not in self._words:
            raise self.refuse(value, path)
        return value

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self._words)}


class Items(Kind):
    """A list, kept as a tuple."""

    def __init__(self, item: Kind, *, least: int = 0, most: int = MAX_ITEMS) -> None:
        self._item = item
        self._least = least
        self._most = most
        self.allowed = f"a list of {least} to {most} items, each {item.allowed}"

    def check(self, value: object, path: str) -> tuple[Any, ...]:
        if isinstance(value, (set, frozenset)):
            value = sorted(value)
        if not isinstance(value, (list, tuple)):
            raise self.refuse(value, path)
        if not self._least <= len(value) <= self._most:
            raise SpecError(path, f"has {len(value)} items", hint=f"allowed: {self.allowed}")
        return tuple(self._item.check(item, f"{path}[{i}]") for i, item in enumerate(value))

    def dump(self, value: Any) -> list[Any]:
        return [self._item.dump(item) for item in value]

    def schema(self) -> dict[str, Any]:
        return {
            "type": "array",
            "items": self._item.schema(),
            "minItems": self._least,
            "maxItems": self._most,
        }


class Mapping(Kind):
    """A table with free keys, kept read-only and in its order."""

    def __init__(self, key: Kind, value: Kind, *, most: int = MAX_ITEMS) -> None:
        self._key = key
        self._value = value
        self._most = most
        self.allowed = f"a table of at most {most} keys, each {key.allowed}"

    def check(self, value: object, path: str) -> Any:
        if not isinstance(value, (dict, FrozenDict)):
            raise self.refuse(value, path)
        if len(value) > self._most:
            raise SpecError(path, f"has {len(value)} keys", hint=f"allowed: {self.allowed}")
        return FrozenDict(
            {
                self._key.check(key, f"{path}.{shown(key)}"): self._value.check(
                    item, f"{path}.{shown(key)}"
                )
                for key, item in value.items()
            }
        )

    def dump(self, value: Any) -> dict[str, Any]:
        return {key: self._value.dump(item) for key, item in value.items()}

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "propertyNames": self._key.schema(),
            "additionalProperties": self._value.schema(),
            "maxProperties": self._most,
        }


class Nested(Kind):
    """Another record; a table of a document builds it."""

    def __init__(self, record: type[Record]) -> None:
        self._record = record
        self.allowed = f"a table with the keys {', '.join(record.FIELDS)}"

    @property
    def record(self) -> type[Record]:
        """The record's class."""
        return self._record

    def check(self, value: object, path: str) -> Any:
        if isinstance(value, self._record):
            return value
        if not isinstance(value, (dict, FrozenDict)):
            raise self.refuse(value, path)
        return self._record.build(dict(value), path)

    def dump(self, value: Any) -> Any:
        return value.to_dict()

    def schema(self) -> dict[str, Any]:
        return record_schema(self._record)


class Union(Kind):
    """The first of several kinds that accepts the value."""

    def __init__(self, *kinds: Kind) -> None:
        self._kinds = kinds
        self.allowed = ", or ".join(kind.allowed for kind in kinds)

    def check(self, value: object, path: str) -> Any:
        for kind in self._kinds:
            try:
                return kind.check(value, path)
            except SpecError:
                continue
        raise self.refuse(value, path)

    def dump(self, value: Any) -> Any:
        return list(value) if isinstance(value, tuple) else value

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [kind.schema() for kind in self._kinds]}


def record_schema(record: type[Record]) -> dict[str, Any]:
    """The JSON Schema of a record's document form; a missing key means the default."""
    properties: dict[str, Any] = {}
    for name, described in record.FIELDS.items():
        properties[name] = {**described.kind.schema(), "description": described.doc}
        if isinstance(described.default, (str, int, float, bool)):
            properties[name]["default"] = described.default
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name, described in record.FIELDS.items() if described.required],
        "additionalProperties": False,
    }


def words(values: Iterable[str], allowed: str) -> Text:
    """A string from a large set, described in words rather than by listing it."""
    known = frozenset(values)
    return Text(allowed, accept=known.__contains__)
