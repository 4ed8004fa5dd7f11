"""The pages of the spec and of the features, from the tables of the records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from generator.markdown import cell, code, table
from isolate.backend import features
from isolate.cli import flags
from isolate.cli.options import RUN_OPTIONS
from isolate.spec import kinds
from isolate.spec.model import VIEWS, Spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isolate.spec.kinds import Kind
    from isolate.spec.record import Field, Record

_SPEC_INTRODUCTION = """\
# The spec

One document says what a container is to be. It is written in TOML or in JSON, and read by
`isolate run --spec FILE`; flags build the same object and go over the file. A key that is left
out means "nothing said": then the default below holds, and where that is *none*, the backend's
own. An unknown key is an error that names its place, as in `mounts[2].sorce: unknown key`.

A document has at most {bytes} bytes. Sizes are numbers of bytes, or strings with a binary unit:
`"64M"`, `"64MiB"` and `67108864` are the same. `isolate schema` prints all this as JSON Schema.
"""

_FEATURES_INTRODUCTION = """\
# Features

What a spec can ask for and a backend can promise, as words. `isolate run` compares the two before
it makes anything, and refuses what is missing by these names. `--require FEATURE` asks for one
whatever the spec says; `--allow-degraded FEATURE` lets one be missing, and the result then lists
it as waived. `isolate backends --json` lists what each backend promises on your host.

A feature may be written with `=` for its first dot: `kernel=separate` is `kernel.separate`.
"""


def spec_page() -> str:
    """The reference of the spec: a section for each record."""
    from isolate.spec.load import MAX_BYTES

    sections = [_section(record, prefix) for record, prefix in _records(Spec, "")]
    return "\n".join([_SPEC_INTRODUCTION.format(bytes=MAX_BYTES), *sections])


def _records(record: type[Record], prefix: str) -> Iterator[tuple[type[Record], str | None]]:
    """Each record once, depth first; with its path where it stands at one place only."""
    seen: set[type[Record]] = set()
    waiting: list[tuple[type[Record], str | None]] = [(record, prefix)]
    while waiting:
        current, path = waiting.pop(0)
        if current in seen:
            continue
        seen.add(current)
        yield current, path
        waiting[:0] = [
            (found, f"{path}{name}." if direct and path is not None else None)
            for name, described in current.FIELDS.items()
            for found, direct in _nested(described.kind)
        ]


def _nested(kind: Kind) -> list[tuple[type[Record], bool]]:
    match kind:
        case kinds.Nested():
            return [(kind.record, True)]
        case kinds.Items():
            return [(record, False) for record, _direct in _nested(kind.item)]
        case kinds.Mapping():
            return [(record, False) for record, _direct in _nested(kind.value)]
    return []


def _section(record: type[Record], prefix: str | None) -> str:
    rows = [
        [
            code(name),
            _holds(described.kind),
            _default(described),
            _flags_of(prefix, name),
            cell(described.doc),
        ]
        for name, described in record.FIELDS.items()
    ]
    title = f"## {record.__name__}\n\n{(record.__doc__ or '').strip()}"
    return f"{title}\n\n{table(['Key', 'Holds', 'Default', 'Flag', 'Meaning'], rows)}"


def _holds(kind: Kind) -> str:
    """What a field may hold, with links to the records."""
    match kind:
        case kinds.Nested():
            name = kind.record.__name__
            return f"table [{name}](#{name.lower()})"
        case kinds.Items() if _nested(kind.item):
            return f"list of {_holds(kind.item)}"
        case kinds.Items():
            return f"list, each {cell(kind.item.allowed)}"
        case kinds.Mapping():
            return f"table; each key {cell(kind.key.allowed)}; each value: {_holds(kind.value)}"
    return cell(kind.allowed)


def _default(described: Field) -> str:
    if described.required:
        return "*required*"
    plain = {None: "*none*", (): "empty"}
    if isinstance(described.default, dict):
        return "its own" if isinstance(described.kind, kinds.Nested) else "empty"
    if described.default in plain:
        return plain[described.default]
    if described.name == "umask":
        return code(f"{described.default} (octal 022)")
    value = described.default
    return code(str(value).lower() if isinstance(value, bool) else value)


def _flags_of(prefix: str | None, name: str) -> str:
    if prefix is None:
        return ""
    if f"{prefix}{name}" == "process.args":
        return "after " + code("--")
    names = {option.dest: option for option in RUN_OPTIONS}
    spelled = [
        code(names[dest].flags[0])
        for dest, (path, _convert) in flags._PLACES.items()  # noqa: SLF001 - the one table of it
        if path == f"{prefix}{name}"
    ]
    return " ".join(spelled)


def features_page() -> str:
    """The reference of the features."""
    rows = [
        [code(name), cell(meaning), _asked_by(name)] for name, meaning in features.FEATURES.items()
    ]
    return f"{_FEATURES_INTRODUCTION}\n{table(['Feature', 'Meaning', 'Asked for by'], rows)}"


def _asked_by(name: str) -> str:
    """The keys of a spec that ask for a feature."""
    area, _, rest = name.partition(".")
    if name == "root":
        return "every spec"
    if area == "view" and rest in VIEWS:
        extra = " " + code("privileges.users") if rest == "users" else ""
        return code("isolate") + extra
    # A limit's row there says what goes with it when it is waived.
    asked = {} if area == "limits" else features._ASKED_BY  # noqa: SLF001 - the one table of it
    paths = asked.get(name, name).split()
    found = [path for path in paths if _is_key(path)]
    if not found and area == "mounts":
        found = ["mounts"]
    return " ".join(map(code, found)) or code("require") + " only"


def _is_key(path: str) -> bool:
    record: type[Record] = Spec
    *tables, key = path.split(".")
    for name in tables:
        nested = _nested(record.FIELDS[name].kind) if name in record.FIELDS else []
        if not nested:
            return False
        record = nested[0][0]
    return key in record.FIELDS
