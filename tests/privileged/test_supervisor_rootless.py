"""Detached containers of an ordinary user: without pins, the guardian keeps how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.detached import alive, counting, lines, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("root", "ordinary_user", "userns")


@pytest.fixture
def rootless(rootless_cmd: Isolate) -> Iterator[Isolate]:
    """The command; its containers are deleted when the test ends."""
    yield rootless_cmd
    for row in json.loads(rootless_cmd("ps", "--json", check=True).stdout):
        rootless_cmd("delete", "--force", row["id"], check=True)
    until(lambda: not supervisors(rootless_cmd))


def supervisors(isolate: Isolate) -> dict[int, int]:
    """The pids of its supervisor's processes, and of their parents."""
    done = subprocess.run(
        ["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    found = {}
    for line in done.stdout.splitlines():
        pid, parent, args = line.split(None, 2)
        # The title has no more room than the command line had: the directory's name may be cut.
        if args.startswith("isolate supervisor ") and str(isolate.state).startswith(
            args.split()[-1]
        ):
            found[int(pid)] = int(parent)
    return found


def worker(isolate: Isolate) -> int:
    """The one of them whose parent is another of them."""
    found = supervisors(isolate)
    return next(pid for pid, parent in found.items() if parent in found)


def kill(pid: int) -> None:
    """SIGKILL, and see it gone."""
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid))


def test_it_runs_and_takes_an_exec(rootless: Isolate) -> None:
    program = "cat /proc/self/status; sleep 60"
    rootless("run", "-d", "--name", "one", "--", "sh", "-c", program, check=True)
    until(lambda: "Seccomp:" in rootless("logs", "one").stdout)
    found = rootless("exec", "one", "cat", "/proc/self/status", check=True).stdout
    names = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp:")
    of_program = rootless("logs", "one").stdout.splitlines()
    assert [line for line in found.splitlines() if line.startswith(names)] == [
        line for line in of_program if line.startswith(names)
    ]


def test_a_killed_worker_loses_nothing(rootless: Isolate) -> None:
    script = counting(40, 3).replace("usleep 20000", "sleep 0.02")
    rootless("run", "-d", "--name", "one", "--", "sh", "-c", script, check=True)
    rootless("run", "-d", "--name", "two", "--", "sh", "-c", "sleep 0.5; exit 4", check=True)
    for _ in range(3):
        kill(worker(rootless))
        until(lambda: len(supervisors(rootless)) == 2)
    assert rootless("wait", "one", "two").stdout.split() == ["3", "4"]
    assert rootless("logs", "one").stdout == lines(40)


def test_what_nobody_can_know_is_said(rootless: Isolate) -> None:
    rootless("run", "-d", "--name", "one", "--", "sh", "-c", "sleep 0.6; exit 4", check=True)
    pid = json.loads(rootless("inspect", "one").stdout)[0]["handle"]["pid"]
    for victim in supervisors(rootless):
        os.kill(victim, signal.SIGKILL)
    until(lambda: not os.path.exists(f"/proc/{pid}"))
    assert rootless("wait", "one").stdout == "unknown\n"
    assert "not known" in json.loads(rootless("inspect", "one").stdout)[0]["exit"]["problem"]
