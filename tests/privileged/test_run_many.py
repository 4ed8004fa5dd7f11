"""Many at once: one id, many ids, and the verbs that look at or end what others run."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.privileged.test_run_status import two_lines

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("root")

READY = ("sh", "-c", "echo ready; exec sleep 1000")


def started(isolate: Isolate, busybox: Path, name: str, *options: str) -> subprocess.Popen[bytes]:
    running = isolate.popen("run", f"--name={name}", f"--rootfs={busybox}", *options, "--", *READY)
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n"
    return running


@pytest.mark.timeout(90)
@pytest.mark.parametrize("attempt", range(5))
def test_twenty_creates_of_one_id(isolate_cmd: Isolate, busybox: Path, attempt: int) -> None:
    """One wins, with its state whole; the others say so."""
    args = ["run", "--name=contended", f"--rootfs={busybox}", "--", "sh", "-c", "echo won; read x"]
    many = [isolate_cmd.popen(*args) for _ in range(20)]
    try:
        deadline = time.monotonic() + 30
        while sum(one.poll() is None for one in many) > 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        (winner,) = [one for one in many if one.poll() is None]
        row = json.loads(isolate_cmd("ps", "--json", check=True).stdout)
        assert [(each["id"], each["status"]) for each in row] == [("contended", "running")]
        assert isolate_cmd("inspect", "contended").returncode == 0
        out, err = winner.communicate(b"\n")
        assert (winner.returncode, out, err) == (0, b"won\n", b"")
    finally:
        for one in many:
            one.kill()
    for one in many:
        if one is not winner:
            out, err = one.communicate()
            assert (one.returncode, out) == (125, b"")
            assert two_lines(err.decode())
            assert "contended" in err.decode()


@pytest.mark.timeout(90)
def test_twenty_ids_at_once(isolate_cmd: Isolate, busybox: Path) -> None:
    args = ["run", f"--rootfs={busybox}", "--", "sh", "-c", "cat /proc/self/uid_map; exit 4"]
    many = [isolate_cmd.popen(*args) for _ in range(20)]
    maps = set()
    for one in many:
        out, err = one.communicate(timeout=60)
        assert one.returncode == 4, err
        maps.add(out.split()[1])
    assert len(maps) > 1


def test_ps_and_inspect(isolate_cmd: Isolate, busybox: Path) -> None:
    with started(isolate_cmd, busybox, "one") as one, started(isolate_cmd, busybox, "two"):
        table = isolate_cmd("ps", check=True).stdout.splitlines()
        assert table[0].split() == ["ID", "BACKEND", "STATUS", "PID", "AGE", "COMMAND"]
        assert [line.split()[0] for line in table[1:]] == ["one", "two"]
        rows = json.loads(isolate_cmd("ps", "--json", check=True).stdout)
        assert {row["status"] for row in rows} == {"running"}
        assert rows[0]["command"] == list(READY)
        shown = isolate_cmd("inspect", "on", check=True).stdout  # a unique beginning
        assert '"one"' in shown
        for name in ("one", "two"):
            isolate_cmd("kill", name, check=True)
        assert one.wait(20) == 128 + signal.SIGTERM
    assert isolate_cmd("ps", "--json", check=True).stdout.split() == ["[]"]


@pytest.mark.parametrize("verb", [["kill", "--signal=KILL"], ["delete", "--force"]])
@pytest.mark.parametrize("options", [[], ["--init"], ["-b", "chroot"]], ids=str)
def test_ended_from_elsewhere(
    isolate_cmd: Isolate, busybox: Path, verb: list[str], options: list[str]
) -> None:
    with started(isolate_cmd, busybox, "target", *options) as running:
        done = isolate_cmd(*verb, "target")
        assert done.returncode == 0, done.stderr
        _, err = running.communicate(timeout=20)
        assert running.returncode == 137
        assert b"Traceback" not in err
    assert isolate_cmd("inspect", "target").returncode == 1


def test_delete_without_force_and_gc_leave_what_runs(isolate_cmd: Isolate, busybox: Path) -> None:
    with started(isolate_cmd, busybox, "alive") as running:
        refused = isolate_cmd("delete", "alive")
        assert refused.returncode == 1
        assert two_lines(refused.stderr)
        isolate_cmd("gc", check=True)
        taken = isolate_cmd("run", "--name=alive", f"--rootfs={busybox}", "--", "true")
        assert taken.returncode == 125
        assert two_lines(taken.stderr)
        assert running.poll() is None
        isolate_cmd("kill", "--signal=9", "alive", check=True)
        running.communicate(timeout=20)


@pytest.mark.needs("cgroup:freezer")
def test_a_frozen_container_can_be_killed(isolate_cmd: Isolate, busybox: Path) -> None:
    """Frozen by whoever may: the kill thaws."""
    from tests.support import cgroups

    with started(isolate_cmd, busybox, "frozen") as running:
        groups = [
            path
            for path in cgroups.directories()
            if os.path.basename(path).startswith("isolate-frozen")
        ]
        for group in groups:
            for file, word in (("freezer.state", "FROZEN"), ("cgroup.freeze", "1")):
                if os.path.exists(f"{group}/{file}"):
                    with open(f"{group}/{file}", "w") as state:
                        state.write(word)
        assert json.loads(isolate_cmd("ps", "--json").stdout)[0]["status"] == "paused"
        isolate_cmd("delete", "--force", "frozen", check=True)
        running.communicate(timeout=20)
        assert running.returncode == 137


def test_gc_and_creates_side_by_side(isolate_cmd: Isolate, busybox: Path) -> None:
    args = ["run", f"--rootfs={busybox}", "--", "sh", "-c", "exit 8"]
    runs = [isolate_cmd.popen(*args) for _ in range(8)]
    sweeps = [isolate_cmd.popen("gc") for _ in range(4)]
    for one in runs:
        _, err = one.communicate(timeout=60)
        assert one.returncode == 8, err
    for one in sweeps:
        _, err = one.communicate(timeout=60)
        assert one.returncode == 0, err


@pytest.mark.parametrize("verb", ["inspect", "kill", "delete"])
def test_no_such_container(isolate_cmd: Isolate, verb: str) -> None:
    done = isolate_cmd(verb, "absent")
    assert done.returncode == 1
    assert two_lines(done.stderr)


def test_signals_by_name_and_number(isolate_cmd: Isolate, busybox: Path) -> None:
    traps = "trap 'echo usr1' USR1; trap 'echo hup; exit 3' HUP"
    script = f"{traps}; echo ready; while :; do sleep 0.02; done"
    args = ["run", "--name=traps", f"--rootfs={busybox}", "--", "sh", "-c", script]
    with isolate_cmd.popen(*args) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        isolate_cmd("kill", "-s", "SIGUSR1", "traps", check=True)
        assert running.stdout.readline() == b"usr1\n"
        bad = isolate_cmd("kill", "-s", "BOGUS", "traps")
        assert bad.returncode != 0
        assert two_lines(bad.stderr)
        isolate_cmd("kill", "-s", "1", "traps", check=True)
        assert running.wait(20) == 3


def test_names_that_a_terminal_would_act_upon(isolate_cmd: Isolate, busybox: Path) -> None:
    text = "\x1b[31m<script>\n"
    args = [
        "run",
        f"--rootfs={busybox}",
        "--name=shown",
        "--",
        "sh",
        "-c",
        "echo ready; read x",
        text,
    ]
    with isolate_cmd.popen(*args) as running:
        assert running.stdout is not None
        running.stdout.readline()
        table = isolate_cmd("ps", check=True).stdout
        assert "\x1b" not in table
        assert len(table.splitlines()) == 2
        rows = json.loads(isolate_cmd("ps", "--json", check=True).stdout)
        assert rows[0]["command"][-1] == text
        running.communicate(b"\n")
