"""Hypothesis strategies for specs, derived from the kinds: a new field is covered at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from isolate.errors import SpecError
from isolate.spec import Spec
from isolate.spec.kinds import (
    Boolean,
    Choice,
    Integer,
    Items,
    Kind,
    Mapping,
    Nested,
    Number,
    Size,
    Text,
    Union,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from isolate.spec.record import Field, Record

PLAIN = Text().pattern
_PRINTABLE = st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"])
_ANY_CHARACTER = st.characters(codec="utf-8", exclude_characters="\0")
_RAW_BYTE = st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF, categories=["Cs"])


def documents(record: type[Record] = Spec, *, raw_bytes: bool = False) -> st.SearchStrategy[Any]:
    """Tables that build a `record`. With `raw_bytes`, strings may hold bytes that aren't UTF-8."""
    required = {name: _field(one, raw_bytes) for name, one in _fields(record) if one.required}
    optional = {name: _field(one, raw_bytes) for name, one in _fields(record) if not one.required}
    tables = st.fixed_dictionaries(required, optional=optional)
    return tables.map(lambda table: _mended(record, table)).filter(lambda table: table is not None)


def specs(*, raw_bytes: bool = False) -> st.SearchStrategy[Spec]:
    return documents(raw_bytes=raw_bytes).map(lambda document: Spec.build(document, ""))


def values(kind: Kind, *, raw_bytes: bool = False) -> st.SearchStrategy[Any]:
    """Values that a kind accepts, in a document's form."""
    return _BY_KIND[type(kind)](kind, raw_bytes)


def _fields(record: type[Record]) -> list[tuple[str, Field]]:
    return list(record.FIELDS.items())


def _field(described: Field, raw_bytes: bool) -> st.SearchStrategy[Any]:
    return values(described.kind, raw_bytes=raw_bytes)


def _mended(record: type[Record], table: dict[str, Any]) -> dict[str, Any] | None:
    """The table without the keys that contradict others, so that few examples are lost."""
    for _ in range(len(table) + 1):
        try:
            record.build(table, "")
        except SpecError as error:
            key = error.path.split(".")[0].split("[")[0]
            if key not in table or record.FIELDS[key].required:
                return None
            table = {name: value for name, value in table.items() if name != key}
        else:
            return table
    return None


def _text(kind: Text, raw_bytes: bool) -> st.SearchStrategy[str]:
    if kind.pattern == PLAIN:
        alphabet = _ANY_CHARACTER | _RAW_BYTE if raw_bytes else _ANY_CHARACTER
        return st.text(alphabet, max_size=8).filter(lambda text: _accepts(kind, text))
    shaped = st.from_regex(kind.pattern, alphabet=_PRINTABLE)
    return shaped.filter(lambda text: _accepts(kind, text))


def _accepts(kind: Text, text: str) -> bool:
    try:
        kind.check(text, "")
    except SpecError:
        return False
    return True


def _size(kind: Size, _raw_bytes: bool) -> st.SearchStrategy[Any]:
    numbers = st.integers(kind.low, kind.high)
    suffixed = st.builds(
        lambda n, suffix: f"{n}{suffix}", st.integers(1, 999), st.sampled_from("GMmgT")
    )
    return numbers | suffixed.filter(lambda text: kind.low <= Size(0).check(text, "") <= kind.high)


def _items(kind: Items, raw_bytes: bool) -> st.SearchStrategy[Any]:
    return st.lists(
        values(kind.item, raw_bytes=raw_bytes), min_size=kind.least, max_size=kind.least + 2
    )


def _mapping(kind: Mapping, raw_bytes: bool) -> st.SearchStrategy[Any]:
    keys, items = values(kind.key), values(kind.value, raw_bytes=raw_bytes)
    return st.dictionaries(keys, items, max_size=2)


_BY_KIND: dict[type[Kind], Callable[[Any, bool], st.SearchStrategy[Any]]] = {
    Text: _text,
    Boolean: lambda _kind, _raw: st.booleans(),
    Integer: lambda kind, _raw: st.integers(kind.low, kind.high),
    Number: lambda kind, _raw: st.floats(kind.low, kind.high),
    Size: _size,
    Choice: lambda kind, _raw: st.sampled_from(kind.words),
    Items: _items,
    Mapping: _mapping,
    Nested: lambda kind, raw: documents(kind.record, raw_bytes=raw),
    Union: lambda kind, raw: st.one_of(*(values(one, raw_bytes=raw) for one in kind.kinds)),
}
