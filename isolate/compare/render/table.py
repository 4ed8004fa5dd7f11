"""The document for a terminal: contradictions, the heat map of probe groups, overhead, the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabulate import tabulate

from isolate.compare.defences import all_blockers
from isolate.compare.render.figures import NONE, label, quantity, ratio
from isolate.compare.render.matrix import SIGNS, Matrix
from isolate.probe.model import ERROR, EXPOSED, ISOLATED
from isolate.probe.subject import HOST
from isolate.spec.record import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from isolate.compare.document import BackendRow, Comparison, MetricRow
    from isolate.probe.model import Finding

    Paint = Callable[[str, str], str]

_COLORS = {ISOLATED: "32", EXPOSED: "31", ERROR: "35", "title": "1"}


def table(document: Comparison) -> str:
    """As plain text."""
    return _render(document, lambda text, _kind: text)


def colored(document: Comparison) -> str:
    """With the colours of a terminal, beside the words and never instead of them."""
    return _render(document, _painted)


def _painted(text: str, kind: str) -> str:
    color = _COLORS.get(kind, "33")
    return f"\x1b[{color}m{text}\x1b[0m" if text else text


def _render(document: Comparison, paint: Paint) -> str:
    parts = [
        _warnings(document, paint),
        _absent(document, paint),
        _contradictions(document, paint),
        _heat_map(document, paint),
        _exposed(document, paint),
        _overhead(document, paint),
        _ablation(document, paint),
        _prices(document, paint),
        _environment(document),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _titled(title: str, body: str, paint: Paint) -> str:
    return f"{paint(title, 'title')}\n{body}" if body else ""


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    return tabulate(rows, headers=headers, tablefmt="plain", disable_numparse=True)


def _warnings(document: Comparison, paint: Paint) -> str:
    lines = [f"! {printable(text)}" for text in document.warnings]
    return _titled("WARNINGS", "\n".join(lines), paint)


def _absent(document: Comparison, paint: Paint) -> str:
    rows = [[row.name, printable(_why_not(row))] for row in document.backends]
    rows = [row for row in rows if row[1]]
    return _titled("NOT, OR NOT WHOLLY, COMPARED", _table(["BACKEND", "WHY"], rows), paint)


def _why_not(row: BackendRow) -> str:
    """Why a backend isn't, or isn't wholly, in the comparison; empty where it is."""
    return row.failure or "; ".join(f"{one.what} ({one.remedy})" for one in row.problems)


def _contradictions(document: Comparison, paint: Paint) -> str:
    rows = [
        [found.backend, found.probe, found.feature or "", printable(found.evidence)]
        for found in Matrix(document).contradictions()
    ]
    headers = ["BACKEND", "PROBE", "PROMISED", "FOUND"]
    return _titled("CONTRADICTIONS: promised, and found exposed", _table(headers, rows), paint)


def _heat_map(document: Comparison, paint: Paint) -> str:
    """Groups by backends, a cell by its worst verdict; the bare host first."""
    matrix = Matrix(document)
    rows = [
        [
            group,
            matrix.reached(group),
            *(_cell(matrix, group, each, paint) for each in matrix.backends),
        ]
        for group in matrix.groups
    ]
    body = _table(["GROUP", HOST, *map(printable, matrix.backends)], rows)
    return _titled("ISOLATION: probes by group, the worst of each", body, paint)


def _cell(matrix: Matrix, group: str, backend: str, paint: Paint) -> str:
    """As in `✗ 2 of 7 exposed`."""
    cell = matrix.cell(group, backend)
    return paint(f"{SIGNS[cell.verdict]} {cell.words}", cell.verdict) if cell.verdict else NONE


def _exposed(document: Comparison, paint: Paint) -> str:
    """Each probe that reached the host somewhere: where, and what that means."""
    matrix, rows = Matrix(document), []
    open_in: dict[str, list[Finding]] = {}
    for found in (found for name in matrix.backends for found in matrix.exposed(name)):
        open_in.setdefault(found.probe, []).append(found)
    for probe in filter(open_in.__contains__, matrix.probes):
        names = " ".join(printable(found.backend) for found in open_in[probe])
        rows.append([probe, paint(names, EXPOSED), printable(open_in[probe][0].meaning)])
    return _titled("EXPOSED", _table(["PROBE", "IN", "MEANS"], rows), paint)


def _overhead(document: Comparison, paint: Paint) -> str:
    """A line for each metric and subject; the metric's name stands in its first."""
    rows: list[list[str]] = []
    seen: set[str] = set()
    for row in document.metrics:
        first = row.metric if row.metric not in seen else ""
        seen.add(row.metric)
        rows.append(
            [first, printable(label(row.backend)), quantity(row.median, row.unit), *_against(row)]
        )
    blocks = max((len(row.samples) for row in document.metrics), default=0)
    title = (
        "OVERHEAD: medians, and ratios to the bare host in the same block, with 95% intervals; "
        f"{blocks} blocks; ~ no difference within 5%"
    )
    headers = ["METRIC", "OF", "MEDIAN", "RATIO", "REMARKS"]
    return _titled(title, _table(headers, rows), paint)


def _against(row: MetricRow) -> list[str]:
    """The cells that follow a row's median."""
    remarks = [*row.flags, *([f"{len(row.failures)} failed"] if row.failures else [])]
    if row.note:
        remarks.append(row.note)
    baseline = row.backend == HOST or row.ratio is None
    return ["" if baseline else ratio(row), printable(", ".join(remarks))]


def _ablation(document: Comparison, paint: Paint) -> str:
    rows = [
        [backend, probe, str(len(found)), ", ".join(found)]
        for backend, probe, found in all_blockers(document.ablation)
    ]
    body = _table(["BACKEND", "PROBE", "DEFENCES", "EACH OF WHICH SUFFICES"], rows)
    notes = [[row.backend, row.layer, printable(row.note)] for row in document.layers if row.note]
    kept = _table(["BACKEND", "LAYER", "CAN'T BE DROPPED ALONE"], notes)
    return _titled("DEFENCE IN DEPTH", "\n\n".join(part for part in (body, kept) if part), paint)


def _prices(document: Comparison, paint: Paint) -> str:
    rows = [
        [
            row.backend,
            row.layer,
            row.metric,
            printable(row.note or "-")
            if row.difference is None
            else f"{quantity(row.difference, row.unit)} "
            f"[{quantity(row.low, row.unit)}, {quantity(row.high, row.unit)}]",
        ]
        for row in document.prices
    ]
    headers = ["BACKEND", "LAYER", "METRIC", "COSTS"]
    return _titled("PRICE OF EACH LAYER", _table(headers, rows), paint)


def _environment(document: Comparison) -> str:
    return "\n".join(_facts(document))


def _facts(document: Comparison) -> Iterator[str]:
    host, settings = document.environment, document.settings
    load = " ".join(f"{value:.2f}" for value in host.load)
    after = " ".join(f"{value:.2f}" for value in host.load_end)
    yield printable(
        f"Linux {host.kernel} {host.machine}; {host.cpus} CPUs, {host.cpu}; "
        f"{quantity(float(host.memory_bytes), 'B')}; cgroups {host.cgroups}"
        + (f"; in {host.virtualization}" if host.virtualization else "")
    )
    yield f"load {load} before, {after} after; {host.started}, {host.seconds or 0:.0f} s"
    tools = [f"{row.name}: {row.tool}" for row in document.backends if row.tool]
    yield printable(
        f"isolate {host.isolate}, Python {host.python}; "
        + "".join(f"{tool}; " for tool in tools)
        + f"root {settings.root}; seed {settings.seed}"
    )
