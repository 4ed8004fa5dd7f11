"""Kinds: what a field may hold. Each checks a value, dumps it, describes itself as JSON Schema."""

from __future__ import annotations

from isolate.errors import SpecError
from isolate.spec.record import below, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from isolate.spec.record import Record

FrozenDict = type(type.__dict__)  # types.MappingProxyType without importing types

MAX_TEXT = 131071  # MAX_ARG_STRLEN less its NUL: one argument or variable of execve(2), in bytes
MAX_ITEMS = 4096
MAX_INT = 2**63 - 1

_SHIFTS: dict[str, int] = {"": 0, "b": 0} | {
    letter + rest: 10 * power
    for power, letter in enumerate("kmgt", start=1)
    for rest in ("", "b", "i", "ib")
}


class Kind:
    """What a field may hold."""

    allowed = "anything"

    def fits(self, value: object) -> bool:
        """Whether `value` is of the right type; its content may still be refused."""
        raise NotImplementedError

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
        return SpecError(path, f"{quoted(value)} is not allowed", hint=f"allowed: {self.allowed}")


class Text(Kind):
    r"""A string without NUL, that encodes to UTF-8 or came from the file system.

    Bytes that aren't UTF-8 stand in it as Python's surrogate escapes (U+DC80 to U+DCFF), so that
    arguments and file names are exact to the byte; other surrogates are refused. `limit` counts
    bytes. `pattern` says in ECMA-262 what `accept` accepts, as nearly as it can.
    """

    def __init__(
        self,
        allowed: str = "a string",
        *,
        accept: Callable[[str], bool] | None = None,
        limit: int = MAX_TEXT,
        pattern: str = r"^[^\u0000]*$",
    ) -> None:
        self.allowed = allowed
        self.accept = accept
        self.limit = limit
        self.pattern = pattern

    def fits(self, value: object) -> bool:
        return isinstance(value, str)

    def check(self, value: object, path: str) -> str:
        if not isinstance(value, str):
            raise self.refuse(value, path)
        value = str.__str__(value)  # not a subclass: what a str-enum calls itself isn't its value
        if "\0" in value:
            raise SpecError(path, "holds a NUL byte", hint=f"allowed: {self.allowed}")
        try:
            size = len(value.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:
            raise SpecError(path, "is not text that UTF-8 can hold") from None
        if size > self.limit:
            raise SpecError(path, f"is longer than {self.limit} bytes")
        if self.accept is not None and not self.accept(value):
            raise self.refuse(value, path)
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": self.limit, "pattern": self.pattern}


class Boolean(Kind):
    """true or false."""

    allowed = "true or false"

    def fits(self, value: object) -> bool:
        return isinstance(value, bool)

    def check(self, value: object, path: str) -> bool:
        if not isinstance(value, bool):
            raise self.refuse(value, path)
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


class Integer(Kind):
    """A whole number within bounds."""

    def __init__(self, low: int, high: int = MAX_INT) -> None:
        self.low = low
        self.high = high
        self.allowed = f"a whole number from {low} to {high}"

    def fits(self, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool)

    def check(self, value: object, path: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refuse(value, path)
        if not self.low <= value <= self.high:
            raise self.refuse(value, path)
        return int.__int__(value)  # not a subclass, such as an enum

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class Number(Kind):
    """A finite number within bounds."""

    def __init__(self, low: float, high: float, unit: str) -> None:
        self.low = low
        self.high = high
        self.allowed = f"a number of {unit} from {low:g} to {high:g}"

    def fits(self, value: object) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool)

    def check(self, value: object, path: str) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.refuse(value, path)
        if not self.low <= value <= self.high:  # NaN and infinities fail this too
            raise self.refuse(value, path)
        return float(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": self.low, "maximum": self.high}


class Size(Kind):
    """A number of bytes: an integer, or a string with a binary suffix ("64M" is 64 x 1024 x 1024).

    As docker-run(1) has it, K, KB, Ki and KiB are one and the same, in either case.
    """

    def __init__(self, low: int = 0, high: int = 2**60) -> None:
        self.low = low
        self.high = high
        self.allowed = (
            f"bytes from {low} to {high}, as a number or with a suffix: 512K, 64M, 1.5G, 1T"
        )

    def fits(self, value: object) -> bool:
        return isinstance(value, (str, int)) and not isinstance(value, bool)

    def check(self, value: object, path: str) -> int:
        size = self._parse(value) if isinstance(value, str) else value
        if isinstance(size, bool) or not isinstance(size, int):
            raise self.refuse(value, path)
        if not self.low <= size <= self.high:
            raise self.refuse(value, path)
        return int.__int__(size)

    def _parse(self, text: str) -> int | None:
        digits = text.rstrip("bBiIkKmMgGtT") if len(text) < 32 else ""
        shift = _SHIFTS.get(text[len(digits) :].lower())
        whole, point, fraction = digits.partition(".")
        numeric = whole.isdigit() and digits.isascii() and (fraction.isdigit() or not point)
        if shift is None or not numeric:
            return None
        scaled = int(whole + fraction) << shift
        return scaled // int(f"1{'0' * len(fraction)}")  # exact, unlike a float

    def schema(self) -> dict[str, Any]:
        return {
            "anyOf": [
                {"type": "integer", "minimum": self.low, "maximum": self.high},
                {
                    "type": "string",
                    "maxLength": 31,
                    "pattern": r"^[0-9]+(\.[0-9]+)?([bB]|[kKmMgGtT][iI]?[bB]?)?$",
                },
            ]
        }


class Choice(Kind):
    """One of a set of words."""

    def __init__(self, *words: str, allowed: str | None = None) -> None:
        self.words = words
        self.allowed = ", ".join(words) if allowed is None else allowed

    def fits(self, value: object) -> bool:
        return isinstance(value, str)

    def check(self, value: object, path: str) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise self.refuse(value, path)
        return str.__str__(value)

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.words)}


class Items(Kind):
    """A list, kept as a tuple."""

    def __init__(self, item: Kind, *, least: int = 0, most: int = MAX_ITEMS) -> None:
        self.item = item
        self.least = least
        self.most = most
        self.allowed = f"a list of {least} to {most} items, each {item.allowed}"

    def fits(self, value: object) -> bool:
        return isinstance(value, (list, tuple, set, frozenset))

    def check(self, value: object, path: str) -> tuple[Any, ...]:
        if isinstance(value, (set, frozenset)):
            value = sorted(value, key=repr)  # repr: a set may hold what doesn't compare
        if not isinstance(value, (list, tuple)):
            raise self.refuse(value, path)
        if not self.least <= len(value) <= self.most:
            raise SpecError(path, f"has {len(value)} items", hint=f"allowed: {self.allowed}")
        return tuple(self.item.check(item, f"{path}[{i}]") for i, item in enumerate(value))

    def dump(self, value: Any) -> list[Any]:
        return [self.item.dump(item) for item in value]

    def schema(self) -> dict[str, Any]:
        return {
            "type": "array",
            "items": self.item.schema(),
            "minItems": self.least,
            "maxItems": self.most,
        }


class Mapping(Kind):
    """A table with free keys, kept read-only and in its order."""

    def __init__(self, key: Kind, value: Kind, *, most: int = MAX_ITEMS) -> None:
        self.key = key
        self.value = value
        self.most = most
        self.allowed = f"a table of at most {most} keys, each {key.allowed}"

    def fits(self, value: object) -> bool:
        return isinstance(value, (dict, FrozenDict))

    def check(self, value: object, path: str) -> Any:
        if not isinstance(value, (dict, FrozenDict)):
            raise self.refuse(value, path)
        if len(value) > self.most:
            raise SpecError(path, f"has {len(value)} keys", hint=f"allowed: {self.allowed}")
        checked = {}
        for key, item in value.items():
            place = below(path, key)
            checked[self.key.check(key, place)] = self.value.check(item, place)
        return FrozenDict(checked)

    def dump(self, value: Any) -> dict[str, Any]:
        return {key: self.value.dump(item) for key, item in value.items()}

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "propertyNames": self.key.schema(),
            "additionalProperties": self.value.schema(),
            "maxProperties": self.most,
        }


class Nested(Kind):
    """Another record; a table of a document builds it."""

    def __init__(self, record: type[Record]) -> None:
        self.record = record
        self.allowed = f"a table with the keys {', '.join(record.FIELDS)}"

    def fits(self, value: object) -> bool:
        return isinstance(value, (self.record, dict, FrozenDict))

    def check(self, value: object, path: str) -> Any:
        if isinstance(value, self.record):
            return value
        if not isinstance(value, (dict, FrozenDict)):
            raise self.refuse(value, path)
        return self.record.build(dict(value), path)

    def dump(self, value: Any) -> Any:
        return value.to_dict()

    def schema(self) -> dict[str, Any]:
        """A reference; `isolate.spec.schema` describes each record once."""
        return {"$ref": f"#/$defs/{self.record.__name__}"}


class Union(Kind):
    """One of several kinds; the first that the value's type fits decides."""

    def __init__(self, *kinds: Kind) -> None:
        self.kinds = kinds
        self.allowed = ", or ".join(kind.allowed for kind in kinds)

    def fits(self, value: object) -> bool:
        return any(kind.fits(value) for kind in self.kinds)

    def check(self, value: object, path: str) -> Any:
        for kind in self.kinds:
            if kind.fits(value):
                return kind.check(value, path)
        raise self.refuse(value, path)

    def dump(self, value: Any) -> Any:
        return next(kind.dump(value) for kind in self.kinds if kind.fits(value))

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [kind.schema() for kind in self.kinds]}


def words(values: Iterable[str], allowed: str) -> Choice:
    """A word from a large set, described in `allowed` rather than by listing it."""
    return Choice(*values, allowed=allowed)
