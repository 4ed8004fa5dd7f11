"""The leak check finds what only root can leave behind."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support import cgroups, leaks, session

pytestmark = pytest.mark.needs("root")


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "GRACE", 0.3)


def test_finds_a_mount_that_propagates_from_another_namespace(tmp_path: Path) -> None:
    before = leaks.Snapshot()
    script = 'mount -t tmpfs tmpfs "$1"'
    argv = ["unshare", "--mount", "--propagation=unchanged", "sh", "-c", script, "sh"]
    subprocess.run([*argv, str(tmp_path)], check=True)
    left = leaks.settled(before)
    subprocess.run(["umount", str(tmp_path)], check=True)
    assert len(left) == 1
    assert left[0].startswith("mount: ")
    assert str(tmp_path) in left[0]


@pytest.mark.needs("cgroup:memory")
def test_finds_and_removes_a_cgroup() -> None:
    home = next(item.directory for item in cgroups.own() if "memory" in item.controllers)
    before = leaks.Snapshot()
    inner = Path(home) / f"isolate-leak-{os.getpid()}" / "inner"
    inner.mkdir(parents=True)
    left = leaks.settled(before)
    leaks.clean(left)
    assert left == [f"cgroup: {inner.parent}", f"cgroup: {inner}"]
    assert not inner.parent.exists()


@pytest.mark.needs("cgroup:pids")
def test_leaves_the_cgroups_of_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    home = next(item.directory for item in cgroups.own() if "pids" in item.controllers)
    before = leaks.Snapshot()
    busy = Path(home) / f"isolate-busy-{os.getpid()}"
    busy.mkdir()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        (busy / "cgroup.procs").write_text(str(other.pid))
        assert f"cgroup: {busy}" in leaks.Snapshot().left_since(before)
        monkeypatch.setattr(session, "descendants", set)
        assert f"cgroup: {busy}" not in leaks.Snapshot().left_since(before)
    leaks.clean([f"cgroup: {busy}"])
    assert not busy.exists()


@pytest.mark.needs("ip")
def test_finds_a_link() -> None:
    before = leaks.Snapshot()
    name = f"leak{os.getpid()}"[:15]
    subprocess.run(["ip", "link", "add", name, "type", "veth"], check=True)
    left = leaks.settled(before)
    subprocess.run(["ip", "link", "delete", name], check=True)
    assert f"link: {name}" in left
