"""JSON without the json module, which costs more to import than a container to start."""

from __future__ import annotations

from _json import encode_basestring_ascii as _quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WORDS = {None: "null", True: "true", False: "false"}
_INFINITY = float("inf")


def dumps(value: object) -> str:
    """One line of JSON for None, bool, int, float, str, list, tuple and dict with text keys.

    Undecodable bytes of file names (surrogate escapes) survive the round trip. Raises TypeError
    for other types, ValueError for a float that JSON can't hold.
    """
    if isinstance(value, str):
        return _quote(value)
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(dumps, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{_key(key)}:{dumps(item)}' for key, item in value.items())}}}"
    raise TypeError(f"{type(value).__name__} is not plain data")


def loads(text: bytes) -> Any:
    """The value of a JSON document. Raises ValueError, also for one that is nested too deep."""
    import json

    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _float(value: float) -> str:
    if not -_INFINITY < value < _INFINITY:
        raise ValueError(f"JSON can't hold {value!r}")
    return float.__repr__(value)


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key must be text, not {type(key).__name__}")
    return _quote(key)
