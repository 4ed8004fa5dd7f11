"""Spec files: reading TOML and JSON without trusting them, merging flags over them, writing them.

What is refused, is refused with the place: a path in the document where it parsed, a line and a
column where it did not. A byte order mark of UTF-8 is skipped, as editors on other systems write
it; any other encoding is refused.
"""

from __future__ import annotations

import errno
import os
import stat

from isolate.errors import SpecError
from isolate.spec.model import Spec
from isolate.spec.record import below, quoted, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_BYTES = 2**20

FORMATS = ("toml", "json")

# What a command line gives replaces these lists of a file; others it appends to.
_REPLACED = ("process.args",)

_BOM = b"\xef\xbb\xbf"


def load_file(path: str) -> Spec:
    """The spec in a file; `-` is standard input. Raises SpecError."""
    return Spec.build(read_document(path), "")


def loads(text: str | bytes, format: str | None = None) -> Spec:  # noqa: A002 - as shutil has it
    """The spec in a document; `format` is "toml", "json", or None to look. Raises SpecError."""
    return Spec.build(parse(text, format), "")


def read_document(path: str) -> dict[str, Any]:
    """The document in a file, as plain data that isn't checked yet (`merge` takes it).

    The suffix .toml or .json says the format; without one, the content does. Only regular files
    of at most MAX_BYTES are read, or standard input for `-`. Raises SpecError.
    """
    data = _read(path)
    suffix = os.path.splitext(path)[1].lower().removeprefix(".")
    return parse(data, suffix if suffix in FORMATS else None)


def parse(text: str | bytes, format: str | None = None) -> dict[str, Any]:  # noqa: A002 - as shutil
    """The document in `text`, as plain data that isn't checked yet. Raises SpecError."""
    if format not in (None, *FORMATS):
        raise SpecError("", f"{quoted(format)} is no format", hint="allowed: toml, json")
    text = _decode(text)
    if format is None:
        format = "json" if text.lstrip()[:1] == "{" else "toml"  # noqa: A001 - as above
    from isolate.spec.syntax import parse_json, parse_toml

    document = parse_json(text) if format == "json" else parse_toml(text)
    if not isinstance(document, dict):
        raise SpecError("", f"the document is {quoted(document)}, where a table belongs")
    return document


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """A file's document with the flags' over it; neither is changed.

    Tables merge key by key, lists append, everything else of `over` replaces. The one list that
    replaces is process.args: the command after `--` is the command.
    """
    return _merge(base, over, "")


def dumps(spec: Spec, format: str = "toml") -> str:  # noqa: A002 - as shutil has it
    """A document that loads as an equal spec; keys that hold their default are left out.

    Raises SpecError for a string with bytes that aren't UTF-8 in TOML, which can't hold it.
    """
    document = spec.to_dict()
    if format == "json":
        import json

        return json.dumps(document, indent=2) + "\n"
    if format != "toml":
        raise SpecError("", f"{quoted(format)} is no format", hint="allowed: toml, json")
    _refuse_surrogates(document, "")
    import tomli_w

    return tomli_w.dumps(document)


def _merge(base: dict[str, Any], over: dict[str, Any], path: str) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        place, old = below(path, key), base.get(key)
        if isinstance(value, dict):
            value = _merge(old if isinstance(old, dict) else {}, value, place)  # noqa: PLW2901
        elif isinstance(value, (list, tuple)) and isinstance(old, (list, tuple)):
            value = [*(() if place in _REPLACED else old), *value]  # noqa: PLW2901 - reads best
        merged[key] = value
    return merged


def _read(path: str) -> bytes:
    try:
        if path == "-":
            return _read_all(0, "standard input")
        # Without O_NONBLOCK, opening a FIFO would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise SpecError(
                    "", f"{shown(path)} is not a regular file", hint="from a pipe: --spec -"
                )
            return _read_all(descriptor, shown(path))
        finally:
            os.close(descriptor)
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        raise SpecError("", f"{shown(path)}: {reason}") from error
    except ValueError as error:  # a NUL or a surrogate in the path
        raise SpecError("", f"{shown(path)} is no path") from error


def _read_all(descriptor: int, name: str) -> bytes:
    """All of it, but never more than one byte beyond the limit."""
    parts: list[bytes] = []
    room = MAX_BYTES + 1
    while room and (part := os.read(descriptor, room)):
        parts.append(part)
        room -= len(part)
    if not room:
        raise SpecError(
            "", f"{name} has more than {MAX_BYTES} bytes", hint="a spec is a small file"
        )
    return b"".join(parts)


def _decode(text: str | bytes) -> str:
    try:
        data = text.encode("utf-8") if isinstance(text, str) else bytes(text)
        if len(data) > MAX_BYTES:
            raise SpecError("", f"the document has more than {MAX_BYTES} bytes")
        return data.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        skipped = len(_BOM) if data.startswith(_BOM) else 0
        byte, offset = error.object[error.start], error.start + skipped
        raise SpecError(f"byte {offset}", f"0x{byte:02x} is not UTF-8 here") from error
    except UnicodeEncodeError as error:
        raise SpecError(f"character {error.start}", "is not text that UTF-8 can hold") from error


def _refuse_surrogates(value: Any, path: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_surrogates(key, below(path, key))
            _refuse_surrogates(item, below(path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _refuse_surrogates(item, f"{path}[{number}]")
    elif isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
        raise SpecError(path, "holds bytes that aren't UTF-8: TOML can't", hint="write it as JSON")
