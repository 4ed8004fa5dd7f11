"""`isolate probe`: what one backend isolates on this host, proved from both sides."""

from __future__ import annotations

import tempfile
import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isolate.cli.app import JsonOption, app
from isolate.cli.output import print_json, print_table
from isolate.errors import IsolateError
from isolate.spec.record import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isolate.probe.model import Finding


@app.command()
def probe(
    *,
    backend: Annotated[str, typer.Option("--backend", "-b", help="The backend.", metavar="NAME")],
    explain: Annotated[
        str | None, typer.Option("--explain", help="Say all about one probe.", metavar="ID")
    ] = None,
    rootfs: Annotated[
        str | None,
        typer.Option("--rootfs", help="base, host, dir:PATH or tar:PATH.", metavar="SOURCE"),
    ] = None,
    spec: Annotated[
        str | None,
        typer.Option("--spec", help="Spec of the container; - is stdin.", metavar="FILE"),
    ] = None,
    only: Annotated[
        str | None, typer.Option("--only", help="Only a group, or one probe.", metavar="GROUP|ID")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Try to get out of a backend's container, and look from outside whether that succeeded.

    The exit status is 1 where something is exposed that the backend claims to isolate.
    """
    if explain is not None and only is not None:
        raise typer.BadParameter("--explain and --only exclude one another")
    findings = _findings(backend, _document(spec, rootfs), explain or only)
    if json:
        print_json([finding.to_dict() for finding in findings])
    elif explain is not None:
        _explain(findings)
    else:
        _table(findings)
    if any(finding.contradicts for finding in findings):
        raise typer.Exit(1)


def _document(spec: str | None, rootfs: str | None) -> dict[str, Any]:
    """The spec of the containers, without a program."""
    from isolate.spec.load import merge, read_document

    document = read_document(spec) if spec is not None else {}
    document.get("process", {}).pop("args", None)
    return merge(document, {"root": {"source": rootfs}}) if rootfs is not None else document


def _findings(backend: str, document: dict[str, Any], only: str | None) -> list[Finding]:
    from isolate.plugins import load
    from isolate.probe.discover import chosen, discover
    from isolate.probe.session import Session
    from isolate.probe.subject import Contained
    from isolate.runtime.refusal import require_usable

    require_usable(load(backend))
    probes = chosen(discover(), only)
    with tempfile.TemporaryDirectory(prefix="isolate-probe-") as state:
        subject = Contained(backend, document, state)
        try:
            return list(Session(probes).findings(subject))
        finally:
            subject.close()


def _table(findings: Sequence[Finding]) -> None:
    print_table(
        ["PROBE", "VERDICT", "CLAIMED", "WHAT IT MEANS"],
        [
            [
                finding.probe,
                finding.verdict.upper() if finding.contradicts else finding.verdict,
                {True: "yes", False: "no", None: ""}[finding.claimed],
                _meaning(finding),
            ]
            for finding in findings
        ],
    )
    for finding in findings:
        if finding.contradicts:
            typer.echo(
                f"\n{finding.probe}: {finding.backend} claims {finding.feature}, and the host was "
                f"reached: {printable(finding.evidence)}"
            )


def _meaning(finding: Finding) -> str:
    """What the verdict means for the user, in one line."""
    if finding.verdict == "exposed":
        return finding.meaning
    if finding.verdict == "isolated":
        return ""
    if finding.verdict == "vacuous":
        return f"proves nothing, the bare host: {finding.control}"
    return finding.evidence


def _explain(findings: Sequence[Finding]) -> None:
    from isolate.probe.discover import discover

    if len(findings) != 1:
        raise IsolateError("--explain takes the id of one probe", hint=f"as in {findings[0].probe}")
    (finding,) = findings
    found = discover()[finding.probe]
    unclaimed = "no feature speaks of it"
    if finding.feature is not None:
        unclaimed = f"the spec doesn't ask for {finding.feature}"
    claim = {
        True: f"isolated here, by the feature {finding.feature}",
        False: f"nothing: it doesn't have the feature {finding.feature}",
        None: f"nothing: {unclaimed}",
    }[finding.claimed]
    rows = {
        "probe": f"{finding.probe}: {found.summary}",
        "attempt": found.attempt,
        "verdict": finding.verdict,
        "claimed": claim,
        "evidence": finding.evidence,
        "control": finding.control,
        "meaning": finding.meaning,
        "remedy": finding.remedy,
        **({"waived": ", ".join(finding.waived)} if finding.waived else {}),
    }
    for name, text in rows.items():
        lines = textwrap.wrap(printable(text), 88) or [""]
        typer.echo(f"{name:9} " + f"\n{'':10}".join(lines))
