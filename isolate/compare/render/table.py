"""The document for a terminal: contradictions, the heat map of probe groups, overhead, the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabulate import tabulate

from isolate.compare.ablate import blockers
from isolate.compare.document import AGAIN
from isolate.compare.render import words
from isolate.probe.model import ERROR, EXPOSED, ISOLATED
from isolate.probe.subject import HOST
from isolate.spec.record import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from isolate.compare.document import Comparison, MetricRow
    from isolate.probe.model import Finding

    Paint = Callable[[str, str], str]

_COLORS = {ISOLATED: "32", EXPOSED: "31", ERROR: "35", "title": "1"}


def render(document: Comparison) -> str:
    """As plain text."""
    return _render(document, lambda text, _kind: text)


def render_colored(document: Comparison) -> str:
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
    rows = [[row.name, printable(words.why_not(row))] for row in document.backends]
    rows = [row for row in rows if row[1]]
    return _titled("NOT, OR NOT WHOLLY, COMPARED", _table(["BACKEND", "WHY"], rows), paint)


def _contradictions(document: Comparison, paint: Paint) -> str:
    rows = [
        [found.backend, found.probe, found.feature or "", printable(found.evidence)]
        for found in words.contradictions(document)
    ]
    headers = ["BACKEND", "PROBE", "PROMISED", "FOUND"]
    return _titled("CONTRADICTIONS: promised, and found exposed", _table(headers, rows), paint)


def _heat_map(document: Comparison, paint: Paint) -> str:
    names = list(dict.fromkeys(found.backend for found in document.probes))
    rows = []
    for group in words.groups(document):
        of_group = [found for found in document.probes if found.group == group]
        rows.append(
            [group, *(_cell([f for f in of_group if f.backend == name], paint) for name in names)]
        )
    key = "  ".join(f"{glyph} {verdict}" for verdict, glyph in words.GLYPHS.items())
    table = _table(["GROUP", *names], rows)
    return _titled("ISOLATION: probes by group", f"{table}\n{key}" if table else "", paint)


def _cell(findings: Sequence[Finding], paint: Paint) -> str:
    """Counts by verdict, each with its glyph: `7+ 1-`."""
    return " ".join(
        paint(f"{number}{words.GLYPHS[verdict]}", verdict)
        for verdict, number in words.count(findings).items()
    )


def _exposed(document: Comparison, paint: Paint) -> str:
    """Each probe that reached the host somewhere: where, and what that means."""
    rows = []
    for probe in dict.fromkeys(found.probe for found in document.probes):
        open_in = [f for f in document.probes if f.probe == probe and f.verdict == EXPOSED]
        if open_in:
            names = " ".join(found.backend for found in open_in)
            rows.append([probe, paint(names, EXPOSED), printable(open_in[0].meaning)])
    return _titled("EXPOSED", _table(["PROBE", "IN", "MEANS"], rows), paint)


def _overhead(document: Comparison, paint: Paint) -> str:
    """A line for each metric and subject; the metric's name stands in its first."""
    rows: list[list[str]] = []
    seen: set[str] = set()
    for row in document.metrics:
        label = f"{AGAIN} (A/A)" if row.backend == AGAIN else row.backend
        first = row.metric if row.metric not in seen else ""
        seen.add(row.metric)
        rows.append([first, label, words.figure(row.median, row.unit), *_against(row)])
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
    return ["" if baseline else words.ratio(row), printable(", ".join(remarks))]


def _ablation(document: Comparison, paint: Paint) -> str:
    rows = []
    for backend, probe in dict.fromkeys((row.backend, row.probe) for row in document.ablation):
        found = blockers(document.ablation, backend, probe)
        if found:
            rows.append([backend, probe, str(len(found)), ", ".join(found)])
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
            else f"{words.figure(row.difference, row.unit)} "
            f"[{words.figure(row.low, row.unit)}, {words.figure(row.high, row.unit)}]",
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
        f"{words.figure(float(host.memory_bytes), 'B')}; cgroups {host.cgroups}"
        + (f"; in {host.virtualization}" if host.virtualization else "")
    )
    yield f"load {load} before, {after} after; {host.started}, {host.seconds or 0:.0f} s"
    tools = [f"{row.name}: {row.tool}" for row in document.backends if row.tool]
    yield printable(
        f"isolate {host.isolate}, Python {host.python}; "
        + "".join(f"{tool}; " for tool in tools)
        + f"root {settings.root}; seed {settings.seed}"
    )
