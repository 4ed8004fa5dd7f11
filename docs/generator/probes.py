"""The page of the probes, from the catalogue that isolate registers itself."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from generator.markdown import cell, code, table
from isolate.probe.discover import discover
from isolate.probe.model import Finding
from isolate.probe.plugin import PROBES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isolate.probe.discover import Found

_INTRODUCTION = """\
# Probes

What `isolate probe` and `isolate compare` try in a container, and look at from outside. Each
attempt is made on the bare host first: what fails there too proves nothing about a container.
`isolate probe --backend=NAME --explain=ID` tries one and says all about it; a package of your own
[adds more](../how-to/write-a-probe.md).

The verdicts:

{verdicts}

The last column is the [feature](features.md) by which a backend claims to be isolated here.

"""


def probes_page() -> str:
    """The reference of the probes, a table for each group."""
    verdicts = Finding.FIELDS["verdict"].doc.split("; ")
    listed = "\n".join(f"- `{name}`: {meaning}" for name, _, meaning in map(_parts, verdicts))
    return _INTRODUCTION.format(verdicts=listed) + "\n".join(_groups())


def _parts(text: str) -> tuple[str, str, str]:
    return text.partition(": ")


def _groups() -> Iterator[str]:
    found = discover()
    for group, names in groupby(PROBES, lambda name: name.partition(".")[0]):
        rows = [_row(name, found[name]) for name in names]
        yield f"## {group}\n\n{table(['Probe', 'Attempt', 'Exposed means', 'Remedy', ''], rows)}"


def _row(name: str, found: Found) -> list[str]:
    probe = found.probe
    feature = code(probe.feature) if probe.feature else ""
    return [code(name), *map(cell, (found.attempt, probe.meaning, probe.remedy)), feature]
