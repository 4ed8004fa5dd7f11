"""Containers in the background: created, started, stopped, waited for, logged, restarted."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from tests.support.backends import able
from tests.support.detached import alive, until

if TYPE_CHECKING:
    from tests.support.detached import Detached

pytestmark = pytest.mark.needs("root", "busybox")
every_backend = pytest.mark.parametrize("backend", able(), indirect=True)


@every_backend
def test_it_runs_in_the_background_and_is_kept_until_deleted(
    detached: Detached, backend: str
) -> None:
    detached.run("one", "echo out; echo err >&2; exit 3", f"--backend={backend}")
    assert detached.wait("one") == "3"
    done = detached("logs", "one")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    assert detached.statuses() == {"one": "stopped"}
    assert detached.inspect("one")["exit"]["exit_code"] == 3
    detached("gc")
    assert detached.statuses() == {"one": "stopped"}
    detached("delete", "one")
    assert detached.statuses() == {}


def test_the_id_is_printed(detached: Detached) -> None:
    where = ("--rootfs", f"dir:{detached.root}")
    name = detached("run", "-d", *where, "--", "true").stdout.strip()
    assert detached.wait(name) == "0"


def test_a_program_that_is_not_there_leaves_nothing(detached: Detached) -> None:
    where = ("--rootfs", f"dir:{detached.root}")
    done = detached("run", "-d", *where, "--", "nowhere", check=False)
    assert done.returncode == 127
    assert done.stderr.startswith("error: nowhere: not found")
    assert detached.statuses() == {}


def test_a_taken_name_is_refused(detached: Detached) -> None:
    detached.run("one", "sleep 60")
    where = ("--rootfs", f"dir:{detached.root}")
    done = detached("run", "-d", "--name", "one", *where, "--", "true", check=False)
    assert done.returncode == 125
    assert "exists" in done.stderr
    assert detached.statuses() == {"one": "running"}


@every_backend
def test_create_waits_for_start(detached: Detached, backend: str) -> None:
    where = (f"--backend={backend}", "--rootfs", f"dir:{detached.root}")
    detached("create", "--name", "one", *where, "--", "echo", "hello")
    assert detached.statuses() == {"one": "created"}
    assert detached.logs("one") == ""
    detached("start", "one")
    assert detached.wait("one") == "0"
    assert detached.logs("one") == "hello\n"


@every_backend
def test_one_that_was_never_started_is_stopped(detached: Detached, backend: str) -> None:
    where = (f"--backend={backend}", "--rootfs", f"dir:{detached.root}")
    detached("create", "--name", "one", *where, "--", "sh", "-c", "echo hello; exit 3")
    pid = detached.pid("one")
    detached("stop", "one")
    assert not alive(pid)
    assert detached.wait("one") == "137"
    assert detached.logs("one") == ""
    detached("start", "one")
    assert detached.wait("one") == "3"
    assert detached.logs("one") == "hello\n"


@every_backend
def test_a_stopped_one_starts_again_with_what_it_had_written(
    detached: Detached, backend: str
) -> None:
    detached.run("one", "echo x >> /count; wc -l < /count", f"--backend={backend}")
    for _ in range(2):
        assert detached.wait("one") == "0"
        detached("start", "one")
    assert detached.wait("one") == "0"
    assert detached.logs("one").split() == ["1", "2", "3"]


@every_backend
def test_stop_sends_sigterm_first(detached: Detached, backend: str) -> None:
    script = "trap 'echo bye; exit 7' TERM; echo ready; while :; do usleep 10000; done"
    detached.run("one", script, f"--backend={backend}")
    until(lambda: detached.logs("one") == "ready\n")
    detached("stop", "one")
    assert detached.wait("one") == "7"
    assert detached.logs("one") == "ready\nbye\n"


def test_stop_kills_what_does_not_listen(detached: Detached) -> None:
    detached.run("one", "trap '' TERM; echo ready; while :; do usleep 10000; done")
    until(lambda: detached.logs("one") == "ready\n")
    detached("stop", "--time", "0.2", "one")
    assert detached.wait("one") == "137"


def test_a_running_one_is_deleted_by_force_only(detached: Detached) -> None:
    detached.run("one", "sleep 60")
    pid = detached.pid("one")
    done = detached("delete", "one", check=False)
    assert done.returncode == 1
    assert alive(pid)
    detached("delete", "--force", "one")
    assert not alive(pid)


@every_backend
def test_it_may_be_restarted_some_times(detached: Detached, backend: str) -> None:
    where = f"--backend={backend}"
    detached.run("one", "echo again; exit 4", "--restart", "on-failure:2", where)
    assert detached.wait("one") == "4"
    assert detached.logs("one") == "again\n" * 3
    assert detached.inspect("one")["exit"]["restarts"] == 2


def test_success_needs_no_restart_on_failure(detached: Detached) -> None:
    detached.run("one", "echo once", "--restart", "on-failure")
    assert detached.wait("one") == "0"
    assert detached.logs("one") == "once\n"


def test_always_is_ended_by_stop(detached: Detached) -> None:
    detached.run("one", "echo again", "--restart", "always")
    until(lambda: detached.logs("one").count("again") >= 2)
    detached("stop", "one")
    written = detached.logs("one")
    assert detached.statuses() == {"one": "stopped"}
    assert detached.logs("one") == written


@pytest.mark.parametrize("policy", ["sometimes", "on-failure:", "on-failure:x", "always:3", ""])
def test_what_is_no_policy_is_refused(detached: Detached, policy: str) -> None:
    done = detached("run", "-d", "--restart", policy, "--", "true", check=False)
    assert done.returncode == 125
    assert "no policy" in done.stderr


def test_restart_and_log_size_need_detach(detached: Detached) -> None:
    done = detached("run", "--restart", "always", "--", "true", check=False)
    assert done.returncode == 125
    assert "--detach" in done.stderr


@every_backend
def test_the_time_limit_holds(detached: Detached, backend: str) -> None:
    detached.run("one", "sleep 60", "--timeout", "0.3", f"--backend={backend}")
    assert detached.wait("one") == "124"
    assert detached.inspect("one")["exit"]["timed_out"] is True


def test_the_output_limit_holds(detached: Detached) -> None:
    detached.run("one", "yes", "--max-output", "100K")
    assert detached.wait("one") == "137"
    assert detached.inspect("one")["exit"]["output_exceeded"] is True


def test_log_entries_have_stream_and_time_and_any_bytes(detached: Detached) -> None:
    detached.run("one", r"printf 'gr\303\274n\n'; printf '\377\000' >&2")
    detached.wait("one")
    rows = [json.loads(line) for line in detached("logs", "--json", "one").stdout.splitlines()]
    by_stream = {row["stream"]: row for row in rows}
    assert by_stream["stdout"]["text"] == "grün\n"
    assert base64.b64decode(by_stream["stderr"]["base64"]) == b"\xff\x00"
    assert all(row["time"].endswith("Z") for row in rows)


def test_logs_can_begin_at_the_end_and_follow(detached: Detached) -> None:
    detached.run("one", "for i in 1 2 3; do echo $i; usleep 200000; done; exit 1")
    assert detached.logs("one", "--follow").split() == ["1", "2", "3"]
    assert detached.logs("one", "--tail", "1") == "3\n"
    assert detached.logs("one", "--tail", "0") == ""


def test_the_log_is_bounded_and_a_flood_loses_its_beginning_only(detached: Detached) -> None:
    detached.run("one", "seq 200000", "--log-size", "256K")
    assert detached.wait("one") == "0"
    directory = detached.isolate.state / "containers" / "one"
    kept = sum(path.stat().st_size for path in directory.glob("log*"))
    assert kept < 512 * 1024
    numbers = [int(word) for word in detached.logs("one").split()[1:]]
    assert numbers == list(range(numbers[0], 200001))


def test_the_program_can_reopen_its_own_streams(detached: Detached) -> None:
    detached.run("one", "echo there > /dev/stdout; echo here > /proc/self/fd/2")
    assert detached.wait("one") == "0"
    done = detached("logs", "one")
    assert (done.stdout, done.stderr) == ("there\n", "here\n")


def test_a_detached_program_reads_nothing_but_what_is_attached(detached: Detached) -> None:
    detached.run("one", "wc -c")
    assert detached.wait("one") == "0"
    assert detached.logs("one") == "0\n"
    detached.run("two", "read x; echo got $x; read x; exit 9", "--interactive")
    done = detached("attach", "two", text="this\nthat\n", check=False)
    assert (done.returncode, done.stdout) == (9, "got this\n")


def test_an_unprivileged_copy_of_the_client_limits_is_kept(detached: Detached) -> None:
    detached.run("one", "ulimit -n")
    detached.wait("one")
    import resource

    assert detached.logs("one").strip() == str(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def test_events_tell_the_story(detached: Detached) -> None:
    detached.run("one", "exit 2")
    detached.wait("one")
    detached("delete", "one")
    rows = [json.loads(line) for line in detached("events").stdout.splitlines()]
    assert [row["event"] for row in rows] == ["created", "started", "stopped", "deleted"]
    assert {row["id"] for row in rows} == {"one"}
    assert rows[2]["exit_code"] == 2


@pytest.mark.needs("cgroup:memory")
def test_an_oom_kill_is_told(detached: Detached) -> None:
    script = "head -c 64m /dev/zero | tail"
    detached.run("one", script, "--memory", "8M")
    detached.wait("one")
    assert detached.inspect("one")["exit"]["usage"]["oom_killed"] is True
    assert "oom" in detached("events").stdout


def test_the_supervisor_ends_when_nothing_is_left(detached: Detached) -> None:
    detached.run("one", "true")
    detached.wait("one")
    worker, guardian = detached.supervisor()
    until(lambda: not alive(worker) and not alive(guardian))
    assert detached.logs("one") == ""
    assert detached.wait("one") == "0"
