"""Pause and resume, limits changed while it runs, what it uses, attaching."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from isolate.backend.abilities import Measures, Pauses, Updates
from tests.support.backends import able
from tests.support.detached import until

if TYPE_CHECKING:
    from tests.support.detached import Detached

pytestmark = pytest.mark.needs("root", "busybox")

COUNTING = "i=0; while :; do echo $i; i=$((i+1)); usleep 5000; done"


@pytest.mark.parametrize("backend", able(Pauses), indirect=True)
@pytest.mark.needs("cgroup:freezer")
def test_a_paused_one_stands_still_until_resumed(detached: Detached, backend: str) -> None:
    detached.run("one", COUNTING, f"--backend={backend}")
    until(lambda: detached.logs("one"))
    detached("pause", "one")
    assert detached.statuses() == {"one": "paused"}
    written = detached.logs("one")
    time.sleep(0.1)
    assert detached.logs("one") == written
    assert "is paused" in detached("exec", "one", "true", check=False).stderr
    detached("resume", "one")
    until(lambda: detached.logs("one") != written)
    assert detached.statuses() == {"one": "running"}


@pytest.mark.parametrize("backend", able(Pauses), indirect=True)
@pytest.mark.needs("cgroup:freezer")
def test_a_paused_one_is_stopped_and_deleted(detached: Detached, backend: str) -> None:
    detached.run("one", COUNTING, f"--backend={backend}")
    detached("pause", "one")
    detached("stop", "one")
    assert detached.wait("one") == "137"


@pytest.mark.parametrize(
    "backend", able(Updates, features=("limits.pids", "limits.memory")), indirect=True
)
@pytest.mark.needs("cgroup:pids")
def test_limits_are_changed_and_kept_for_restarts(detached: Detached, backend: str) -> None:
    detached.run("one", "sleep 60", f"--backend={backend}")
    detached("update", "--pids", "7", "--memory", "32M", "one")
    assert limits_in_force(detached) == [7, 32 << 20]
    assert detached.inspect("one")["spec"]["limits"]["pids"] == 7
    detached("stop", "--time", "0", "one")
    detached("start", "one")
    assert limits_in_force(detached) == [7, 32 << 20]


def limits_in_force(detached: Detached) -> list[int]:
    """The limits on tasks and on memory, as the kernel shows them, in order."""
    data = detached.inspect("one")["handle"]["data"]
    places = {key: value for key, value in data.items() if key.startswith("cgroup.")}
    found = []
    for key, path in places.items():
        version, _, controllers = key.removeprefix("cgroup.").partition(":")
        for controller, old, new in (
            ("pids", "pids.max", "pids.max"),
            ("memory", "memory.limit_in_bytes", "memory.max"),
        ):
            if controller in controllers.split(","):
                file = Path(path, old if version == "v1" else new)
                found.append(int(file.read_text()))
    return sorted(found)


def test_what_can_not_be_changed_is_one_error(detached: Detached) -> None:
    detached.run("one", "sleep 60", "--backend=chroot")
    done = detached("update", "--memory", "32M", "one", check=False)
    assert done.returncode == 1
    assert done.stderr.count("error:") == 1
    assert detached("update", "one", check=False).returncode == 1


@pytest.mark.parametrize("backend", able(Measures, features=("limits.memory",)), indirect=True)
def test_stats_and_top_measure(detached: Detached, backend: str) -> None:
    detached.run("busy", "while :; do :; done", f"--backend={backend}")
    detached.run("idle", "sleep 60", f"--backend={backend}")
    rows = {row["id"]: row for row in json.loads(detached("stats", "--json").stdout)}
    assert rows["busy"]["cpu_percent"] > 5 > rows["idle"]["cpu_percent"]
    assert rows["idle"]["memory_bytes"] > 0
    assert rows["idle"]["pids"] == 1
    top = json.loads(detached("top", "--json", "idle").stdout)
    assert [row["command"] for row in top["processes"]] == ["sleep 60"]
    text = detached("stats", "--no-stream", "busy").stdout.splitlines()
    assert text[0].split()[:3] == ["ID", "CPU", "%"]
    assert text[1].split()[0] == "busy"


@pytest.mark.parametrize("backend", able(features=("process.terminal",)), indirect=True)
def test_attach_passes_a_terminal_both_ways(detached: Detached, backend: str) -> None:
    detached.run("one", "read x; echo got $x; exit 4", "--tty", f"--backend={backend}")
    done = detached("attach", "one", text="typed\n", check=False)
    assert done.returncode == 4
    assert "got typed" in done.stdout


def test_attach_can_be_left(detached: Detached) -> None:
    detached.run("one", "echo hello; sleep 60", "--tty")
    done = detached("attach", "one", text="\x10\x11", check=False)
    assert (done.returncode, done.stderr) == (0, "detached\n")
    assert detached.statuses() == {"one": "running"}


def test_only_detached_ones_are_attached_to_or_have_logs(detached: Detached) -> None:
    with detached.isolate.popen(
        "run", "--name", "one", "--rootfs", f"dir:{detached.root}", "--", "sleep", "60"
    ) as client:
        until(lambda: detached.statuses().get("one") == "running")
        assert detached("attach", "one", check=False).returncode == 1
        assert "has no log" in detached("logs", "one", check=False).stderr
        assert "foreground" in detached("start", "one", check=False).stderr
        assert detached("exec", "one", "echo", "in").stdout == "in\n"
        detached("stop", "--time", "0.1", "one")
        assert client.wait() == 143
