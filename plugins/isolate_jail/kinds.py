"""What a jail parameter may hold: text of a command line or a file, or a value of a spec."""

from __future__ import annotations

import os

from isolate.errors import SpecError
from isolate.spec.record import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Value = bool | int | str | tuple[str, ...]

_TRUE = ("", "1", "true", "yes")
_FALSE = ("0", "false", "no")
_MOST = 256  # values of one list


class Kind:
    """A kind of value."""

    allowed = "text"
    is_list = False

    def check(self, value: object, path: str) -> Value:
        """`value` in its canonical form. Raises SpecError."""
        if not isinstance(value, str) or "\0" in value:
            raise self.refuse(value, path)
        return value

    def refuse(self, value: object, path: str) -> SpecError:
        """The error for a value that isn't allowed."""
        return SpecError(path, f"{quoted(value)} is not allowed", hint=f"allowed: {self.allowed}")


class Bool(Kind):
    """A switch; without a value it is on."""

    allowed = "true or false, 1 or 0"

    def check(self, value: object, path: str) -> Value:
        text = str(value).lower() if isinstance(value, (str, bool)) else None
        if value in (0, 1):
            return bool(value)
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        raise self.refuse(value, path)


class Int(Kind):
    """A whole number."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high
        self.allowed = f"a whole number from {low} to {high}"

    def check(self, value: object, path: str) -> Value:
        text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):
            raise self.refuse(value, path)
        if not self.low <= int(text) <= self.high:
            raise self.refuse(value, path)
        return int(text)


class Choice(Kind):
    """One of some words; a switch's values may stand for two of them."""

    def __init__(self, *words: str, true: str = "", false: str = "") -> None:
        self.words = words
        self.allowed = ", ".join(words)
        self._switch = {**dict.fromkeys(_TRUE, true), **dict.fromkeys(_FALSE, false)}

    def check(self, value: object, path: str) -> Value:
        text = str(value).lower() if isinstance(value, (str, bool)) else ""
        if text in self.words:
            return text
        if self._switch.get(text):
            return self._switch[text]
        raise self.refuse(value, path)


class Path(Kind):
    """An absolute path of the host."""

    allowed = "an absolute path"

    def check(self, value: object, path: str) -> Value:
        text = super().check(value, path)
        if not str(text).startswith("/") or ".." in str(text).split("/"):
            raise self.refuse(value, path)
        return os.path.normpath(str(text))


class List(Kind):
    """Several values: a list of a spec, or one text."""

    allowed = "a list of texts"
    is_list = True

    def check(self, value: object, path: str) -> Value:
        items = value if isinstance(value, (list, tuple)) else (value,)
        if len(items) > _MOST:
            raise SpecError(path, f"has more than {_MOST} values")
        return tuple(str(super(List, self).check(item, path)) for item in items)


class Addresses(List):
    """Addresses of a family, as inet_pton(3) reads them.

    A prefix length, and jail(8)'s `interface|address`, may stand around them.
    """

    def __init__(self, family: int, what: str) -> None:
        self.family = family
        self.allowed = f"{what} addresses, separated by commas"

    def check(self, value: object, path: str) -> Value:
        items = value.split(",") if isinstance(value, str) else value
        texts: Sequence[str] = super().check(items, path)  # type: ignore[assignment] # a list's
        found = tuple(text.strip() for text in texts if text.strip())
        for text in found:
            self._check_one(text, path)
        return found

    def _check_one(self, text: str, path: str) -> None:
        import _socket

        _interface, address, prefix = split_address(text)
        longest = 32 if self.family == _socket.AF_INET else 128
        try:
            packed = _socket.inet_pton(self.family, address)
        except (OSError, ValueError):
            raise self.refuse(text, path) from None
        if prefix and not (prefix.isascii() and prefix.isdigit() and int(prefix) <= longest):
            raise self.refuse(text, path)
        if not any(packed):
            raise SpecError(path, f"{address} is no single address")


def split_address(text: str) -> tuple[str, str, str]:
    """Interface, address and prefix length of `interface|address/length`; empty where unsaid."""
    interface, bar, rest = text.partition("|")
    address, _, prefix = (rest if bar else text).partition("/")
    return (interface if bar else ""), address, prefix.partition(" ")[0]
