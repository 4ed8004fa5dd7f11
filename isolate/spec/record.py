"""Records: frozen, keyword-only, checked classes, made from a table of fields.

They stand in for dataclasses, whose import alone costs more than a launch may take (see
docs/decisions/0002-records.md). The same table gives checking, dumping, the JSON Schema and the
reference pages.
"""

from __future__ import annotations

from isolate.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, ClassVar, Self, dataclass_transform

    from isolate.spec.kinds import Kind
else:

    def dataclass_transform(**_options: object) -> Callable[[type], type]:
        """What typing's does at run time: nothing, but without its import."""
        return lambda decorated: decorated


class _Required:
    """The default of a field that has none."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = _Required()


class Field:
    """One field: what it may hold, what it holds when nothing is said, and what it means."""

    __slots__ = ("_unsaid", "default", "doc", "kind", "name")

    def __init__(self, kind: Kind, default: object, doc: str) -> None:
        self.name = ""
        self.kind = kind
        self.default = default
        self.doc = doc
        self._unsaid: object = REQUIRED

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is REQUIRED

    def check(self, value: object, path: str) -> object:
        """`value` in its canonical form. Raises SpecError."""
        if value is None and self.default is None:
            return None
        return self.kind.check(value, path)

    def unsaid(self) -> object:
        """The canonical value when nothing is said; frozen, so that all records share it."""
        if self._unsaid is REQUIRED:
            self._unsaid = self.check(self.default, self.name)
        return self._unsaid


def field(kind: Kind, *, default: Any = REQUIRED, doc: str) -> Any:
    """A field of a record; a default of None makes None ("nothing said") a legal value."""
    return Field(kind, default, doc)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class _RecordType(type):
    """Turns the `field(...)` lines of a class body into slots and the table FIELDS."""

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **_kw: Any
    ) -> _RecordType:
        fields = {key: value for key, value in namespace.items() if isinstance(value, Field)}
        for key, value in fields.items():
            value.name = key
            del namespace[key]
        namespace["__slots__"] = tuple(fields)
        namespace["FIELDS"] = {}
        for table in (*(getattr(base, "FIELDS", {}) for base in bases), fields):
            namespace["FIELDS"].update(table)
        return super().__new__(mcs, name, bases, namespace)


class Record(metaclass=_RecordType):
    """A frozen record. Construction checks every value and raises SpecError naming its path."""

    if TYPE_CHECKING:
        FIELDS: ClassVar[dict[str, Field]]
    else:

        def __init__(self, **values: object) -> None:
            self._fill(values, "")

    @classmethod
    def build(cls, values: object, path: str) -> Self:
        """The record of a document's table; errors name their place below `path`.

        Raises SpecError, also where `values` is no table at all.
        """
        if not isinstance(values, dict):
            raise SpecError(path, f"{quoted(values)} stands where a table belongs")
        self = cls.__new__(cls)
        self._fill(values, path)
        return self

    def _fill(self, values: dict[str, object], path: str) -> None:
        for key in values:
            if key not in self.FIELDS:
                raise SpecError(below(path, key), "unknown key", hint=_keys_hint(self.FIELDS, key))
        for name, described in self.FIELDS.items():
            if name in values:
                value = described.check(values[name], below(path, name))
            elif described.required:
                raise SpecError(below(path, name), "is missing", hint=described.doc)
            else:
                value = described.unsaid()
            object.__setattr__(self, name, value)
        self.validate(path)

    def validate(self, path: str) -> None:
        """Check what concerns several fields at once; records override it. Raises SpecError."""

    def replace(self, **changes: object) -> Self:
        """A copy with other values in some fields."""
        return type(self).build({**dict(self._items()), **changes}, "")

    def to_dict(self) -> dict[str, Any]:
        """Plain data (dict, list, str, int, float, bool) that builds an equal record.

        Fields that hold their default are left out.
        """
        return {
            name: self.FIELDS[name].kind.dump(value)
            for name, value in self._items()
            if self._is_said(name, value)
        }

    def _is_said(self, name: str, value: object) -> bool:
        described = self.FIELDS[name]
        return described.required or value != described.unsaid()

    def _items(self) -> Iterator[tuple[str, Any]]:
        for name in self.FIELDS:
            yield name, getattr(self, name)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and dict(self._items()) == dict(other._items())

    def __hash__(self) -> int:
        return hash((type(self), tuple(_hashable(value) for _, value in self._items())))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).build, (self.to_dict(), "")  # slots and proxies don't pickle or copy

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self._items())
        return f"{type(self).__name__}({values})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} can't be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} can't be deleted")


def _hashable(value: Any) -> object:
    """`value`, or what stands for it in a hash: a mapping is equal in any order."""
    return frozenset(value) if hasattr(value, "keys") else value


def below(path: str, key: object) -> str:
    """The path of `key` in the table at `path`; safe to print, whatever the key."""
    return f"{path}.{shown(key)}" if path else shown(key)


def shown(value: object, limit: int = 60) -> str:
    """`value` in words that are safe and short enough for an error line: one line, printable."""
    if isinstance(value, str):
        text = value[: limit + 1]  # before the escaping, which a huge string would make slow
        text = text if text.isprintable() else ascii(text)[1:-1]
        return text if len(text) <= limit else f"{text[:limit]}..."
    for word, constant in (("true", True), ("false", False), ("null", None)):
        if value is constant:
            return word
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of {value.bit_length()} bits"  # repr refuses the longest
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return "a list"
    return "a table" if hasattr(value, "keys") else f"a {type(value).__name__}"


def printable(text: str) -> str:
    """Text from outside in one line, without what a terminal would act upon."""
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )


def quoted(value: object) -> str:
    """As `shown`, with quotation marks around a string, so that "5" isn't mistaken for 5."""
    return f'"{shown(value)}"' if isinstance(value, str) else shown(value)


def _keys_hint(known: Iterable[str], wrong: object) -> str:
    """What the keys are, and first the one that was probably meant."""
    hint = f"the keys here are: {', '.join(known)}"
    if isinstance(wrong, str) and len(wrong) < 40:  # the search is quadratic
        from difflib import get_close_matches

        for close in get_close_matches(wrong, known, n=1):
            return f"did you mean {close}? {hint}"
    return hint
