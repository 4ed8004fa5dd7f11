"""The page of the results: tables and plots of what lies in the JSON files; measures nothing."""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING, Any

from benchmarks import chart

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PAGE = "README.md"


def write(results: Path, cases: Iterable[str]) -> None:
    """Write the page and a plot for each case that has been run."""
    found = [
        json.loads((results / f"{name}.json").read_text())
        for name in cases
        if (results / f"{name}.json").exists()
    ]
    for document in found:
        rows = [(name, [*chain(*blocks)]) for name, blocks in document["samples"].items()]
        plot = chart.bars(document["title"], document["unit"], rows)
        (results / f"{document['case']}.svg").write_text(plot)
    (results / PAGE).write_text("\n".join(_page(found)))


def _page(found: list[dict[str, Any]]) -> list[str]:
    lines = ["# Results of the benchmarks", "", "Written by `make bench`; don't edit.", ""]
    lines += ["| goal | found | 95 % interval | met |", "| --- | --- | --- | --- |"]
    lines += [_goal(goal) for document in found for goal in document["goals"]]
    for document in found:
        lines += ["", *_section(document)]
    return [*lines, ""]


def _section(document: dict[str, Any]) -> list[str]:
    host = document["host"]
    lines = [
        f"## {document['title']}",
        "",
        f"Linux {host['kernel']}, {host['processors']} processors, Python {host['python']}, "
        f"{host['day']}; load when it ended: {host['load']:.1f}."
        + (" **A smoke run: its figures are none.**" if document["quick"] else ""),
        "",
        f"![{document['title']}]({document['case']}.svg)",
        "",
        f"| | median, {document['unit']} | samples |",
        "| --- | ---: | ---: |",
    ]
    for name, middle in document["medians"].items():
        count = sum(map(len, document["samples"][name]))
        lines.append(f"| {name} | {middle:.3g} | {count} |")
    if document["rows"]:
        lines += ["", "| | |", "| --- | ---: |"]
        lines += [f"| {name} | {value} |" for name, value in document["rows"]]
    for remark in document["remarks"]:
        lines += ["", remark]
    return lines


def _goal(goal: dict[str, Any]) -> str:
    interval = f"{goal['low']:.2f} to {goal['high']:.2f}" if "low" in goal else "-"
    return f"| {goal['goal']} (≤ {_limit(goal)}) | {_found(goal)} | {interval} | {_met(goal)} |"


def _limit(goal: dict[str, Any]) -> str:
    return f"{goal['limit']:g} {goal.get('unit', '×')}"


def _found(goal: dict[str, Any]) -> str:
    return f"{goal['value']:.3g} {goal.get('unit', '×')}"


def _met(goal: dict[str, Any]) -> str:
    return "yes" if goal["met"] else "**no**"


def verdict(goal: dict[str, Any]) -> str:
    """One line for the terminal."""
    return f"{'met   ' if goal['met'] else 'missed'}  {goal['goal']}: {_found(goal)}"
