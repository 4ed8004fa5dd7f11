"""Breaches of the contract. Not `assert`: `python -O` must not make every backend pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Collection


class Breach(AssertionError):  # noqa: N818 - the word of contracts
    """A backend doesn't do what its contract or its own claim says."""

    __tracebackhide__ = True


def hold(condition: object, message: str) -> None:
    """Raise Breach with `message` unless the condition holds."""
    __tracebackhide__ = True
    if not condition:
        raise Breach(message)


def same(found: object, expected: object, what: str) -> None:
    """Raise Breach unless `found` is what was expected."""
    __tracebackhide__ = True
    hold(found == expected, f"{what}: {_short(found)}, expected {_short(expected)}")


def nothing(left: Collection[object], what: str) -> None:
    """Raise Breach that lists `left` unless it is empty."""
    __tracebackhide__ = True
    hold(not left, f"{what}: {', '.join(map(str, left))}")


def breach(message: str) -> NoReturn:
    """Raise Breach."""
    __tracebackhide__ = True
    raise Breach(message)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}..."
