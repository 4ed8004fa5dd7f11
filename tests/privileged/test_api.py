"""The Python API: results, capture, errors, threads, asyncio, cancellation, a killed helper."""

from __future__ import annotations

import asyncio
import doctest
import os
import select
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import isolate
from isolate import aio
from isolate.api import run as api_run
from isolate.errors import ExecError, SpecError, UnsupportedError
from isolate.helper.client import HELPER
from isolate.linux import process

pytestmark = pytest.mark.needs("root", "busybox")


def test_a_result_tells_all(options: dict[str, Any]) -> None:
    result = isolate.run(["sh", "-c", "echo out; echo err >&2; exit 3"], **options)
    assert (result.stdout, result.stderr) == (b"out\n", b"err\n")
    assert (result.exit_code, result.signal, result.exit_status, result.ok) == (3, None, 3, False)
    assert result.memory_peak_bytes is not None
    assert result.receipt
    assert all(row.holds for row in result.receipt)
    with pytest.raises(isolate.ProgramError, match="status 3") as caught:
        result.check()
    assert caught.value.hint == "err"


def test_input_is_fed_whole(options: dict[str, Any]) -> None:
    data = os.urandom(3_000_000)
    assert isolate.run(["cat"], stdin=data, **options).stdout == data


def test_input_that_nobody_reads(options: dict[str, Any]) -> None:
    assert isolate.run(["true"], stdin=bytes(1_000_000), **options).ok


def test_limits_end_the_program(options: dict[str, Any]) -> None:
    late = isolate.run(["sleep", "100"], timeout=0.2, **options)
    assert (late.timed_out, late.exit_status) == (True, 124)
    loud = isolate.run(["yes"], max_output="10K", **options)
    assert (loud.output_exceeded, len(loud.stdout)) == (True, 10240)
    hungry = isolate.run(["dd", "if=/dev/zero", "of=/dev/null", "bs=200M"], memory="32M", **options)
    assert (hungry.oom_killed, hungry.exit_status) == (True, 137)


def test_errors_keep_their_class(options: dict[str, Any]) -> None:
    with pytest.raises(ExecError) as missing:
        isolate.run(["no-such-program"], **options)
    assert missing.value.exit_status == 127
    with pytest.raises(UnsupportedError, match=r"limits\.memory"):
        isolate.run(["true"], backend="chroot", memory="64M", **options)
    with pytest.raises(SpecError, match=r"limits\.pids"):
        isolate.run(["true"], pids=-1, **options)
    with pytest.raises(TypeError, match="memroy"):
        isolate.run(["true"], memroy="64M", **options)  # type: ignore[call-arg] # the point


def test_threads(options: dict[str, Any]) -> None:
    results: dict[int, bytes] = {}

    def one(number: int) -> None:
        results[number] = isolate.run(["echo", str(number)], **options).stdout

    threads = [threading.Thread(target=one, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: f"{number}\n".encode() for number in range(12)}


def test_asyncio_runs_side_by_side(options: dict[str, Any]) -> None:
    async def all_of_them() -> list[bytes]:
        runs = (aio.run(["echo", str(number)], **options) for number in range(4))
        return [result.stdout for result in await asyncio.gather(*runs)]

    assert asyncio.run(all_of_them()) == [b"0\n", b"1\n", b"2\n", b"3\n"]


def test_a_cancelled_run_leaves_nothing(options: dict[str, Any]) -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(aio.run(["sleep", "1000"], **options))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())


def test_a_killed_helper_is_started_again(options: dict[str, Any]) -> None:
    assert isolate.run(["true"], **options).ok
    helper = HELPER._process
    assert helper is not None
    os.kill(helper.pid, signal.SIGKILL)
    helper.wait()
    assert isolate.run(["true"], **options).ok


def test_a_run_outlives_its_helper(options: dict[str, Any]) -> None:
    """The worker answers by a socket of its own."""
    results: list[isolate.Result] = []
    thread = threading.Thread(
        target=lambda: results.append(isolate.run(["sh", "-c", "sleep 0.5; echo done"], **options))
    )
    thread.start()
    time.sleep(0.3)  # it runs, or it is launched: both must survive
    helper = HELPER._process
    assert helper is not None
    os.kill(helper.pid, signal.SIGKILL)
    thread.join()
    assert results[0].stdout == b"done\n"


def workers() -> list[int]:
    """The processes in which the helper runs containers."""
    assert HELPER._process is not None
    return process.children(HELPER._process.pid)


def test_a_worker_is_used_again(options: dict[str, Any]) -> None:
    for _ in range(10):
        assert isolate.run(["true"], **options).ok
    assert len(workers()) <= 3


def test_idle_workers_that_were_killed_are_replaced(options: dict[str, Any]) -> None:
    assert isolate.run(["true"], **options).ok
    for pid in workers():
        ended = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        select.select([ended], [], [])  # until then it takes a request, and drops it
        os.close(ended)
    assert isolate.run(["true"], **options).ok


def test_a_worker_goes_on_after_a_failure(options: dict[str, Any]) -> None:
    for _ in range(3):
        with pytest.raises(ExecError):
            isolate.run(["/no/such/program"], **options)
    assert isolate.run(["true"], **options).ok


def test_many_at_once_leave_few_workers(options: dict[str, Any]) -> None:
    """As many as are needed; those that are idle in the end are few."""
    with ThreadPoolExecutor(12) as pool:
        calls = [pool.submit(isolate.run, ["true"], **options) for _ in range(24)]
        assert all(call.result().ok for call in calls)
    deadline = time.monotonic() + 10
    most = max(2, os.cpu_count() or 1) + 1
    while len(workers()) > most and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(workers()) <= most


def test_the_examples_of_the_docs() -> None:
    """On `base`, with the defaults that a reader has."""
    found = doctest.testmod(api_run, extraglobs={"run": isolate.run})
    HELPER.close()
    assert (found.failed, found.attempted > 0) == (0, True)
