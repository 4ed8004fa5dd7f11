"""The matrix as JUnit XML, which CI systems show as tests."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, tostring

from isolate.probe.model import ERROR, EXPOSED, ISOLATED

if TYPE_CHECKING:
    from isolate.compare.document import Comparison
    from isolate.probe.model import Finding


def junit(document: Comparison) -> str:
    """A suite for each backend, a test for each probe.

    Exposed though promised is a failure; exposed without a promise, vacuous and inconclusive are
    skipped with the verdict; an error is an error.
    """
    suites = Element("testsuites", name="isolate compare")
    for row in document.backends:
        findings = [finding for finding in document.probes if finding.backend == row.name]
        if not findings:
            continue
        attributes = {"name": _text(row.name), **_counts(findings)}
        suite = SubElement(suites, "testsuite", attributes)
        for finding in findings:
            case = SubElement(
                suite, "testcase", classname=_text(row.name), name=_text(finding.probe)
            )
            _outcome(case, finding)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(suites, encoding="unicode") + "\n"


def _counts(findings: list[Finding]) -> dict[str, str]:
    failures = sum(finding.contradicts for finding in findings)
    errors = sum(finding.verdict == ERROR for finding in findings)
    passed = sum(finding.verdict == ISOLATED for finding in findings)
    return {
        "tests": str(len(findings)),
        "failures": str(failures),
        "errors": str(errors),
        "skipped": str(len(findings) - failures - errors - passed),
    }


def _outcome(case: Element, finding: Finding) -> None:
    if finding.verdict == ISOLATED:
        return
    if finding.verdict == ERROR:
        kind = "error"
    elif finding.contradicts:
        kind = "failure"
    else:
        kind = "skipped"
    message = f"{finding.verdict}: {finding.evidence}"
    found = SubElement(case, kind, message=_text(message))
    if finding.verdict == EXPOSED:
        found.text = _text(f"{finding.meaning} {finding.remedy}")


def _text(value: str) -> str:
    """Without the characters that XML 1.0 can't hold."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in value)
