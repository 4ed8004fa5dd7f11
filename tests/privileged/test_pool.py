"""Pools: always a fresh sandbox, whatever died meanwhile; filled again; nothing left in the end."""

from __future__ import annotations

import asyncio
import contextlib
import doctest
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import isolate
from isolate import aio
from isolate.api import pool as api_pool
from isolate.errors import SpecError, StateError, UnsupportedError
from isolate.helper.client import HELPER
from isolate.runtime.collect import collect
from isolate.runtime.inspect import containers
from isolate.runtime.stores import open_store
from isolate.spec.model import Spec
from tests.support.detached import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("root", "busybox")

# Says whether anybody was here before, and leaves a trace.
_SCRIPT = "set -- /proc/[0-9]* /tmp/*; echo $@; echo used > /tmp/used; sleep 1000 > /dev/null &"
TRACE = ["sh", "-c", _SCRIPT]


@pytest.fixture
def pool(options: dict[str, Any]) -> Iterator[isolate.Pool]:
    with isolate.Pool(size=3, memory="64M", pids=16, **options) as made:
        yield made


def first_processes(options: dict[str, Any]) -> dict[str, int]:
    """Of the sandboxes that run: pids by id."""
    rows = containers(open_store(options["root"]))
    return {row["id"]: row["handle"]["pid"] for row in rows if row["status"] == "running"}


def full(pool: isolate.Pool) -> None:
    until(lambda: len(pool) == 3)


def is_fresh(result: isolate.Completed) -> bool:
    first, program, files = result.stdout.split()
    return first == b"/proc/1" and program.startswith(b"/proc/") and files == b"/tmp/*"


def test_each_program_has_a_sandbox_that_nobody_had(pool: isolate.Pool) -> None:
    assert all(is_fresh(pool.run(TRACE)) for _ in range(8))
    full(pool)


def test_arguments_and_errors_are_those_of_exec(pool: isolate.Pool) -> None:
    ran = pool.run(["sh", "-c", "cat; echo $A; pwd"], stdin=b"in\n", env={"A": "b"}, cwd="/tmp")
    assert ran.stdout == b"in\nb\n/tmp\n"
    assert pool.run(["sleep", "100"], timeout=0.1).timed_out
    assert pool.run(["yes"], max_output=10).output_exceeded
    with pytest.raises(isolate.IsolateError, match="not found"):
        pool.run(["no-such-program"])
    with pytest.raises(SpecError):
        pool.run([])
    full(pool)


def test_a_taken_one_is_the_takers(pool: isolate.Pool) -> None:
    with pool.take() as one, pool.take() as other:
        assert one.id != other.id
        one.write("/tmp/file", "one")
        assert one.exec(["cat", "/tmp/file"]).stdout == b"one"
        assert other.listdir("/tmp") == []
        pool.close()
        assert one.exec(["true"]).ok
    with pytest.raises(StateError, match="the pool is closed"):
        pool.run(["true"])


def test_threads(pool: isolate.Pool) -> None:
    fresh: list[bool] = []
    threads = [
        threading.Thread(target=lambda: fresh.append(is_fresh(pool.run(TRACE)))) for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fresh == [True] * 12


def test_what_died_while_it_waited_is_not_handed_out(
    pool: isolate.Pool, options: dict[str, Any]
) -> None:
    full(pool)
    dead = first_processes(options)
    assert len(dead) == 3
    for pid in dead.values():
        os.kill(pid, signal.SIGKILL)
    until(lambda: not dead.keys() & first_processes(options).keys())
    with pool.take() as taken:
        assert taken.id not in dead
        assert is_fresh(taken.exec(TRACE))
    full(pool)
    assert not dead.keys() & first_processes(options).keys()


def test_a_killed_helper(pool: isolate.Pool) -> None:
    process = HELPER._process
    assert process is not None
    full(pool)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert all(is_fresh(pool.run(TRACE)) for _ in range(5))
    full(pool)


def test_a_helper_that_is_killed_again_and_again(pool: isolate.Pool) -> None:
    """Whoever is made just then may fail, and says so; nobody gets a used one."""
    for _ in range(6):
        process = HELPER._process
        if process is not None:
            os.kill(process.pid, signal.SIGKILL)
        with contextlib.suppress(isolate.IsolateError):
            assert is_fresh(pool.run(TRACE))
    full(pool)


def test_what_can_not_be_made_is_told(options: dict[str, Any], tmp_path: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"limits\.memory"):
        isolate.Pool(size=1, backend="chroot", memory="64M", **options)
    with pytest.raises(ValueError, match="pool of 0"):
        isolate.Pool(size=0, **options)
    source = tmp_path / "volume"
    source.mkdir()
    mounts = [{"source": str(source), "target": "/volume"}]
    with isolate.Pool(size=1, mounts=mounts, **options) as pool:
        source.rmdir()  # from now on none can be made
        assert pool.run(["true"]).ok
        for _ in range(2):
            with pytest.raises(isolate.IsolateError, match="volume"):
                pool.run(["true"])
        source.mkdir()
        until(lambda: len(pool) == 1)  # without anybody's asking
        assert pool.run(["true"]).ok


def test_a_bug_is_told_to_who_waits(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with isolate.Pool(size=1, **options) as pool:
        until(lambda: len(pool) == 1)
        monkeypatch.setattr(pool, "_blueprint", None)
        assert pool.run(["true"]).ok
        with pytest.raises(AttributeError):
            pool.run(["true"])


def _runs(pool: isolate.Pool) -> bool:
    try:
        return pool.run(["true"]).ok
    except isolate.IsolateError:
        return False


@pytest.mark.parametrize("backend", ["jail", "chroot"])
def test_every_backend_with_exec(options: dict[str, Any], backend: str) -> None:
    with isolate.Pool(size=1, backend=backend, **options) as pool:
        assert [pool.run(["echo", str(n)]).stdout for n in range(2)] == [b"0\n", b"1\n"]


def test_a_spec_that_the_arguments_override(options: dict[str, Any]) -> None:
    spec = Spec.build({"process": {"env": {"A": "spec", "B": "spec"}}, "hostname": "mine"}, "")
    with isolate.Pool(spec, size=1, env={"A": "mine"}, **options) as pool:
        ran = pool.run(["sh", "-c", "echo $A$B; hostname"], env={"B": "b"})
        assert ran.stdout == b"mineb\nmine\n"


def test_a_pool_that_nobody_closes(options: dict[str, Any]) -> None:
    references = [isolate.Pool(size=2, **options)]
    until(lambda: len(references[0]) == 2)
    with pytest.warns(ResourceWarning, match="the pool was not closed"):
        references.clear()
    until(lambda: not containers(open_store(options["root"])))


def test_a_forked_child_has_no_pool(pool: isolate.Pool) -> None:
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            with pytest.raises(StateError, match="which forked this one"):
                pool.run(["true"])
            pool.close()
            status = 0
        os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert pool.run(["true"]).ok


def test_asyncio(options: dict[str, Any]) -> None:
    async def main() -> None:
        async with aio.Pool(size=2, **options) as pool:
            runs = await asyncio.gather(*(pool.run(TRACE) for _ in range(6)))
            assert all(map(is_fresh, runs))
            async with pool.take() as box:
                await box.write("/tmp/file", "x")
                assert await box.listdir("/tmp") == ["file"]
            task = asyncio.create_task(pool.run(["sleep", "1000"]))
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert is_fresh(await pool.run(TRACE))

    asyncio.run(main())


def test_nothing_leaks(options: dict[str, Any]) -> None:
    def round_trip() -> None:
        with isolate.Pool(size=2, **options) as pool:
            for _ in range(4):
                pool.run(["true"])

    round_trip()
    before = (len(os.listdir("/proc/self/fd")), threading.active_count())
    for _ in range(4):
        round_trip()
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


def test_the_examples_of_the_docs() -> None:
    found = doctest.testmod(api_pool)
    HELPER.close()
    assert (found.failed, found.attempted > 0) == (0, True)


def _descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [found for child in map(int, children) for found in (child, *_descendants(child))]


def test_whatever_is_killed_nobody_gets_a_used_one(options: dict[str, Any]) -> None:
    """The helper, keepers, first processes, programs, in the midst of whatever they do."""
    chance, store = random.Random(5), open_store(options["root"])  # noqa: S311 - no secret
    used: list[isolate.Completed] = []
    with isolate.Pool(size=2, **options) as pool:
        done = threading.Event()

        def use() -> None:
            while not done.is_set():
                with contextlib.suppress(isolate.IsolateError):
                    ran = pool.run(TRACE)
                    if ran.ok and not is_fresh(ran):
                        used.append(ran)

        threads = [threading.Thread(target=use) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(25):
            time.sleep(chance.random() / 10)
            process = HELPER._process
            if process is not None:
                victim = chance.choice([process.pid, *_descendants(process.pid) * 3])
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
        done.set()
        for thread in threads:
            thread.join()
        until(lambda: _runs(pool))
    HELPER.close()
    until(lambda: collect(store).failures == [] and not containers(store))
    assert used == []
