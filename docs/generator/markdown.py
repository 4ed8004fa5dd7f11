"""Markdown from plain parts: tables, code, and docstrings."""

from __future__ import annotations

import html
import inspect
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_SECTION = re.compile(r"^(Args|Attributes|Raises):$")
_ITEM = re.compile(r"^    (\S[^:]*): (.*)$")


def code(text: object) -> str:
    """Inline code, safe in a table's cell."""
    words = str(text)
    if "|" not in words:
        return f"`{words}`"
    return f"<code>{html.escape(words).replace('|', '&#124;')}</code>"


def cell(text: str) -> str:
    """Prose in a table's cell."""
    return " ".join(text.split()).replace("|", "&#124;")


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are Markdown already."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def prose(documented: object) -> str:
    """A docstring as Markdown: its sections become lists."""
    lines, output, in_section = inspect.getdoc(documented) or "", list[str](), False
    for line in lines.splitlines():
        section, item = _SECTION.match(line), _ITEM.match(line)
        if section:
            in_section = True
            output += [f"{section[1]}:", ""]
        elif in_section and item:
            output.append(f"- `{item[1]}`: {item[2]}")
        elif in_section and line.startswith("     "):
            output.append(f"  {line.strip()}")
        else:
            in_section = in_section and not line
            output.append(line)
    return "\n".join(output).strip()


def signature(function: Callable[..., object], name: str) -> str:
    """A function's signature as Python writes it, without `self`."""
    found = inspect.signature(function)
    parameters = [one for key, one in found.parameters.items() if key != "self"]
    text = f"{name}{found.replace(parameters=parameters)}"
    return re.sub(r"(: |-> )'([^']+)'", r"\1\2", text)  # annotations are strings until Python 3.14
