"""From text to plain data: tomllib and json behind limits that keep hostile text harmless.

Both parsers recurse with nesting, and tomllib copies a dotted key for each of its parts, so the
text is measured before they see it.
"""

from __future__ import annotations

import json
import re
import tomllib
from math import isfinite

from isolate.errors import SpecError
from isolate.spec.record import below, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

MAX_DEPTH = 64
MAX_DIGITS = 1000  # of a number; more than any field takes, and far from quadratic parsing

# Every alternative takes all it can without ever stepping back (possessive quantifiers, and an
# end of text that closes what is open), so a scan is linear in the text.
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+\\?(?:"|\Z)|[\[\]{}]', re.DOTALL)
_TOML_TOKEN = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+\\?(?:"{3,5}|"{0,2}\Z)'
    r"|'''(?:[^']|'(?!''))*+(?:'{3,5}|'{0,2}\Z)"
    r'|"(?:[^"\\\n]|\\[^\n])*+\\?(?:"|(?=\n)|\Z)'
    r"|'[^'\n]*+(?:'|(?=\n)|\Z)"
    r"|\#[^\n]*+"
    r"|[A-Za-z0-9_+-]++|[ \t]++"
    r"|[^A-Za-z0-9_+\s\"'\#-]|\n",
    re.DOTALL,
)


class _Refused:
    """Stands in parsed data for a value that isn't allowed, until its path is known."""

    def __init__(self, problem: str) -> None:
        self.problem = problem


def parse_json(text: str) -> Any:
    """The value of a JSON document (RFC 8259), without doubled keys, NaN, infinities, and the
    absurdly nested. Raises SpecError."""
    _measure_json(text)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_table,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise SpecError(place, f"not JSON: {shown(error.msg, 200)}") from error
    _refuse_odd(value, "", 0)
    return value


def parse_toml(text: str) -> dict[str, Any]:
    """The table of a TOML document (v1.0.0), with the same limits. Raises SpecError."""
    _measure_toml(text)
    try:
        value = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError
        message = str(error)
        found = re.search(r" \(at (line \d+, column \d+|end of document)\)\Z", message)
        place = found[1] if found else ""
        problem = message[: found.start()] if found else message
        raise SpecError(place, f"not TOML: {shown(problem, 200)}") from error
    _refuse_odd(value, "", 0)
    return value


def _measure_json(text: str) -> None:
    depth = 0
    for token in _JSON_TOKEN.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth > MAX_DEPTH:
            _too_deep(text, token.start())


def _measure_toml(text: str) -> None:
    depth = dots = 0
    for token in _TOML_TOKEN.finditer(text):
        word = token[0]
        if word in ("[", "{"):
            depth += 1
        elif word in ("]", "}"):
            depth -= 1
        elif word == ".":
            dots += 1
        elif word[0] in "=,\n#":
            dots = 0
        elif len(word) > MAX_DIGITS and word[0] not in "\"'# \t":
            raise SpecError(_place(text, token.start()), f"a word of {len(word)} characters")
        if depth > MAX_DEPTH or dots > MAX_DEPTH:
            _too_deep(text, token.start())


def _too_deep(text: str, offset: int) -> NoReturn:
    raise SpecError(_place(text, offset), f"is nested deeper than {MAX_DEPTH} levels")


def _place(text: str, offset: int) -> str:
    line = text.count("\n", 0, offset) + 1
    return f"line {line}, column {offset - text.rfind(chr(10), 0, offset)}"


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Refused:
    table = dict(pairs)
    if len(table) == len(pairs):
        return table
    seen: set[str] = set()
    doubled = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return _Refused(f'the key "{shown(doubled)}" stands there twice')


def _constant(word: str) -> _Refused:
    return _Refused(f"{word} is not allowed")


def _integer(digits: str) -> int | _Refused:
    if len(digits) > MAX_DIGITS:
        return _Refused(f"a number of {len(digits)} digits is not allowed")
    return int(digits)


def _float(digits: str) -> float | _Refused:
    return float(digits) if len(digits) <= MAX_DIGITS else _integer(digits)


def _refuse_odd(value: Any, path: str, depth: int) -> None:
    """Refuse what parsed, but has no place in any spec."""
    if depth > MAX_DEPTH:
        raise SpecError(shown(path, 200), f"is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, _Refused):
        raise SpecError(shown(path, 200), value.problem)
    if isinstance(value, float) and not isfinite(value):
        raise SpecError(shown(path, 200), f"{value} is not allowed")
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_odd(item, below(path, key), depth + 1)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _refuse_odd(item, f"{path}[{number}]", depth + 1)
