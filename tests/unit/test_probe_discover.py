"""Probes of third parties: found by their entry points, named where they are broken."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from isolate.errors import IsolateError
from isolate.probe import bundle
from isolate.probe.discover import chosen, discover
from isolate.probe.plugin import PROBES

if TYPE_CHECKING:
    from pathlib import Path

SOUND = '''
from isolate import hookimpl
from isolate.probe import InsideProbe, judged

class Sound(InsideProbe):
    """Try
    something.

    More about it."""

    meaning = "It means something."
    remedy = "Close it."
    attempt = "strangers_attempt:attempt"

    def confirm(self, scene, answer):
        return judged(answer, "tried", reached=False)
'''
ATTEMPT = "def attempt(): return 1\n"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on sys.path in which `strangers` is the plugin of a distribution."""
    metadata = tmp_path / "strangers-1.dist-info"
    metadata.mkdir()
    (metadata / "entry_points.txt").write_text("[isolate_runtime]\nstrangers = strangers\n")
    (tmp_path / "strangers_attempt.py").write_text(ATTEMPT)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "strangers", raising=False)
    bundle._source.cache_clear()
    return tmp_path


def found(directory: Path, *lines: str, hook: str = "") -> tuple[list[str], list[str]]:
    """What is discovered beside our own, and the warnings, with a plugin of these lines."""
    body = "".join(f"    {line}\n" for line in (lines or ("pass",)))
    text = f"{SOUND}{hook}\n@hookimpl\ndef isolate_register_probes(registry):\n{body}"
    (directory / "strangers.py").write_text(text)
    warnings: list[str] = []
    known = discover(warnings.append)
    ours = {name: row.probe.__module__ for name, row in known.items() if name in PROBES}
    assert list(ours) == list(PROBES)
    assert all(module.startswith("isolate.probe.catalogue.") for module in ours.values())
    return [name for name in known if name not in PROBES], warnings


def test_a_sound_one_stands_beside_our_own(install: Path) -> None:
    names, warnings = found(install, 'registry.add("x.sound", Sound, summary="try it")')
    assert (names, warnings) == (["x.sound"], [])
    row = discover()["x.sound"]
    assert (row.summary, row.attempt) == ("try it", "Try something.")
    assert list(chosen(discover(), "x")) == ["x.sound"]


@pytest.mark.parametrize(
    ("line", "hook", "words"),
    [
        ('registry.add("x", Sound)', "", "its id is not GROUP.NAME"),
        ('registry.add("x.y", dict)', "", "no subclass of isolate.probe.Probe"),
        ('registry.add("x.y", "none.such:Probe")', "", "ModuleNotFoundError"),
        ('registry.add("x.y", Sound)', "Sound.meaning = 'a\\x1b[2J'", "its meaning is"),
        ('registry.add("x.y", Sound)', "Sound.remedy = ''", "its remedy is"),
        ('registry.add("x.y", Sound)', "del Sound.meaning", "its meaning is null"),
        ('registry.add("x.y", Sound)', "del Sound.attempt", "attempt"),
        ('registry.add("x.y", Sound)', "Sound.attempt = 'none_such:x'", "no Python source"),
        ('registry.add("x.y", InsideProbe)', "", "its meaning is"),
        ('registry.add("fs.direct", Sound)', "", "fs.direct is registered twice"),
        ("raise SystemExit(3)", "", "SystemExit"),
        ('print("noise"); 1 / 0', "", "ZeroDivisionError"),
    ],
)
def test_a_broken_one_is_named_and_left_out(
    install: Path, capfd: pytest.CaptureFixture[str], line: str, hook: str, words: str
) -> None:
    names, warnings = found(install, line, hook=hook)
    assert names == []
    (warning,) = warnings
    assert words in warning
    assert warning.isprintable()
    assert capfd.readouterr().out == ""


def test_an_attempt_that_needs_more_than_a_python_is_refused(install: Path) -> None:
    (install / "strangers_attempt.py").write_text("import pluggy.none_such\n" + ATTEMPT)
    names, warnings = found(install, 'registry.add("x.y", Sound)')
    assert names == []
    assert "pluggy.none_such" in warnings[0]


def test_what_is_asked_for_must_be_there() -> None:
    with pytest.raises(IsolateError, match='no probe "f"'):
        chosen(discover(), "f")
    assert list(chosen(discover(), "time.boot")) == ["time.boot"]
    assert len(chosen(discover(), None)) >= len(PROBES)
