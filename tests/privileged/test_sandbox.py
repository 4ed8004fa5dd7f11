"""Sandboxes: programs one after the other and at once, files, what ends them, what is left."""

from __future__ import annotations

import asyncio
import contextlib
import doctest
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import isolate
from isolate import aio
from isolate.api import sandbox as api_sandbox
from isolate.backend import Backend
from isolate.errors import ExecError, SpecError, StateError, UnsupportedError
from isolate.helper.client import HELPER
from isolate.helper.keeper import Keeper
from isolate.runtime.inspect import containers
from isolate.runtime.stores import open_store
from isolate.spec.model import Spec
from tests.support.detached import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.needs("root", "busybox")

# A first process of ours that executes what it is handed; and one of the backend's own, which
# programs join.
BACKENDS = ["namespaces", "jail", "chroot"]
WRITE_FOREVER = "while :; do echo x; done"


@pytest.fixture
def box(options: dict[str, Any]) -> Iterator[isolate.Sandbox]:
    with isolate.Sandbox(memory="64M", pids=64, **options) as made:
        yield made


def sh(box: isolate.Sandbox, script: str, **how: Any) -> isolate.Completed:
    return box.exec(["sh", "-c", script], **how)


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def keeper() -> int:
    """The worker that keeps a sandbox; idle ones have no children."""
    assert HELPER._process is not None
    (found,) = [pid for pid in children(HELPER._process.pid) if children(pid)]
    return found


@pytest.mark.parametrize("backend", BACKENDS)
def test_programs_share_a_container(options: dict[str, Any], backend: str) -> None:
    with isolate.Sandbox(backend=backend, id="mine", **options) as box:
        assert box.id == "mine"
        failed = sh(box, "echo one > /tmp/file; echo out; echo err >&2; exit 3")
        assert (failed.stdout, failed.stderr) == (b"out\n", b"err\n")
        assert (failed.exit_code, failed.signal, failed.ok) == (3, None, False)
        with pytest.raises(isolate.ProgramError, match="status 3"):
            failed.check()
        assert sh(box, "cat /tmp/file; cat", stdin=b"two\n").stdout == b"one\ntwo\n"
        assert sh(box, "echo $A; pwd", env={"A": "b"}, cwd="/tmp").stdout == b"b\n/tmp\n"
        assert sh(box, "kill -9 $$").signal == signal.SIGKILL
        with pytest.raises(ExecError, match="not found") as caught:
            box.exec(["no-such-program"])
        assert caught.value.exit_status == 127
        with pytest.raises(isolate.IsolateError):
            box.exec(["true"], cwd="/no-such-directory")
        assert [row["id"] for row in containers(open_store(options["root"]))] == ["mine"]
    with pytest.raises(StateError, match="closed"):
        box.exec(["true"])
    box.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_limits_of_one_program(options: dict[str, Any], backend: str) -> None:
    with isolate.Sandbox(backend=backend, **options) as box:
        late = sh(box, "echo before; sleep 1000 & exec sleep 1000", timeout=0.3)
        assert (late.timed_out, late.exit_status, late.stdout) == (True, 124, b"before\n")
        loud = sh(box, WRITE_FOREVER, max_output="10K")
        assert (loud.output_exceeded, len(loud.stdout)) == (True, 10240)
        assert box.exec(["true"]).ok
    with isolate.Sandbox(backend=backend, max_output=5, **options) as box:
        assert sh(box, "echo four").stdout == b"four\n"
        assert sh(box, "echo fives").output_exceeded


def test_a_timeout_ends_the_session_and_all_that_descends(box: isolate.Sandbox) -> None:
    sh(box, "(setsid sleep 111 &) ; sleep 222 & sleep 333 | sleep 444", timeout=0.5)
    left = sh(box, "ps -o args | grep '^sleep'").stdout.split(b"\n")
    assert left == [b"sleep 111", b""]  # it left session and parents: it ends with the sandbox


def test_a_timeout_wins_against_a_fork_bomb(box: isolate.Sandbox) -> None:
    bomb = "(f() { f & f & }; while :; do f; done) 2> /dev/null & exec sleep 1000"
    assert sh(box, bomb, timeout=0.5).timed_out
    until(lambda: box.stats().pids == 1)


def test_an_idle_daemon_holds_nothing_up(box: isolate.Sandbox) -> None:
    assert sh(box, "sleep 1000 & echo done").stdout == b"done\n"
    assert b"sleep 1000" in sh(box, "ps -o args").stdout


def test_orphans_are_reaped(box: isolate.Sandbox) -> None:
    for _ in range(70):  # more than its tasks
        assert sh(box, "(true &); (true &)").ok
    until(lambda: box.stats().pids == 1)


def test_many_at_once(box: isolate.Sandbox) -> None:
    results: dict[int, bytes] = {}

    def one(number: int) -> None:
        results[number] = sh(box, f"echo {number}; cat", stdin=bytes(100_000)).stdout

    threads = [threading.Thread(target=one, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: out[:-100_000] for n, out in results.items()} == {
        n: f"{n}\n".encode() for n in range(16)
    }


def test_big_orders(box: isolate.Sandbox) -> None:
    words = [f"{number:01000}" for number in range(1500)]
    assert box.exec(["printf", "%s", *words]).stdout == "".join(words).encode()


def test_what_can_not_be_executed_is_refused_before(box: isolate.Sandbox) -> None:
    with pytest.raises(SpecError, match="no program"):
        box.exec([])
    with pytest.raises(SpecError, match="env"):
        box.exec(["true"], env={"A=B": "c"})
    with pytest.raises(SpecError, match=r"process\.args"):
        box.exec(["a\0b"])
    with pytest.raises(SpecError, match="terminal"):
        isolate.Sandbox(spec=Spec.build({"process": {"terminal": True}}, ""))
    HELPER.close()


def test_nothing_of_ours_is_seen_inside(box: isolate.Sandbox) -> None:
    os.environ["OF_THE_CALLER"] = "4711"
    try:
        script = (
            "ls /proc/self/fd; tr '\\0' ' ' < /proc/1/cmdline; echo; env; cd /proc/1; "
            "cat environ; cat maps; cat auxv; ls fd > /dev/null; ls cwd/; ls root/; cat exe"
        )
        seen = sh(box, script)
    finally:
        del os.environ["OF_THE_CALLER"]
    lines = seen.stdout.decode().splitlines()
    assert lines[:4] == ["0", "1", "2", "3"]  # the last is the listing's own
    assert lines[4].strip() == "init"
    assert sorted(line.split("=")[0] for line in lines[5:]) == ["HOME", "PATH", "PWD", "SHLVL"]
    assert seen.stderr.count(b"Permission denied") == 7


def test_a_program_is_confined_as_the_container_is(
    box: isolate.Sandbox, options: dict[str, Any]
) -> None:
    def facts(text: str) -> dict[str, str]:
        wanted = ("CapEff", "CapBnd", "CapPrm", "NoNewPrivs", "Seccomp", "Uid", "SigIgn", "SigBlk")
        rows = [line.split(":\t") for line in text.splitlines() if ":\t" in line]
        return {row[0]: row[1] for row in rows if row[0] in wanted}

    ran = isolate.run(["cat", "/proc/self/status"], memory="64M", **options)
    inside = facts(box.exec(["cat", "/proc/self/status"]).stdout.decode())
    assert inside == facts(ran.stdout.decode())
    assert (inside["NoNewPrivs"], inside["Seccomp"]) == ("1", "2")
    assert sh(box, "kill -9 1; kill -TERM 1; kill -STOP 1; sleep 0.1; echo $?").ok
    assert all(row.holds for row in box.receipt)


@pytest.mark.parametrize("backend", BACKENDS)
def test_files_there_and_back(options: dict[str, Any], backend: str) -> None:
    data = os.urandom(3_000_000)
    with isolate.Sandbox(backend=backend, **options) as box:
        box.write("/tmp/a", data)
        assert box.read("/tmp/a") == data
        box.write("/tmp/a", "text ü", mode=0o4751)
        assert box.read("/tmp/a") == "text ü".encode()
        assert sh(box, "stat -c '%a %u %g' /tmp/a").stdout == b"751 0 0\n"
        assert box.listdir("/tmp") == ["a"]


def test_no_link_leads_out(box: isolate.Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "host"
    secret.mkdir()
    (secret / "file").write_text("secret")
    sh(box, f"ln -s {secret} /dir; ln -s {secret}/file /file; ln -s ../../../.. /up")
    for path in ("/file", "/dir/file", f"/up{secret}/file", f"/proc/1/root{secret}/file", "/dir"):
        with pytest.raises(StateError, match="can't be read"):
            box.read(path)
    box.write("/file", "mine")
    for path in ("/dir/x", f"/up{secret}/x", f"/proc/1/root{secret}/x", "/proc/self/fd/0/x"):
        with pytest.raises(StateError, match="can't be written"):
            box.write(path, "mine")
    with pytest.raises(StateError):
        box.listdir("/dir")
    assert sorted(os.listdir(secret)) == ["file"]
    assert (secret / "file").read_text() == "secret"
    assert box.read("/file") == b"mine"


def test_files_are_whole_or_fail(box: isolate.Sandbox) -> None:
    sh(box, "mkfifo /tmp/fifo; mkdir /tmp/dir; mount -t tmpfs none /mnt")
    box.write("/tmp/small", bytes(1000))
    assert box.read("/tmp/small", limit=1000) == bytes(1000)
    with pytest.raises(StateError, match="more than 999 bytes"):
        box.read("/tmp/small", limit=999)
    for path in ("/tmp/fifo", "/dev/zero", "/tmp/dir", "/proc/self", "/tmp/none", "/tmp/small/x"):
        with pytest.raises(StateError):
            box.read(path)
    for path in ("/tmp/dir", "/tmp/none/x", "/", "/tmp/..", "/proc/version"):
        with pytest.raises(StateError):
            box.write(path, "x")
    with pytest.raises(StateError, match="bytes are more than"):
        box.write("/tmp/big", bytes(api_sandbox.LARGEST_FILE + 1))
    assert box.listdir("/tmp") == ["dir", "fifo", "small"]


def test_a_full_disk_leaves_the_old_file(options: dict[str, Any]) -> None:
    mounts = [{"type": "tmpfs", "target": "/small", "size": "64K"}]
    with isolate.Sandbox(mounts=mounts, **options) as box:
        box.write("/small/file", "old")
        with pytest.raises(StateError, match="No space left"):
            box.write("/small/file", bytes(100_000))
        assert box.read("/small/file") == b"old"
        assert box.listdir("/small") == ["file"]


def test_a_file_that_changes_is_not_read_in_part(box: isolate.Sandbox) -> None:
    box.write("/tmp/grow.sh", "while :; do echo more >> /tmp/growing; done")
    sh(box, "sh /tmp/grow.sh > /dev/null 2>&1 &")
    until(lambda: "growing" in box.listdir("/tmp"))
    read = []
    for _ in range(20):
        with contextlib.suppress(StateError):
            read.append(box.read("/tmp/growing"))
    assert all(text == b"more\n" * (len(text) // 5) for text in read)


def test_stats(box: isolate.Sandbox) -> None:
    found = box.stats()
    assert found.pids == 1
    assert (found.memory_bytes or 0) > 0


def test_the_sandbox_has_a_time_of_its_own(options: dict[str, Any]) -> None:
    with isolate.Sandbox(timeout=0.5, **options) as box:
        with pytest.raises(StateError, match="has ended") as caught:
            box.exec(["sleep", "1000"])
        assert caught.value.hint == "its time was up"
        assert not box.alive
        with pytest.raises(StateError, match="has ended"):
            box.read("/etc/passwd")


def test_a_first_process_that_is_killed(options: dict[str, Any]) -> None:
    with isolate.Sandbox(**options) as box:
        (row,) = containers(open_store(options["root"]))
        os.kill(row["handle"]["pid"], signal.SIGKILL)
        with pytest.raises(StateError, match="has ended") as caught:
            box.exec(["true"])
        assert caught.value.hint == "its first process was killed"


def test_a_program_that_runs_out_of_memory(options: dict[str, Any]) -> None:
    with isolate.Sandbox(memory="32M", **options) as box:
        hungry = box.exec(["dd", "if=/dev/zero", "of=/dev/null", "bs=200M"])
        assert (hungry.oom_killed, hungry.signal) == (True, signal.SIGKILL)
        assert box.exec(["true"]).ok


def test_a_killed_helper_takes_no_sandbox_with_it(options: dict[str, Any]) -> None:
    with isolate.Sandbox(**options) as box:
        process = HELPER._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert box.exec(["echo", "still"]).stdout == b"still\n"
        with isolate.Sandbox(**options) as other:
            assert other.exec(["true"]).ok


def test_a_killed_keeper_takes_the_sandbox_with_it(options: dict[str, Any]) -> None:
    box = isolate.Sandbox(**options)
    os.kill(keeper(), signal.SIGKILL)
    with pytest.raises(StateError, match="has ended") as caught:
        box.exec(["sleep", "1000"])
    assert "isolate gc" in str(caught.value.hint)
    box.close()
    from isolate.runtime.collect import collect

    until(lambda: containers(open_store(options["root"]))[0]["status"] != "running")
    assert collect(open_store(options["root"])).failures == []


def test_a_keeper_that_is_told_to_end_cleans_up(options: dict[str, Any]) -> None:
    with isolate.Sandbox(**options) as box:
        os.kill(keeper(), signal.SIGTERM)
        with pytest.raises(StateError, match="has ended"):
            box.exec(["sleep", "1000"])


_CALLER = """
import os, sys, time, isolate
box = isolate.Sandbox(rootfs=sys.argv[1], root=sys.argv[2])
pool = isolate.Pool(size=2, rootfs=sys.argv[1], root=sys.argv[2])
if os.fork() == 0:  # it holds on to all our sockets, and says nothing
    time.sleep(1.5)
    os._exit(0)
print(box.id, flush=True)
box.exec(["sleep", "1000"])
"""


def test_a_killed_caller_leaves_nothing(options: dict[str, Any]) -> None:
    argv = [sys.executable, "-c", _CALLER, options["rootfs"], options["root"]]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline().startswith(b"box-")
        caller.kill()
        until(lambda: not containers(open_store(options["root"])))


def test_a_forked_child_has_no_sandbox_but_its_own(options: dict[str, Any]) -> None:
    with isolate.Sandbox(**options) as box:
        child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException):
                with pytest.raises(StateError, match="which forked this one"):
                    box.exec(["true"])
                box.close()
                with isolate.Sandbox(**options) as own:
                    assert own.exec(["true"]).ok
                HELPER.close()
                status = 0
            os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert box.exec(["echo", "mine"]).stdout == b"mine\n"


def test_a_sandbox_that_nobody_closes(options: dict[str, Any]) -> None:
    references = [isolate.Sandbox(**options)]
    with pytest.warns(ResourceWarning, match="was not closed"):
        references.clear()
    until(lambda: not containers(open_store(options["root"])))


def test_closing_ends_what_runs(options: dict[str, Any]) -> None:
    errors: list[BaseException] = []
    box = isolate.Sandbox(**options)

    def sleep() -> None:
        try:
            box.exec(["sleep", "1000"])
        except StateError as error:
            errors.append(error)

    threads = [threading.Thread(target=sleep) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: box.stats().pids == 5)
    box.close()
    for thread in threads:
        thread.join()
    assert [str(error) for error in errors] == [f"sandbox {box.id} is closed"] * 4


class _Poor(Backend):
    """A backend that can't execute anything in a container."""

    name = "poor"
    summary = "poor"

    def _never(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("nothing may be made")

    check = capabilities = explain = create = start = wait = status = kill = delete = _never


def test_a_backend_without_exec_is_refused(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(UnsupportedError, match="poor can't run further programs"):
        Keeper(_Poor(), Spec(), open_store(str(tmp_path)), "x", theirs)


def test_what_can_not_be_made(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"limits\.memory"):
        isolate.Sandbox(backend="chroot", memory="64M", **options)
    with pytest.raises(isolate.IsolateError, match="no-such-root"):
        isolate.Sandbox(**{**options, "rootfs": "dir:/no-such-root"})
    with pytest.raises(SpecError, match=r"limits\.pids"):
        isolate.Sandbox(pids=-1, **options)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ExecError, match="sleep: not found") as caught:
        isolate.Sandbox(**{**options, "rootfs": f"dir:{empty}"}, backend="chroot")
    assert "must be there" in str(caught.value.hint)
    with isolate.Sandbox(**{**options, "rootfs": f"dir:{empty}"}) as box:
        assert "dev" in box.listdir()  # where the init is ours, the root may hold nothing


def in_loop(main: Callable[[], Any]) -> Any:
    return asyncio.run(main())


def test_asyncio(options: dict[str, Any]) -> None:
    async def main() -> None:
        async with aio.Sandbox(**options) as box:
            await box.write("/tmp/file", "data")
            runs = (box.exec(["sh", "-c", f"cat /tmp/file; echo {n}"]) for n in range(8))
            found = [done.stdout for done in await asyncio.gather(*runs)]
            assert found == [f"data{n}\n".encode() for n in range(8)]
            assert await box.read("/tmp/file") == b"data"
            assert await box.listdir("/tmp") == ["file"]
            assert (await box.stats()).pids == 1
            assert box.id == box.blocking.id

    in_loop(main)


def test_asyncio_cancellation(options: dict[str, Any]) -> None:
    async def main() -> None:
        async with aio.Sandbox(**options) as box:
            task = asyncio.create_task(box.exec(["sleep", "1000"]))
            await asyncio.to_thread(until, lambda: box.blocking.stats().pids == 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await box.stats()).pids == 1
            assert (await box.exec(["true"])).ok
        making = asyncio.create_task(aio.Sandbox(**options).__aenter__())
        await asyncio.sleep(0)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making

    in_loop(main)


def test_asyncio_needs_async_with() -> None:
    async def main() -> None:
        with pytest.raises(StateError, match="has not been made"):
            await aio.Sandbox().exec(["true"])

    in_loop(main)


def test_nothing_leaks(options: dict[str, Any]) -> None:
    """Descriptors and threads of ours, in the long run; the fixtures look at the host."""

    def round_trip() -> None:
        with isolate.Sandbox(**options) as box:
            box.exec(["true"], stdin=b"x")
            box.write("/tmp/x", "x")
            box.read("/tmp/x")
            with contextlib.suppress(isolate.IsolateError):
                box.exec(["no-such-program"])
            with contextlib.suppress(isolate.IsolateError):
                box.read("/no")
            box.exec(["sleep", "100"], timeout=0.01)

    round_trip()
    before = (len(os.listdir("/proc/self/fd")), threading.active_count())
    for _ in range(5):
        round_trip()
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


def test_the_examples_of_the_docs() -> None:
    """On `base`, with the defaults that a reader has."""
    found = doctest.testmod(api_sandbox)
    HELPER.close()
    assert (found.failed, found.attempted > 0) == (0, True)
