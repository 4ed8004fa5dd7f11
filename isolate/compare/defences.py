"""What ablation comes to: the independent defences against each probe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isolate.compare.document import ALL_LAYERS
from isolate.probe.model import EXPOSED, ISOLATED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isolate.compare.document import AblationRow


def blockers(rows: Sequence[AblationRow], backend: str, probe: str) -> list[str]:
    """The layers that each suffice alone against a probe: so many must fail.

    Empty where the probe finds nothing to block, or where even all dropped layers together aren't
    what stops it: then what can't be dropped does.
    """
    mine = [row for row in rows if (row.backend, row.probe) == (backend, probe)]
    bare = [row for row in mine if row.layer == ALL_LAYERS]
    if not bare or bare[0].verdict != EXPOSED:
        return []
    return [row.layer for row in mine if row.alone and row.verdict == ISOLATED]


def all_blockers(rows: Sequence[AblationRow]) -> list[tuple[str, str, list[str]]]:
    """Backend, probe and blockers, wherever there are any."""
    pairs = dict.fromkeys((row.backend, row.probe) for row in rows)
    found = [(backend, probe, blockers(rows, backend, probe)) for backend, probe in pairs]
    return [row for row in found if row[2]]
