"""A full run of the probes changes nothing on the host, and leaves nothing there."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from isolate.probe.discover import chosen, discover
from isolate.probe.model import Scene
from isolate.probe.session import Session
from isolate.probe.subject import Contained
from tests.support import leaks
from tests.support.configurations import Naive
from tests.support.detached import until

if TYPE_CHECKING:
    from isolate.probe.subject import Subject

pytestmark = [pytest.mark.needs("root", "unshare"), pytest.mark.timeout(180)]

# What counts, measures or is random by itself.
_MOVING = (
    "fs/aio-nr fs/dentry-state fs/file-nr fs/inode-nr fs/inode-state fs/quota kernel/ns_last_pid "
    "kernel/random kernel/pty/nr net/netfilter/nf_conntrack_count"
).split()


def host() -> dict[str, object]:
    """What a probe might change on the host."""
    return {
        "host name": (socket.gethostname(), Path("/proc/sys/kernel/domainname").read_text()),
        "sysctls": _sysctls(),
        "mounts": _lines("/proc/self/mountinfo"),
        "addresses": [*_lines("/proc/net/fib_trie"), *_lines("/proc/net/if_inet6")],
        "keys": _keys(),
        "shared memory": _lines("/proc/sysvipc/shm")[1:],
        "/dev/shm": sorted(os.listdir("/dev/shm")),
        "message queues": _queues(),
        "devices": sorted(str(path) for path in Path("/dev").rglob("*") if "pts" not in path.parts),
        "modules": sorted(os.listdir("/sys/module")),
        "places": [(place, sorted(os.listdir(place))) for place in ("/", "/etc", "/root")],
    }


def _sysctls() -> dict[str, str]:
    found = {}
    for top, _directories, names in os.walk("/proc/sys"):
        for name in names:
            path = f"{top}/{name}"
            if path.removeprefix("/proc/sys/").startswith(tuple(_MOVING)):
                continue
            try:
                found[path] = Path(path).read_text()
            except (OSError, UnicodeDecodeError):
                continue
    return found


def _keys() -> list[str]:
    """The keys of users: description and owner. Those of the kernel's come and go."""
    rows = [line.split(maxsplit=8) for line in _lines("/proc/keys")]
    return sorted(f"{row[5]} {row[7]} {row[8]}" for row in rows if row[7] == "user")


def _queues() -> list[str]:
    """The POSIX message queues of our namespace, seen by a mount in a private namespace."""
    script = "mount -t mqueue none /mnt && ls -A /mnt"
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


@pytest.fixture
def probes() -> Session:
    return Session(chosen(discover(), None))


@pytest.fixture
def scenes(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The scratch directories of the probes, as they are made."""
    made: list[Path] = []

    class Watched(Scene):
        def __init__(self, subject: Subject) -> None:
            super().__init__(subject)
            made.append(Path(self.directory))

    monkeypatch.setattr("isolate.probe.session.Scene", Watched)
    return made


def test_a_full_run_leaves_the_host_as_it_was(
    probes: Session, scenes: list[Path], tmp_path: Path
) -> None:
    """Bare, in containers sound and broken, of those whose probes do reach the host."""
    before, snapshot = host(), leaks.Snapshot()
    assert any(outcome.reached for outcome in probes.control.values())
    for name in ("namespaces", "chroot"):
        subject = Contained(name, {}, str(tmp_path))
        list(probes.findings(subject))
        subject.close()
    exposed = [row for row in probes.findings(Naive()) if row.verdict == "exposed"]
    assert len(exposed) > 20
    after = host()
    changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    assert changed == {}
    assert len(scenes) >= 4
    assert [path for path in scenes if path.exists()] == []
    assert leaks.settled(snapshot) == []


def test_the_snapshot_sees_what_it_should() -> None:
    """A check that can't fail is none."""
    from isolate.probe.inside import ipc

    before = host()
    key = ipc.make_key("isolate-test-key", "x")
    segment = ipc.make_segment(0x15A7E, "x")
    ipc.make_queue("isolate-test-queue", "x")
    node = Path("/dev/shm/isolate-test")
    node.write_text("x")
    try:
        after = host()
    finally:
        ipc.remove_key(key)
        ipc.remove_segment(segment)
        ipc.remove_queue("isolate-test-queue")
        node.unlink()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"keys", "shared memory", "/dev/shm", "message queues", "devices"}
    until(lambda: host() == before)  # the kernel takes its time with keys
