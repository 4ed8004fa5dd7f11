"""Documents in files: saved whole or not at all, read without trust, and their JSON Schema."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from isolate.compare.document import SCHEMA, Comparison
from isolate.compare.render import render
from isolate.errors import IsolateError, SpecError
from isolate.spec.record import quoted, shown
from isolate.spec.schema import DIALECT, nested_records, record_schema
from isolate.state.failures import state_error

if TYPE_CHECKING:
    from isolate.spec.record import Record

_MOST = 256 << 20  # bytes; a day's comparison has a few millions


def save(document: Comparison, path: str) -> None:
    """Write it as JSON. Raises IsolateError."""
    write(render(document, "json"), path)


def write(text: str, path: str) -> None:
    """Write a rendering; a file of that name is replaced whole or stays. Raises IsolateError."""
    part = f"{path}.part-{os.getpid()}"
    try:
        with open(part, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        os.replace(part, path)
    except OSError as error:
        raise state_error(f"can't write {path}", error) from None


def load(path: str) -> Comparison:
    """The document in a file, of this version or an older one. Raises IsolateError."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST + 1)
    except OSError as error:
        raise state_error(f"can't read {path}", error) from None
    if len(data) > _MOST:
        raise IsolateError(f"{shown(path)} is larger than any comparison")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise IsolateError(f"{shown(path)} is no comparison: {error}", hint=_HINT) from None
    return _built(found, path)


_HINT = "`isolate compare --save FILE` writes one"


def _built(found: Any, path: str) -> Comparison:
    version = found.get("schema") if isinstance(found, dict) else None
    if version != SCHEMA:
        raise IsolateError(
            f"{shown(path)} says that it is {quoted(version)}, this isolate reads {SCHEMA}",
            hint=_HINT if version is None else "use an isolate as new as the one that wrote it",
        )
    try:
        return Comparison.build(found, "")
    except SpecError as error:
        raise IsolateError(f"{shown(path)} is no comparison: {error}", hint=_HINT) from None


def schema() -> dict[str, Any]:
    """The JSON Schema of a saved document."""
    records: list[type[Record]] = sorted(nested_records(Comparison), key=lambda one: one.__name__)
    return {
        "$schema": DIALECT,
        "$id": f"urn:{SCHEMA.replace('.', ':').replace('/', ':')}",
        "title": "isolate comparison",
        **record_schema(Comparison),
        "$defs": {record.__name__: record_schema(record) for record in records},
    }
