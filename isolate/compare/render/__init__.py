"""Renderings of the document: each is a function of the document alone, and measures nothing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from isolate.errors import IsolateError

if TYPE_CHECKING:
    from isolate.compare.document import Comparison

# A module of this folder for each, with `render(document) -> str`; imported when it is wanted.
FORMATS = ("table", "json")
_SUFFIXES = {"md": "markdown", "txt": "table", "xml": "junit"}


def render(document: Comparison, format: str, *, color: bool = False) -> str:  # noqa: A002 - as the option
    """The document as text. `color` is for terminals, where the format has colours.

    Raises IsolateError for a format that there isn't.
    """
    if format not in FORMATS:
        raise IsolateError(f"{format!r} is no format", hint=f"allowed: {', '.join(FORMATS)}")
    module = importlib.import_module(f"{__name__}.{format}")
    if color and hasattr(module, "render_colored"):
        text: str = module.render_colored(document)
    else:
        text = module.render(document)
    return text


def format_of(path: str) -> str:
    """The format that a file's suffix asks for. Raises IsolateError."""
    suffix = path.rpartition(".")[2].lower()
    found = _SUFFIXES.get(suffix, suffix)
    if found not in FORMATS:
        raise IsolateError(
            f"{path}: no format has the suffix .{suffix}", hint=f"the formats: {', '.join(FORMATS)}"
        )
    return found
