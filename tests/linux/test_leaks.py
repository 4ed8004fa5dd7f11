"""The leak check finds what is left behind, and believes a kernel that is only slow."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.support import leaks, session


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "GRACE", 0.3)


def test_finds_a_child() -> None:
    before = leaks.Snapshot()
    with subprocess.Popen(["sleep", "60"]) as child:
        left = leaks.settled(before)
        child.kill()
    assert len(left) == 1
    assert left[0].startswith(f"process: {child.pid} ")
    assert left[0].endswith("sleep 60")


def test_finds_and_ends_an_orphan() -> None:
    before = leaks.Snapshot()
    script = "setsid sleep 60 </dev/null >/dev/null 2>&1 & echo $!"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    left = leaks.settled(before)
    assert [line.split()[:2] for line in left] == [["process:", done.stdout.strip()]]
    leaks.clean(left)
    assert leaks.settled(before) == []


def test_finds_a_descriptor() -> None:
    before = leaks.Snapshot()
    descriptor = os.open("/dev/null", os.O_RDONLY)
    left = leaks.settled(before)
    os.close(descriptor)
    assert left == [f"descriptor: {descriptor} -> /dev/null"]


def test_waits_for_what_is_ending() -> None:
    before = leaks.Snapshot()
    with subprocess.Popen(["sleep", "0.1"]) as child:
        child.wait()
        assert leaks.settled(before) == []


def test_descendants_are_ours() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        assert child.pid in session.descendants()
        assert os.getpid() not in session.descendants()
