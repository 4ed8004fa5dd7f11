"""The renderings of a comparison: complete, and safe whatever is written in it."""

from __future__ import annotations

import csv
import io
import re
from xml.etree import ElementTree as ET

import pytest

from isolate.compare.document import MetricRow
from isolate.compare.render import charts
from isolate.compare.render.figures import quantity, ratio
from isolate.compare.render.html import html
from isolate.compare.render.junit import junit
from isolate.compare.render.longform import HEADINGS, longform
from isolate.compare.render.markdown import markdown
from isolate.compare.render.matrix import Matrix
from tests.support.comparisons import BACKENDS, HOSTILE, PROBES, comparison, document


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0123, "s", "12.3 ms"),
        (1.5e-7, "s", "150 ns"),
        (0.0, "s", "0.00 s"),
        (0.0031, "1/s", "0.0031 1/s"),
        (25_934.2, "containers", "25,934 containers"),
        (3 * 2**20, "B", "3.00 MiB"),
        (1234.5, "1/s", "1,234 1/s"),
        (None, "s", "–"),
    ],
)
def test_a_quantity_has_three_digits_and_a_unit(value: float | None, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


def test_a_ratio_says_where_it_is_none() -> None:
    row = MetricRow(metric="m", backend="b", unit="s", ratio=1.5, low=1.25, high=2.0)
    assert ratio(row) == "×1.50 [1.25, 2.00]"
    assert ratio(row.replace(same=True)) == "~ ×1.50 [1.25, 2.00]"
    assert ratio(row.replace(ratio=None)) == "–"


def test_the_worst_verdict_stands_for_the_cell() -> None:
    matrix = Matrix(comparison())
    assert matrix.groups == ["fs", "kernel", "pid", "net", "info", "limit", "life"]
    assert matrix.cell("fs", "chroot").words == "2 of 3 exposed"
    assert matrix.cell("fs", "runc").words == "isolated"
    assert matrix.cell("life", "runc").verdict == "error"
    assert matrix.cell("fs", "nowhere").verdict is None
    assert matrix.control("kernel.log") == "vacuous"
    assert [one.backend for one in matrix.contradictions()] == ["jail"]


def test_ticks_are_few_round_and_in_order() -> None:
    for values in ([1.0, 1.04], [1.0, 2.5], [0.9, 31.0], [1e-7, 1e3], [1.0], [5.0, 5.0]):
        scale = charts.LogScale(values)
        ticks = scale.ticks()
        assert 1 <= len(ticks) <= 8
        assert ticks == sorted(ticks)
        assert all(0 <= scale(tick) <= charts.WIDTH for tick in ticks)
        assert all(0 <= scale(value) <= charts.WIDTH for value in values)


def test_markdown_has_every_group_and_metric() -> None:
    text = markdown(comparison())
    assert "| fs (3) | ✗ 2 of 3 exposed | ✓ isolated | ✓ isolated | ✓ isolated |" in text
    assert re.search(r"^\| startup \| .* ms \| .* ms ×", text, re.MULTILINE)
    assert "gvisor (there is no runsc here)" in text
    assert "Promised, and found exposed" in text


def test_the_long_form_has_a_line_for_each_verdict_and_sample() -> None:
    rows = list(csv.DictReader(io.StringIO(longform(comparison()))))
    assert tuple(rows[0]) == HEADINGS
    assert sum(row["kind"] == "probe" for row in rows) == len(PROBES) * len(BACKENDS)
    assert sum(row["kind"] == "sample" for row in rows) == 2 * 30 * (len(BACKENDS) + 2)
    assert float(next(row for row in rows if row["kind"] == "sample")["value"]) > 0


def test_junit_fails_what_was_promised_and_found_exposed() -> None:
    suites = ET.fromstring(junit(comparison()).partition("\n")[2])  # noqa: S314 - our own
    found = {suite.attrib["name"]: suite for suite in suites}
    assert set(found) == set(BACKENDS)
    assert found["jail"].attrib["failures"] == "1"
    assert found["runc"].attrib["errors"] == "1"
    assert found["namespaces"].attrib["failures"] == "0"
    for suite in suites:
        kinds = [child.tag for case in suite for child in case]
        for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert kinds.count(kind) == int(suite.attrib[name])
        assert len(suite) == int(suite.attrib["tests"])


def test_the_page_is_small_and_names_nothing_elsewhere() -> None:
    text = html(comparison())
    assert len(text.encode()) < 1 << 20
    assert re.findall(r"(?:src|href)=\"(?!#|data:)", text) == []
    assert "http" not in text.replace('http-equiv="Content-Security-Policy"', "")


def test_nothing_was_measured() -> None:
    bare = comparison(probes=[], metrics=[])
    assert '<section id="environment">' in html(bare)
    assert '<section id="cost">' not in html(bare)
    assert markdown(bare).startswith("Linux")
    assert longform(bare).splitlines() == [",".join(HEADINGS)]
    assert "<testcase" not in junit(bare)


def test_hostile_text_is_only_text() -> None:
    made = document()
    made["backends"][0]["name"] = HOSTILE
    for row in (*made["probes"], *made["metrics"]):
        if row["backend"] == "chroot":
            row["backend"] = HOSTILE
    made["probes"][0] |= {"evidence": "=cmd()" + HOSTILE, "meaning": HOSTILE}
    hostile = comparison(**made, warnings=[HOSTILE])
    page = html(hostile)
    assert page.count("<script") == 2
    assert page.count("</script") == 2
    text = markdown(hostile)
    assert "\x1b" not in text
    assert len({line.count(" | ") for line in text.splitlines() if line.startswith("| fs")}) == 1
    assert "<script>" not in text
    ET.fromstring(junit(hostile).partition("\n")[2])  # noqa: S314 - our own
    rows = list(csv.DictReader(io.StringIO(longform(hostile))))
    assert "\x1b" not in "".join(row["backend"] + row["evidence"] for row in rows)
    assert rows[0]["evidence"].startswith("'=cmd()")
