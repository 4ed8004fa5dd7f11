"""The bubblewrap backend as an ordinary user: with subordinate ids, and with a single id."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from isolate.linux import process

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("userns", "bwrap")
BACKEND = "--backend=bubblewrap"


def run(isolate: Isolate, root: Path, *args: str) -> str:
    return isolate("run", BACKEND, f"--rootfs={root}", *args, check=True).stdout


def test_it_is_a_container(anyone: Isolate, busybox: Path) -> None:
    script = "id -u; id -g; hostname; echo /proc/[0-9]*; grep Seccomp: /proc/1/status; exit 0"
    said = run(anyone, busybox, "--hostname=mine", "--", "sh", "-c", script)
    assert said.split() == ["0", "0", "mine", "/proc/1", "Seccomp:", "2"]


def test_the_map_is_ones_own(anyone: Isolate, busybox: Path) -> None:
    first = run(anyone, busybox, "--", "cat", "/proc/self/uid_map").splitlines()[0]
    assert anyone.account is not None
    assert first.split() == ["0", str(anyone.account.uid), "1"]


def test_exit_codes_and_signals(anyone: Isolate, busybox: Path) -> None:
    words = ("run", BACKEND, f"--rootfs={busybox}", "--", "sh", "-c")
    assert anyone(*words, "exit 143").returncode == 143
    assert anyone("run", BACKEND, f"--rootfs={busybox}", "--", "/nowhere").returncode == 127


def test_the_layer_is_private(anyone: Isolate) -> None:
    script = "test ! -e /etc/new && echo new >/etc/new && cat /etc/new"
    for _ in range(2):
        done = anyone("run", BACKEND, "--", "sh", "-c", script, check=True)
        assert done.stdout == "new\n"


def test_volumes(anyone: Isolate, busybox: Path) -> None:
    shared = anyone.state.parent / "shared"
    mine = f"--volume={shared}:/v/deep"
    owner = anyone.account
    assert owner is not None
    shared.mkdir()
    os.chown(shared, owner.uid, owner.gid)
    run(anyone, busybox, mine, "--", "sh", "-c", "echo 42 >/v/deep/answer")
    assert (shared / "answer").read_text() == "42\n"
    done = anyone(
        "run", BACKEND, f"--rootfs={busybox}", f"{mine}:ro", "--", "touch", "/v/deep/other"
    )
    assert "Read-only" in done.stderr


def test_exec_joins_it(anyone: Isolate, busybox: Path) -> None:
    where = (BACKEND, f"--rootfs={busybox}")
    anyone("run", "-d", "--name", "held", *where, "--", "sleep", "60", check=True)
    try:
        said = anyone("exec", "held", "--", "sh", "-c", "id -u; cat /proc/self/status", check=True)
        assert said.stdout.startswith("0\n")
        assert "NoNewPrivs:\t1" in said.stdout
        assert "CapEff:\t0000000000000000" in said.stdout
    finally:
        anyone("delete", "--force", "held", check=True)


def test_a_killed_launcher_takes_the_program_with_it(anyone: Isolate, busybox: Path) -> None:
    words = ("run", BACKEND, f"--rootfs={busybox}", "--", "sh", "-c", "echo up; exec sleep 77")
    with anyone.popen(*words) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"up\n"
        (row,) = json.loads(anyone("ps", "--json", check=True).stdout)
        found = process.identify(row["pid"])
        parent = (process.stat_fields(found.pid) or [])[1]
        os.kill(int(parent), signal.SIGKILL)
        running.wait()
    deadline = time.monotonic() + 10
    while process.alive(found.pid, found.start_time) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not process.alive(found.pid, found.start_time)
    anyone("gc", check=True)
