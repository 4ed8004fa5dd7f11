"""The matrix as every rendering shows it: probe groups by backends, each with its worst word."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from isolate.probe.model import ERROR, EXPOSED, INCONCLUSIVE, ISOLATED, VACUOUS

if TYPE_CHECKING:
    from isolate.compare.document import Comparison
    from isolate.probe.model import Finding

# What a cell is called by, the worst first, and the sign that says it without colour.
SIGNS = {EXPOSED: "✗", ERROR: "!", INCONCLUSIVE: "?", ISOLATED: "✓", VACUOUS: "○"}
WORDS = {
    EXPOSED: "the host was reached",
    ERROR: "not tried",
    INCONCLUSIVE: "it can't be told",
    ISOLATED: "the host was out of reach",
    VACUOUS: "the bare host can't be reached this way either",
}


class Cell:
    """The findings of one group on one backend."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        self.counts = Counter(finding.verdict for finding in findings)

    @property
    def verdict(self) -> str | None:
        """The worst verdict; None where nothing was tried."""
        return next((name for name in SIGNS if self.counts[name]), None)

    @property
    def share(self) -> float:
        """The part of the findings that has that verdict, from 0 to 1."""
        worst = self.verdict
        return self.counts[worst] / len(self.findings) if worst else 0.0

    @property
    def words(self) -> str:
        """As in `2 of 7 exposed`; a verdict that all have stands alone."""
        worst = self.verdict
        if worst is None:
            return "not tried"
        count = self.counts[worst]
        return worst if count == len(self.findings) else f"{count} of {len(self.findings)} {worst}"


class Matrix:
    """A document's findings by group, probe and backend, in the document's order.

    Attributes:
        backends: the names of the backends that were probed.
        groups: the groups' names.
    """

    def __init__(self, document: Comparison) -> None:
        self._found: dict[tuple[str, str], Finding] = {
            (finding.probe, finding.backend): finding for finding in document.probes
        }
        self.probes = list(dict.fromkeys(finding.probe for finding in document.probes))
        self.groups = list(dict.fromkeys(probe.partition(".")[0] for probe in self.probes))
        probed = {finding.backend for finding in document.probes}
        self.backends = [row.name for row in document.backends if row.name in probed]

    def of_group(self, group: str) -> list[str]:
        """The probes of a group."""
        return [probe for probe in self.probes if probe.partition(".")[0] == group]

    def cell(self, group: str, backend: str) -> Cell:
        """A group on a backend."""
        found = [self.finding(probe, backend) for probe in self.of_group(group)]
        return Cell([finding for finding in found if finding is not None])

    def finding(self, probe: str, backend: str) -> Finding | None:
        """One probe on one backend; None where it was not run."""
        return self._found.get((probe, backend))

    def control(self, probe: str) -> str:
        """Whether the bare host was reached: exposed or vacuous; as far as the verdicts tell."""
        verdicts = {self._found[key].verdict for key in self._found if key[0] == probe}
        if VACUOUS in verdicts:
            return VACUOUS
        return EXPOSED if verdicts & {ISOLATED, EXPOSED} else INCONCLUSIVE

    def reached(self, group: str) -> str:
        """How many probes of a group reach the bare host, in words."""
        probes = self.of_group(group)
        count = sum(self.control(probe) == EXPOSED for probe in probes)
        return "reached" if count == len(probes) else f"{count} of {len(probes)} reached"

    def exposed(self, backend: str) -> list[Finding]:
        """What was found exposed on a backend."""
        return [
            finding
            for (_, name), finding in self._found.items()
            if name == backend and finding.verdict == EXPOSED
        ]

    def contradictions(self) -> list[Finding]:
        """What a backend promises and a probe found exposed."""
        return [finding for finding in self._found.values() if finding.contradicts]
