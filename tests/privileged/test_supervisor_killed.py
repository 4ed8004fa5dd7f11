"""The supervisor is killed, its processes in any order, while containers run, write and end."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.backends import able
from tests.support.detached import alive, counting, lines, until

if TYPE_CHECKING:
    from tests.support.detached import Detached

pytestmark = pytest.mark.needs("root", "busybox")

COUNT = 24


def start(detached: Detached, count: int = COUNT) -> dict[str, tuple[int, int]]:
    """Containers that write and end one after the other: how many lines, and the exit code."""
    wanted = {f"c{number}": (20 + 2 * number, number + 1) for number in range(count)}
    detached.run_many({name: counting(*asked) for name, asked in wanted.items()})
    return wanted


def test_a_killed_worker_loses_nothing(detached: Detached) -> None:
    wanted = start(detached)
    for _ in range(5):
        worker, _guardian = detached.supervisor()
        detached.kill(worker)
        time.sleep(0.1)
    found = {name: (detached.wait(name), detached.logs(name)) for name in wanted}
    assert found == {name: (str(code), lines(count)) for name, (count, code) in wanted.items()}


def test_a_killed_guardian_loses_nothing(detached: Detached) -> None:
    wanted = start(detached)
    _worker, guardian = detached.supervisor()
    detached.kill(guardian)
    found = {name: (detached.wait(name), detached.logs(name)) for name in wanted}
    assert found == {name: (str(code), lines(count)) for name, (count, code) in wanted.items()}


@pytest.mark.parametrize("order", ["guardian first", "worker first", "at once"])
def test_both_killed_every_exit_status_is_known(detached: Detached, order: str) -> None:
    wanted = start(detached)
    worker, guardian = detached.supervisor()
    if order == "guardian first":
        detached.kill(guardian)
        detached.kill(worker)
    elif order == "worker first":
        detached.kill(worker)
        detached.kill(*detached.supervisor())
    else:
        detached.kill(worker, guardian)
    time.sleep(0.5)  # some end now, with nobody there
    assert set(detached.statuses().values()) <= {"running", "stopped"}
    for name, (count, code) in wanted.items():
        assert detached.wait(name) == str(code)
        done = detached("logs", name)
        assert done.stdout == lines(count) or "may be missing" in done.stderr


@pytest.mark.parametrize("backend", able(), indirect=True)
def test_those_that_outlive_both_lose_no_output(detached: Detached, backend: str) -> None:
    detached.run("one", counting(100, 5), f"--backend={backend}")
    detached.kill(*detached.supervisor())
    time.sleep(0.3)
    assert detached.statuses() == {"one": "running"}
    assert detached.wait("one") == "5"
    assert detached.logs("one") == lines(100)


def test_a_full_pipe_waits_for_the_next_supervisor(detached: Detached) -> None:
    detached.run("one", "until [ -e /go ]; do usleep 10000; done; seq 50000; exit 6")
    detached.kill(*detached.supervisor())
    detached("exec", "one", "touch", "/go")
    time.sleep(0.5)
    assert alive(detached.pid("one"))
    assert detached.wait("one") == "6"
    assert detached.logs("one").split() == [str(number) for number in range(1, 50001)]


def test_gc_and_create_leave_a_living_container_alone(detached: Detached) -> None:
    detached.run("one", "sleep 60")
    pid = detached.pid("one")
    detached.kill(*detached.supervisor())
    done = detached("run", "--name", "one", "--", "true", check=False)
    assert "exists" in done.stderr
    detached("gc")
    assert detached.statuses() == {"one": "running"}
    assert alive(pid)


def test_a_policy_outlives_the_supervisor(detached: Detached) -> None:
    detached.run("one", "echo again; usleep 200000; exit 1", "--restart", "on-failure:3")
    detached.kill(*detached.supervisor())
    assert detached.wait("one") == "1"
    assert detached.logs("one") == "again\n" * 4


def test_the_deadline_outlives_the_supervisor(detached: Detached) -> None:
    detached.run("one", "sleep 60", "--timeout", "1")
    detached.kill(*detached.supervisor())
    assert detached.wait("one") == "124"


def test_a_terminal_outlives_the_worker(detached: Detached) -> None:
    detached.run("one", "until [ -e /go ]; do usleep 10000; done; echo there; exit 2", "--tty")
    worker, _guardian = detached.supervisor()
    detached.kill(worker)
    detached.supervisor()
    detached("exec", "one", "touch", "/go")
    assert detached.wait("one") == "2"
    assert detached.logs("one") == "there\n"  # read as text: no carriage return


@pytest.mark.parametrize("victim", ["worker", "guardian", "both"])
def test_stop_and_delete_work_after_a_kill(detached: Detached, victim: str) -> None:
    detached.run("one", "sleep 60")
    pid = detached.pid("one")
    worker, guardian = detached.supervisor()
    detached.kill(*{"worker": [worker], "guardian": [guardian]}.get(victim, [worker, guardian]))
    detached("stop", "--time", "0.1", "one")
    assert not alive(pid)
    assert detached.wait("one") == "143"
    detached("delete", "one")
    assert detached.statuses() == {}


@pytest.mark.timeout(180)
def test_two_hundred_killed_in_random_order_and_the_supervisor_in_between(
    detached: Detached,
) -> None:
    names = [f"c{number}" for number in range(200)]
    detached.run_many({name: f"echo {name}; sleep 600" for name in names})
    assert set(detached.statuses().values()) == {"running"}
    chance = random.Random(7)  # noqa: S311 - the same order each time
    order = chance.sample(names, len(names))
    for at in range(0, len(order), 50):
        detached("kill", "--signal", "KILL", *order[at : at + 50])
        pids = detached.supervisor()
        detached.kill(*chance.sample(pids, chance.randint(1, len(pids))))
    codes = detached("wait", *names).stdout.split()
    assert codes == ["137"] * len(names)
    store = detached.isolate.state / "containers"
    logged = [(store / name / "log").read_text().count(f'"{name}\\n"') for name in names]
    assert logged == [1] * len(names)
    detached("gc", "--stopped", timeout=60)
    assert detached.statuses() == {}
    until(lambda: not list(detached.isolate.state.glob("*/*")))
