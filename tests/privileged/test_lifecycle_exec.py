"""`isolate exec`: in the container, and never freer than its own program."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from isolate.backend.abilities import Executes
from tests.support.backends import able
from tests.support.detached import alive, until

if TYPE_CHECKING:
    from tests.support.detached import Detached

pytestmark = pytest.mark.needs("root", "busybox")

every_backend = pytest.mark.parametrize("backend", able(Executes), indirect=True)
RIGHTS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Groups")
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
SLEEP = "sleep 60"


def rights(text: str) -> dict[str, str]:
    """The lines of a status file that say what a process may do."""
    rows = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {name: " ".join(value.split()) for name, value in rows if name in RIGHTS}


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--cap-drop", "ALL", "--cap-add", "NET_RAW"),
        ("--user", "1000:1000"),
        ("--seccomp", "unconfined"),
        ("--new-privileges",),
        ("--userns", "host"),
        ("--init",),
        ("--backend=chroot", "--user", "1000:1000", "--no-new-privileges"),
        pytest.param(("--backend=runc",), marks=pytest.mark.needs("runc")),
        pytest.param(("--backend=runc", "--cap-drop=ALL"), marks=pytest.mark.needs("runc")),
        pytest.param(("--backend=crun", "--seccomp=unconfined"), marks=pytest.mark.needs("crun")),
    ],
)
def test_an_exec_has_the_rights_of_the_program(detached: Detached, options: tuple[str]) -> None:
    hold_rights(detached, *options)


@every_backend
def test_so_it_has_with_every_backend(detached: Detached, backend: str) -> None:
    hold_rights(detached, f"--backend={backend}")


def hold_rights(detached: Detached, *options: str) -> None:
    """What the program may do, an exec may do, and no more."""
    detached.run("one", f"cat /proc/self/status; {SLEEP}", *options)
    until(lambda: "Seccomp" in detached.logs("one"))
    status = detached("exec", "one", "cat", "/proc/self/status").stdout
    entered, own = rights(status), rights(detached.logs("one"))
    assert len(entered) == len(RIGHTS)
    # What bwrap's program can never have again stays in its bounding set all the same.
    assert int(entered.pop("CapBnd"), 16) & ~int(own.pop("CapBnd"), 16) == 0
    assert entered == own


@every_backend
def test_an_exec_joins_every_namespace_and_cgroup(detached: Detached, backend: str) -> None:
    detached.run("one", SLEEP, f"--backend={backend}")
    pid = detached.pid("one")
    script = "for n in cgroup ipc mnt net pid time user uts; do readlink /proc/self/ns/$n; done"
    found = detached("exec", "one", "sh", "-c", script).stdout.split()
    assert found == [os.readlink(f"/proc/{pid}/ns/{name}") for name in NAMESPACES]
    with detached.isolate.popen("exec", "one", "sleep", "60") as client:
        until(lambda: children(client.pid, "sleep"))  # the process that enters has gone by then
        (inside,) = children(client.pid, "sleep")
        assert cgroups(inside) == cgroups(pid)
        client.kill()
        until(lambda: not alive(inside))  # it dies with its client


def children(pid: int, name: str) -> list[int]:
    """Those that execute a program of that name."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        found = [int(word) for word in file.read().split()]
    return [child for child in found if name_of(child) == name]


def name_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def cgroups(pid: int) -> str:
    with open(f"/proc/{pid}/cgroup") as file:
        return file.read()


@every_backend
def test_it_is_in_the_root_of_the_container(detached: Detached, backend: str) -> None:
    detached.run("one", f"echo mark > /mark; {SLEEP}", f"--backend={backend}")
    until(lambda: detached("exec", "one", "cat", "/mark", check=False).stdout == "mark\n")


def test_exit_codes_are_those_of_run(detached: Detached) -> None:
    detached.run("one", SLEEP)

    def status(*words: str) -> int:
        return detached("exec", "one", *words, check=False).returncode

    assert status("sh", "-c", "exit 5") == 5
    assert status("sh", "-c", "kill -9 $$") == 137
    assert status("nowhere") == 127
    assert status("/etc") == 126
    assert detached("exec", "nobody", "true", check=False).returncode == 125


def test_user_directory_environment_and_input(detached: Detached) -> None:
    detached.run("one", SLEEP, "--env", "A=of the container", "--user", "7:7", "--workdir", "/tmp")
    script = "echo $(id -u):$(id -g) $(pwd) $A $B; cat"
    done = detached("exec", "-e", "B=mine", "one", "sh", "-c", script, text="typed")
    assert done.stdout == "7:7 /tmp of the container mine\ntyped"
    done = detached("exec", "-u", "9:8", "-w", "/etc", "--no-stdin", "one", "sh", "-c", script)
    assert done.stdout == "9:8 /etc of the container\n"


@pytest.mark.parametrize("backend", able(Executes, features=("process.terminal",)), indirect=True)
def test_it_can_have_a_terminal(detached: Detached, backend: str) -> None:
    detached.run("one", SLEEP, f"--backend={backend}")
    done = detached("exec", "--tty", "one", "sh", "-c", "tty; test -t 1 && echo ok")
    assert done.stdout.split() == ["/dev/pts/0", "ok"]


def test_no_descriptor_of_ours_is_open_in_it(detached: Detached) -> None:
    detached.run("one", SLEEP)
    done = detached("exec", "one", "sh", "-c", "ls /proc/self/fd")
    assert done.stdout.split() == ["0", "1", "2", "3"]  # 3 is the listing's own


def test_the_container_can_not_trace_or_read_it_before_it_executes(detached: Detached) -> None:
    """CVE-2016-9962: a process that enters shows nothing of the host to those inside."""
    spy = (
        "while :; do for p in /proc/[0-9]*; do n=${p#/proc/}; [ $n -gt 1 ] || continue;"
        " l=$(readlink $p/exe 2>/dev/null) && case $l in *python*) echo EXE $l;; esac;"
        " readlink $p/fd/* 2>/dev/null | grep -E 'state|containers|isolate' | sed 's/^/FD /';"
        " done; done"
    )
    detached.run("one", spy)
    for _ in range(10):
        detached("exec", "one", "true")
    time.sleep(0.2)
    assert detached.logs("one") == ""


def test_what_does_not_run_takes_no_exec(detached: Detached) -> None:
    detached.run("one", "true")
    detached.wait("one")
    done = detached("exec", "one", "true", check=False)
    assert done.returncode == 125
    assert "is stopped" in done.stderr


def test_a_container_without_its_confinement_takes_no_exec(detached: Detached) -> None:
    detached.run("one", SLEEP)
    path = detached.isolate.state / "containers" / "one" / "confinement"
    path.write_bytes(path.read_bytes()[:-8][:200])
    done = detached("exec", "one", "true", check=False)
    assert done.returncode == 125
    assert "confined" in done.stderr
    path.unlink()
    assert detached("exec", "one", "true", check=False).returncode == 125
