"""isolate killed by SIGKILL at every point: gc, or the next create of that id, leaves nothing."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import cgroups, leaks
from tests.support.faults import Victim

if TYPE_CHECKING:
    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("root")

POINTS = {
    "namespaces": set(
        "reserve root cgroup.recorded cgroup.made cgroup.limited launch cloned mapped configured "
        "receipt created start".split()
    ),
    "chroot": set(
        "reserve root cgroup.recorded cgroup.made launch cloned configured receipt created "
        "start".split()
    ),
}
POINTS["rootless"] = POINTS["namespaces"] - {"cgroup.recorded", "cgroup.made", "cgroup.limited"}
ENDS = {f"{when} {name}" for name in ("start", "wait", "delete") for when in ("before", "after")}


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path


def spec_of(kind: str, busybox: Path, volume: Path) -> dict[str, Any]:
    script = "mkdir /made; echo x > /made/x; chown 7 /made/x 2>/dev/null; exit 3"
    spec: dict[str, Any] = {
        "root": {"source": f"dir:{busybox}"},
        "process": {"args": ["sh", "-c", script]},
    }
    if kind != "chroot":
        spec["mounts"] = [
            {"source": str(volume), "target": "/volume"},
            {"type": "tmpfs", "target": "/more"},
        ]
    return spec


def victim(isolate: Isolate, kind: str, busybox: Path, volume: Path) -> Victim:
    backend = "chroot" if kind == "chroot" else "namespaces"
    return Victim(isolate, backend, spec_of(kind, busybox, volume))


def left_in(state: Path) -> list[str]:
    return sorted(
        str(path.relative_to(state))
        for name in ("containers", "ranges", "trash")
        for path in (state / name).glob("*")
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["namespaces", "chroot"])
def test_killed_at_every_point(
    isolate_cmd: Isolate, busybox: Path, volume: Path, kind: str
) -> None:
    die_at_every_point(isolate_cmd, kind, victim(isolate_cmd, kind, busybox, volume))


@pytest.mark.timeout(120)
@pytest.mark.needs("newuidmap")
def test_killed_at_every_point_as_an_ordinary_user(rootless_cmd: Isolate, busybox: Path) -> None:
    assert rootless_cmd.account is not None
    container = victim(rootless_cmd, "rootless", busybox, rootless_cmd.account.home)
    die_at_every_point(rootless_cmd, "rootless", container)


def die_at_every_point(isolate: Isolate, kind: str, container: Victim) -> None:
    code, names = container.run()
    assert code == 3
    assert POINTS[kind] | ENDS <= set(names)
    before = leaks.Snapshot()
    for number, name in enumerate(names):
        code, passed = container.run(at=number)
        assert code == -signal.SIGKILL
        assert passed[-1] == name
        if number % 2:  # the next create of the id does without gc
            assert container.run()[0] == 3, f"created again after a kill at {name}"
        else:
            done = isolate("gc")
            assert done.returncode == 0, f"gc after a kill at {name}: {done.stderr}"
        assert left_in(isolate.state) == [], f"killed at {name}"
        assert leaks.settled(before) == [], f"killed at {name}"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["namespaces", "chroot"])
def test_killed_at_any_time_then_created_again(
    isolate_cmd: Isolate, busybox: Path, kind: str
) -> None:
    isolate = isolate_cmd
    args = ["run", "-b", kind, "--name=again", f"--rootfs={busybox}", "--"]
    chance = random.Random(52)  # noqa: S311 - the same moments in each run
    before = leaks.Snapshot()
    for _ in range(15):
        with isolate.popen(*args, "sleep", "1000") as running:
            time.sleep(chance.uniform(0.001, 0.120))
            running.kill()
        done = isolate(*args, "echo", "works")
        assert (done.returncode, done.stdout) == (0, "works\n"), done.stderr
        assert left_in(isolate.state) == []
        assert leaks.settled(before) == []


def killed(isolate: Isolate, busybox: Path, name: str = "victim") -> Path:
    """The directory of a container whose runtime was killed while the program ran."""
    args = ["run", f"--name={name}", f"--rootfs={busybox}", "--"]
    with isolate.popen(*args, "sh", "-c", "echo ready; exec sleep 1000") as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        running.kill()
    return isolate.state / "containers" / name


def innocent() -> int:
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    return pid


def end(pid: int) -> bool:
    """Kill and reap; whether it was alive until now."""
    alive = os.waitpid(pid, os.WNOHANG) == (0, 0)
    if alive:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return alive


def test_a_reused_pid_is_not_killed(isolate_cmd: Isolate, busybox: Path) -> None:
    """The journal's pid belongs to a stranger by now: the start time tells."""
    directory = killed(isolate_cmd, busybox)
    stranger = innocent()
    text = (directory / "journal").read_text()
    record = next(line for line in text.splitlines() if '"process"' in line)
    pid = record.partition('"pid":')[2].strip().split(",")[0].rstrip("}").strip()
    (directory / "journal").write_text(text.replace(pid, str(stranger)))
    done = isolate_cmd("gc")
    assert end(stranger)
    assert done.returncode == 0, done.stderr
    assert left_in(isolate_cmd.state) == []


def test_a_record_of_another_boot(isolate_cmd: Isolate, busybox: Path) -> None:
    """After a reboot neither pids nor mounts are the container's: only files are removed."""
    directory = killed(isolate_cmd, busybox)
    stranger = innocent()
    start = Path(f"/proc/{stranger}/stat").read_text().rpartition(")")[2].split()[19]
    # What the container had is dead by pdeathsig; the entry now names a living process.
    for _ in range(100):
        if not any(cgroups.processes(path) for path in groups("victim")):
            break
        time.sleep(0.02)
    groups_left = groups("victim")
    lock = directory / "lock"
    words = lock.read_text().split()
    lock.write_text(lock.read_text().replace(words[0], "0" * 8 + words[0][8:]))
    with (directory / "journal").open("a") as journal:
        journal.write(f'{{"kind":"process","pid":{stranger},"start_time":{start}}}\n')
    done = isolate_cmd("gc")
    assert end(stranger)
    assert done.returncode == 0, done.stderr
    assert left_in(isolate_cmd.state) == []
    for group in groups_left:  # in truth it is this boot: they are still there
        if os.path.isdir(group):
            os.rmdir(group)


def groups(name: str) -> list[str]:
    return sorted(
        path
        for path in cgroups.directories()
        if os.path.basename(path).startswith(f"isolate-{name}")
    )


HOSTILE = [
    '{"kind":"tree","path":"CANARY"}',
    '{"kind":"file","path":"CANARY/file"}',
    '{"kind":"tree","path":"STATE/containers/victim/../../../canary"}',
    '{"kind":"mount","target":"/proc"}',
    '{"kind":"mount","target":"/"}',
    '{"kind":"cgroup","paths":["/sys/fs/cgroup"]}',
    '{"kind":"cgroup","paths":["CANARY"]}',
    '{"kind":"process","pid":1,"start_time":0}',
    '{"kind":"process","pid":-1,"start_time":0}',
    '{"kind":"link","name":"lo"}',
    '{"kind":"netns","path":"CANARY/file"}',
    '{"kind":"idrange","first":0}',
    "\x00\xff garbage",
    "[]",
]


@pytest.mark.parametrize("line", HOSTILE)
def test_a_hostile_journal(isolate_cmd: Isolate, busybox: Path, line: str) -> None:
    canary = isolate_cmd.state.parent / "canary"
    canary.mkdir()
    (canary / "file").write_text("alive")
    mounts = Path("/proc/self/mountinfo").read_text()
    directory = killed(isolate_cmd, busybox)
    forged = line.replace("CANARY", str(canary)).replace("STATE", str(isolate_cmd.state))
    with (directory / "journal").open("a") as journal:
        journal.write(forged + "\n")
    done = isolate_cmd("gc")
    assert "Traceback" not in done.stderr
    assert (canary / "file").read_text() == "alive"
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert groups("victim") == []
    if left_in(isolate_cmd.state):
        isolate_cmd("delete", "--force", "victim", check=True)
    assert left_in(isolate_cmd.state) == []


def test_a_damaged_record(isolate_cmd: Isolate, busybox: Path) -> None:
    for content in (b"{", b'{"id":"other"}', b"\xff\x00"):
        directory = killed(isolate_cmd, busybox)
        (directory / "record.json").write_bytes(content)
        for verb in (["ps"], ["ps", "--json"], ["inspect", "victim"], ["kill", "victim"]):
            assert "Traceback" not in isolate_cmd(*verb).stderr
        assert isolate_cmd("gc").returncode == 0
        assert left_in(isolate_cmd.state) == []
