"""The benchmarks' code works; what they measure is no test's business."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from benchmarks import chart, figures, report
from benchmarks.__main__ import CASES
from tests.support import source

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)


@pytest.mark.needs("root", "busybox", "bwrap", "crun", "gcc", "runc")
def test_a_smoke_run_of_every_case(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "benchmarks", "--quick", "--results", str(tmp_path)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        argv, cwd=source.ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for case in CASES:
        document = json.loads((tmp_path / f"{case}.json").read_text())
        assert document["quick"]
        assert all(samples for blocks in document["samples"].values() for samples in blocks)
        ET.parse(tmp_path / f"{case}.svg")  # noqa: S314 - written a moment ago by ourselves
    page = (tmp_path / report.PAGE).read_text()
    assert page.count("runc run") >= 2
    assert page.count("](") == len(CASES)


def test_a_ratio_is_of_blocks_that_belong_together() -> None:
    """The machine's mood changes from block to block; the ratio doesn't."""
    theirs = [[10.0 * mood, 11.0 * mood, 12.0 * mood] for mood in (1, 5, 2, 9, 3, 1, 7)]
    ours = [[value / 2 for value in block] for block in theirs]
    assert figures.ratio(ours, theirs) == (0.5, 0.5, 0.5)


def test_an_interval_holds_its_ratio() -> None:
    theirs = [[1.0]] * 9
    found = figures.ratio([[1.0 + number / 10] for number in range(9)], theirs)
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(1.4)


def test_names_are_text_in_a_plot() -> None:
    svg = chart.bars("<b>", "ms", [("<script>", [1.0]), ("two", [1.0, 2.0, 3.0])])
    assert "<script>" not in svg
    assert len(ET.fromstring(svg).findall("{*}rect")) == 2  # noqa: S314 - our own text
