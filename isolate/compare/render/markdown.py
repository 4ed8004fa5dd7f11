"""The comparison as Markdown tables, for a README or an issue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isolate.compare.render.figures import NONE, by_metric, label, quantity, ratio
from isolate.compare.render.matrix import SIGNS, Matrix
from isolate.probe.subject import HOST
from isolate.spec.record import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isolate.compare.document import Comparison


def markdown(document: Comparison) -> str:
    """The matrix by groups, contradictions, the costs, and on which host."""
    matrix = Matrix(document)
    parts = [
        *(f"> {_cell(warning)}" for warning in document.warnings),
        *([_matrix(matrix)] if matrix.probes else []),
        *([_contradictions(matrix)] if matrix.contradictions() else []),
        *([_costs(document)] if document.metrics else []),
        _host(document),
    ]
    return "\n\n".join(parts) + "\n"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose cells are taken as text, whatever stands in them."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    """One line, in which nothing is markup; the control characters of terminals are shown."""
    plain = shown(text, 500).replace("\\", "\\\\")
    for sign in "|`*_<>[]":
        plain = plain.replace(sign, f"\\{sign}")
    return plain


def _matrix(matrix: Matrix) -> str:
    rows = []
    for group in matrix.groups:
        cells = [matrix.cell(group, name) for name in matrix.backends]
        words = [f"{SIGNS[cell.verdict]} {cell.words}" if cell.verdict else NONE for cell in cells]
        rows.append([f"{group} ({len(matrix.of_group(group))})", *words])
    return table(["probes", *matrix.backends], rows)


def _contradictions(matrix: Matrix) -> str:
    rows = [
        [finding.backend, finding.feature or "", finding.probe, finding.evidence]
        for finding in matrix.contradictions()
    ]
    return "Promised, and found exposed:\n\n" + table(
        ["backend", "promises", "probe", "evidence"], rows
    )


def _costs(document: Comparison) -> str:
    """Metrics by backends, median and ratio; the baseline first."""
    metrics = by_metric(document.metrics)
    names = list(dict.fromkeys(row.backend for row in document.metrics))
    rows = []
    for metric, measured in metrics.items():
        first = {row.backend: row for row in reversed(measured)}
        cells = []
        for name in names:
            row = first.get(name)
            if row is None or row.median is None:
                cells.append(NONE)
            elif name == HOST:
                cells.append(quantity(row.median, row.unit))
            else:
                cells.append(f"{quantity(row.median, row.unit)} {ratio(row)}")
        rows.append([metric, *cells])
    return table(["metric", *map(label, names)], rows)


def _host(document: Comparison) -> str:
    host = document.environment
    away = [row for row in document.backends if not row.usable]
    text = (
        f"Linux {host.kernel}, {host.cpu}, {host.cpus} CPUs, {host.started}; "
        f"isolate {host.isolate}."
    )
    reasons = [f"{row.name} ({'; '.join(found.what for found in row.problems)})" for row in away]
    return _cell(text + (f" Not usable here: {', '.join(reasons)}." if reasons else ""))
