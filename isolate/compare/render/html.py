"""The report: one HTML file with all that it needs, safe to open whatever is written in it.

Everything is in the page before any script runs; the script shows evidence and sorts. The page's
policy lets only that script run, by its hash, and no request leave.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isolate.compare.defences import all_blockers
from isolate.compare.document import ALL_LAYERS
from isolate.compare.render import charts
from isolate.compare.render.figures import by_metric, label, quantity, ratio, worth_drawing
from isolate.compare.render.matrix import SIGNS, WORDS, Matrix
from isolate.probe.model import EXPOSED

if TYPE_CHECKING:
    from isolate.compare.document import Comparison, MetricRow
    from isolate.probe.model import Finding

_TEMPLATES = Path(__file__).with_name("template")


def html(document: Comparison) -> str:
    """The whole page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"quantity": quantity, "ratio": ratio}
    style, script = (_asset("report.css"), _asset("report.js"))
    matrix = Matrix(document)
    return environment.get_template("report.html.j2").render(
        document=document,
        matrix=matrix,
        signs=SIGNS,
        words=WORDS,
        contradictions=matrix.contradictions(),
        metrics=[
            _metric(name, rows)
            for name, rows in by_metric(document.metrics).items()
            if worth_drawing(rows)
        ],
        trade=charts.trade(document, matrix),
        layers=_layers(document, matrix),
        defences=all_blockers(document.ablation),
        facts=_facts(document),
        findings=Markup(_embedded([_plain(finding) for finding in document.probes])),  # noqa: S704 - escaped for this place
        style=Markup(style),  # noqa: S704 - a file of ours
        script=Markup(script),  # noqa: S704 - a file of ours
        policy=_policy(style, script),
    )


def _asset(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """A Content-Security-Policy by which the page's own style and script are all that counts."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src "
        f"'{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _embedded(value: Any) -> str:
    """JSON that can stand in a script element: no markup in it, none of HTML's own."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _plain(finding: Finding) -> dict[str, str]:
    """A finding as the dialog shows it."""
    promise = "" if finding.feature is None else f"{finding.feature}: "
    return {
        "probe": finding.probe,
        "backend": finding.backend,
        "verdict": finding.verdict,
        "evidence": finding.evidence,
        "control": finding.control,
        "meaning": finding.meaning,
        "remedy": finding.remedy,
        "promise": promise and promise + ("yes" if finding.claimed else "no"),
        "waived": ", ".join(finding.waived),
    }


def _metric(name: str, rows: list[MetricRow]) -> dict[str, Any]:
    """A metric's table and charts."""
    return {
        "name": name,
        "rows": rows,
        "names": [label(row.backend) for row in rows],
        "intervals": charts.intervals(rows),
        "strips": charts.strips(rows),
    }


def _layers(document: Comparison, matrix: Matrix) -> list[dict[str, Any]]:
    """For each backend and layer, the probes that were opened by dropping it."""
    opened: dict[tuple[str, str], list[str]] = {}
    for row in document.ablation:
        if row.alone or row.layer == ALL_LAYERS:
            continue
        found = opened.setdefault((row.backend, row.layer), [])
        whole = matrix.finding(row.probe, row.backend)
        if row.verdict == EXPOSED and (whole is None or whole.verdict != EXPOSED):
            found.append(row.probe)
    return [
        {"backend": backend, "layer": layer, "opened": probes}
        for (backend, layer), probes in opened.items()
    ]


def _facts(document: Comparison) -> list[tuple[str, str]]:
    """The environment and the settings as words, what is unknown left out."""
    environment, settings = document.environment, document.settings
    rows: list[tuple[str, Any]] = [
        ("isolate", environment.isolate),
        ("Python", environment.python),
        ("kernel", f"{environment.kernel}, {environment.machine}"),
        ("CPU", f"{environment.cpu}, {environment.cpus} usable"),
        ("memory", quantity(environment.memory_bytes, "B")),
        ("governor", environment.governor),
        ("hypervisor", environment.virtualization),
        ("load at the start", " ".join(f"{value:.2f}" for value in environment.load)),
        ("load at the end", " ".join(f"{value:.2f}" for value in environment.load_end)),
        ("cgroups", environment.cgroups),
        ("security modules", ", ".join(environment.lsms)),
        ("user id", str(environment.user)),
        ("took", quantity(environment.seconds, "s") if environment.seconds else None),
        ("root", settings.root),
        ("spec", json.dumps(dict(settings.spec)) if settings.spec else None),
        ("seed", str(settings.seed)),
        ("command", " ".join(environment.command)),
        *((f"CPU: {name}", value) for name, value in environment.mitigations.items()),
    ]
    return [(name, str(value)) for name, value in rows if value]
