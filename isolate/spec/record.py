"""Records: frozen, keyword-only, checked classes, made from a table of fields.

They stand in for dataclasses, whose import alone costs more than a launch may take (see
docs/decisions/0002-records.md). The same table gives checking, dumping, the JSON Schema and the
reference pages.
"""

from __future__ import annotations

from isolate.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Self, dataclass_transform

    from isolate.spec.kinds import Kind
else:

    def dataclass_transform(**_options):
        return lambda decorated: decorated


class _Required:
    """The default of a field that has none."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = _Required()


class Field:
    """One field: what it may hold, what it holds when nothing is said, and what it means."""

    __slots__ = ("default", "doc", "kind", "name")

    def __init__(self, kind: Kind, default: object, doc: str) -> None:
        self.name = ""
        self.kind = kind
        self.default = default
        self.doc = doc

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is REQUIRED

    def check(self, value: object, path: str) -> object:
        """`value` in its canonical form. Raises SpecError."""
        if value is None and self.default is None:
            return None
        return self.kind.check(value, path)


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
        namespace["FIELDS"] = fields
        return super().__new__(mcs, name, bases, namespace)


class Record(metaclass=_RecordType):
    """A frozen record. Construction checks every value and raises SpecError naming its path."""

    if TYPE_CHECKING:
        FIELDS: dict[str, Field]
    else:

        def __init__(self, **values: object) -> None:
            self._fill(values, "")

    @classmethod
    def build(cls, values: dict[str, object], path: str) -> Self:
        """The record of a document's table; errors name their place below `path`."""
        self = cls.__new__(cls)
        self._fill(dict(values), path)
        return self

    def _fill(self, values: dict[str, object], path: str) -> None:
        prefix = f"{path}." if path else ""
        for name, described in self.FIELDS.items():
            value = values.pop(name, described.default)
            if value is REQUIRED:
                raise SpecError(f"{prefix}{name}", "is missing", hint=described.doc)
            object.__setattr__(self, name, described.check(value, f"{prefix}{name}"))
        for unknown in values:
            raise SpecError(
                f"{prefix}{shown(unknown)}",
                "unknown key",
                hint=f"the keys here are: {', '.join(self.FIELDS)}",
            )
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
            if value is not None and not self._is_default(name, value)
        }

    def _is_default(self, name: str, value: object) -> bool:
        described = self.FIELDS[name]
        return not described.required and described.check(described.default, name) == value

    def _items(self) -> Iterator[tuple[str, Any]]:
        for name in self.FIELDS:
            yield name, getattr(self, name)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and dict(self._items()) == dict(other._items())

    def __hash__(self) -> int:
        return hash((type(self), repr(self)))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self._items())
        return f"{type(self).__name__}({shown})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} can't be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} can't be deleted")


def shown(value: object, limit: int = 60) -> str:
    """`value` in a form that is safe and short enough for an error line."""
    text = value if isinstance(value, str) else repr(value)
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= limit else f"{text[:limit]}..."
