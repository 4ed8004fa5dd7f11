"""What every registered probe must have, and what may be carried inside."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import isolate.probe.inside
from isolate.backend.features import FEATURES
from isolate.probe.discover import discover
from isolate.probe.model import InsideProbe, LiveProbe
from isolate.probe.plugin import PROBES

INSIDE = sorted(Path(isolate.probe.inside.__path__[0]).glob("*.py"))
FOUND = discover()


def test_every_probe_of_ours_is_sound() -> None:
    assert list(FOUND) == list(PROBES)


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_says_what_a_report_needs(name: str) -> None:
    found = FOUND[name]
    for text in (found.probe.meaning, found.probe.remedy):
        assert text.endswith(".")
        assert 20 < len(text) < 200
    assert 5 < len(found.summary) < 80
    assert not found.summary.endswith(".")
    assert found.attempt.endswith(".")
    assert found.probe.__doc__ != found.probe.__mro__[1].__doc__
    assert found.probe.feature is None or found.probe.feature in FEATURES


@pytest.mark.parametrize("name", PROBES)
def test_an_attempt_is_a_function_that_says_what_it_tries(name: str) -> None:
    probe = FOUND[name].probe
    if not issubclass(probe, InsideProbe):
        assert issubclass(probe, LiveProbe) or "observe" in vars(probe)
        return
    module, _, function = probe.attempt.partition(":")
    __import__(module)
    assert getattr(sys.modules[module], function).__doc__


@pytest.mark.parametrize("path", INSIDE, ids=lambda path: path.stem)
def test_what_runs_inside_imports_the_standard_library_and_its_like(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    ]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    strange = [
        name
        for name in names
        if name.partition(".")[0] not in sys.stdlib_module_names
        and not f"{name}.".startswith("isolate.probe.inside.")
    ]
    assert strange == []
