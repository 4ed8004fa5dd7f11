"""The spec's JSON Schema (draft 2020-12), from the same tables that check a spec."""

from __future__ import annotations

from isolate.spec.kinds import Items, Mapping, Nested, Union
from isolate.spec.model import Spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from isolate.spec.kinds import Kind
    from isolate.spec.record import Field, Record

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ID = "urn:isolate:spec:1"


def schema() -> dict[str, Any]:
    """The schema of a spec document, in JSON or TOML; a missing key means its default.

    What concerns several fields at once (a bind mount needs a source) isn't expressed; a spec
    that this schema accepts may still be refused, never the other way round.
    """
    return {
        "$schema": DIALECT,
        "$id": ID,
        "title": "isolate container spec",
        **record_schema(Spec),
        "$defs": {
            record.__name__: record_schema(record)
            for record in sorted(nested_records(Spec), key=lambda record: record.__name__)
        },
    }


def record_schema(record: type[Record]) -> dict[str, Any]:
    """The schema of one record's table; records in it are references into `$defs`."""
    return {
        "type": "object",
        "description": (record.__doc__ or record.__name__).strip(),
        "properties": {name: _property(described) for name, described in record.FIELDS.items()},
        "required": [name for name, described in record.FIELDS.items() if described.required],
        "additionalProperties": False,
    }


def nested_records(record: type[Record]) -> set[type[Record]]:
    """The records that stand, at any depth, in a record's fields."""
    found: set[type[Record]] = set()
    waiting = [record]
    while waiting:
        for described in waiting.pop().FIELDS.values():
            new = set(_records_of(described.kind)) - found
            found |= new
            waiting += new
    return found


def _property(described: Field) -> dict[str, Any]:
    kind = described.kind.schema()
    if described.default is None:  # null, in JSON, says "nothing said"
        kind = {"anyOf": [kind, {"type": "null"}]}
    elif not described.required:
        default = described.default
        kind["default"] = list(default) if isinstance(default, tuple) else default
    return {**kind, "description": described.doc}


def _records_of(kind: Kind) -> Iterator[type[Record]]:
    match kind:
        case Nested():
            yield kind.record
        case Items():
            yield from _records_of(kind.item)
        case Mapping():
            yield from _records_of(kind.value)
        case Union():
            for one in kind.kinds:
                yield from _records_of(one)
