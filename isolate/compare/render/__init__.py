"""Renderings of the document: each is a function of the document alone, and measures nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isolate.errors import IsolateError
from isolate.plugins.registry import find

if TYPE_CHECKING:
    from isolate.compare.document import Comparison

# The function of each, in a module of this folder that is imported when it is wanted.
FORMATS = {
    "table": "table:table",
    "markdown": "markdown:markdown",
    "json": "plain:plain",
    "csv": "longform:longform",
    "junit": "junit:junit",
    "html": "html:html",
}
_COLORED = "table:colored"
_SUFFIXES = {"htm": "html", "md": "markdown", "txt": "table", "xml": "junit"}


def render(document: Comparison, format: str, *, color: bool = False) -> str:  # noqa: A002 - as the option
    """The document as text. `color` is for terminals, where the format has colours.

    Raises IsolateError for a format that there isn't.
    """
    if format not in FORMATS:
        raise IsolateError(f"{format!r} is no format", hint=f"allowed: {', '.join(FORMATS)}")
    place = _COLORED if color and format == "table" else FORMATS[format]
    text: str = find(f"{__name__}.{place}")(document)
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
