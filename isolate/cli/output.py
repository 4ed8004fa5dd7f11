"""What the verbs print: tables for people, JSON for programs, nothing that a terminal acts upon."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from isolate.spec.record import printable

if TYPE_CHECKING:
    from collections.abc import Sequence


def print_json(value: Any) -> None:
    """Indented JSON on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A plain table; cells from outside are made harmless."""
    from tabulate import tabulate

    cells = [[printable(str(cell)) for cell in row] for row in rows]
    sys.stdout.write(
        tabulate(cells, headers=headers, tablefmt="plain", disable_numparse=True) + "\n"
    )
