"""What the renderings say in the same words: figures with units, ratios, glyphs, groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isolate.probe.model import ERROR, EXPOSED, INCONCLUSIVE, ISOLATED, VACUOUS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isolate.compare.document import BackendRow, Comparison, MetricRow
    from isolate.probe.model import Finding

GLYPHS = {ISOLATED: "+", EXPOSED: "-", VACUOUS: "o", INCONCLUSIVE: "?", ERROR: "!"}
_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_BYTES = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))


def figure(value: float | None, unit: str) -> str:
    """A value with three digits and the unit that suits its size; `-` for what isn't known."""
    if value is None:
        return "-"
    scales = {"s": _SECONDS, "B": _BYTES}.get(unit, ((0.0, unit),))
    scale, name = next((row for row in scales if abs(value) >= row[0]), scales[-1])
    return f"{value / (scale or 1):.3g} {name}"


def ratio(row: MetricRow) -> str:
    """`x1.23 [1.20, 1.26]`; `~` before it where it is shown that there is no difference."""
    if row.ratio is None or row.low is None or row.high is None:
        return "-"
    return f"{'~ ' if row.same else ''}x{row.ratio:.3g} [{row.low:.3g}, {row.high:.3g}]"


def groups(document: Comparison) -> list[str]:
    """The groups of the probes, in their order."""
    return list(dict.fromkeys(finding.group for finding in document.probes))


def contradictions(document: Comparison) -> list[Finding]:
    """What was promised and found exposed."""
    return [finding for finding in document.probes if finding.contradicts]


def count(findings: Sequence[Finding]) -> dict[str, int]:
    """How many findings have each verdict, in the verdicts' order, without those that none has."""
    verdicts = [finding.verdict for finding in findings]
    return {verdict: verdicts.count(verdict) for verdict in GLYPHS if verdict in verdicts}


def why_not(row: BackendRow) -> str:
    """Why a backend isn't, or isn't wholly, in the comparison; empty where it is."""
    problems = "; ".join(f"{one.what} ({one.remedy})" for one in row.problems)
    return row.failure or problems
