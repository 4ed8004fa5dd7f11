"""The comparison as CSV in long form: one line for each verdict and each sample."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isolate.compare.document import Comparison

HEADINGS = ("kind", "name", "backend", "block", "value", "unit", "verdict", "claimed", "evidence")


def longform(document: Comparison) -> str:
    """Lines of `probe` and of `sample`; fields that don't apply are empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADINGS, lineterminator="\n")
    writer.writeheader()
    for finding in document.probes:
        writer.writerow(
            {
                "kind": "probe",
                "name": finding.probe,
                "backend": _safe(finding.backend),
                "verdict": finding.verdict,
                "claimed": "" if finding.claimed is None else str(finding.claimed).lower(),
                "evidence": _safe(finding.evidence),
            }
        )
    for row in document.metrics:
        for block, value in zip(row.blocks, row.samples, strict=True):
            writer.writerow(
                {
                    "kind": "sample",
                    "name": row.metric,
                    "backend": _safe(row.backend),
                    "block": block,
                    "value": repr(value),
                    "unit": row.unit,
                }
            )
    return text.getvalue()


def _safe(text: str) -> str:
    """Text that no spreadsheet takes for a formula, and in one line."""
    line = text if text.isprintable() else ascii(text)[1:-1]
    return f"'{line}" if line[:1] in ("=", "+", "-", "@") else line
