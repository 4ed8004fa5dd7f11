"""The life of a container: created, started, killed, deleted, at any point and from any process."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from isolate.errors import IsolateError
from isolate.runtime.collect import collect
from isolate.runtime.lifecycle import Container
from isolate.testing.features.limits import FORKING
from isolate.testing.hold import breach, hold, nothing, same
from isolate.testing.lab import elsewhere, errors_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from isolate.testing.lab import Lab, Live

_SLEEP = ["sleep", "60"]

_ELSEWHERE = """
from isolate.backend import Handle
from isolate.plugins import load
handle = Handle.build(given[1], "handle")
"""


class _CutShortError(IsolateError):
    """What a test raises in the middle of a creation."""


class LifecycleContract:
    """Tests of create, start, wait, status, kill, delete."""

    def test_status(self, lab: Lab) -> None:
        live = lab.create(["sh", "-c", "echo ready; exec sleep 60"])
        same(live.status(), "created", "the status after create")
        same(live.output(), b"", "what was written before start")
        live.start()
        live.expect(b"ready")
        same(live.status(), "running", "the status after start")
        same(lab.backend.wait(live.handle, 0), None, "wait() of a program that runs")
        live.kill(signal.SIGKILL)
        _until_stopped(live)

    def test_create_does_not_start(self, lab: Lab) -> None:
        live = lab.create(["sh", "-c", "echo ran"])
        time.sleep(0.2)
        same(live.output(), b"", "what was written before start")
        live.start()
        same(live.wait().code, 0, "the exit code")
        same(live.output(), b"ran\n", "what was written after start")

    def test_starting_twice_is_an_error(self, lab: Lab) -> None:
        live = lab.start(_SLEEP)
        error = errors_of(lab.backend.start, live.handle)
        hold(error is not None, "a running container was started again")
        same(live.status(), "running", "its status afterwards")

    def test_killing_what_has_ended_hurts_nobody(self, lab: Lab) -> None:
        live = lab.start(["true"])
        same(live.wait().code, 0, "the exit code")
        errors_of(live.kill, signal.SIGTERM)
        errors_of(live.kill, signal.SIGKILL)

    def test_a_handle_is_enough_for_another_process(self, lab: Lab) -> None:
        live = lab.start(["sh", "-c", "echo ready; exec sleep 60"])
        live.expect(b"ready")
        found = elsewhere(
            _ELSEWHERE + "backend = load(given[0])\n"
            "before = backend.status(handle)\n"
            "backend.kill(handle, 9, everyone=True)\n"
            "print(json.dumps(before))",
            lab.name,
            live.handle.to_dict(),
        )
        same(found, "running", "the status that another process sees")
        same(live.wait().signal, 9, "the signal that another process sent")

    def test_another_process_starts_and_deletes(self, lab: Lab) -> None:
        live = lab.create(["sh", "-c", "echo ready; exec sleep 60"])
        elsewhere(_ELSEWHERE + "load(given[0]).start(handle)", lab.name, live.handle.to_dict())
        live.expect(b"ready")
        elsewhere(_ELSEWHERE + "load(given[0]).delete(handle)", lab.name, live.handle.to_dict())
        hold(not live.pids(), "a process is left after delete")

    def test_two_containers_are_independent(self, lab: Lab) -> None:
        one, other = (lab.start(["sh", "-c", "echo ready; exec sleep 60"]) for _ in range(2))
        one.expect(b"ready")
        other.expect(b"ready")
        hold(one.handle != other.handle, "two containers have one handle")
        one.kill(signal.SIGKILL, everyone=True)
        same(one.wait().signal, 9, "the signal that killed the one")
        one.delete()
        same(other.status(), "running", "the other's status")

    def test_deleting_twice(self, lab: Lab) -> None:
        live = lab.start(["true"])
        same(live.wait().code, 0, "the exit code")
        handle = live.handle
        lab.backend.delete(handle)
        lab.backend.delete(handle)
        live.delete()

    def test_deleting_what_was_never_started(self, lab: Lab) -> None:
        live = lab.create(_SLEEP)
        lab.backend.delete(live.handle)
        live.close()
        nothing(lab.traces.left(), "deleting what was created left")

    def test_deleting_what_runs(self, lab: Lab) -> None:
        live = lab.start(lab.script(FORKING))
        live.expect(b"forking")
        lab.backend.delete(live.handle)
        nothing(live.pids(), "processes after delete")
        live.close()
        nothing(lab.traces.left(), "deleting what runs left")

    def test_killing_everyone_ends_a_forking_tree(self, lab: Lab) -> None:
        live = lab.start(lab.script(FORKING))
        live.expect(b"forking")
        live.kill(signal.SIGKILL, everyone=True)
        same(live.wait().signal, 9, "the signal")
        deadline = time.monotonic() + 3
        while (left := live.pids()) and time.monotonic() < deadline:
            time.sleep(0.01)
        nothing(left, "processes that outlived kill(everyone)")

    def test_a_creation_that_fails_leaves_nothing(self, lab: Lab) -> None:
        for step in _steps(lab):
            container = Container(
                lab.backend, lab.spec(_SLEEP), lab.store, id=lab.new_id(), checkpoint=_raiser(step)
            )
            error = errors_of(container.create)
            hold(isinstance(error, _CutShortError), f"a failure at {step!r} became {error!r}")
            nothing(lab.traces.left(), f"a creation that failed at {step!r} left")

    def test_a_creation_that_is_killed_can_be_collected(self, lab: Lab) -> None:
        for step in _steps(lab):
            _create_and_die(lab, step)
            nothing(_collected(lab), f"gc of a creation killed at {step!r}")
            nothing(lab.traces.left(), f"a creation killed at {step!r} left after gc")

    def test_failures_are_isolate_errors(self, lab: Lab) -> None:
        """A mistake of the user's is told by IsolateError; anything else counts as a bug."""
        for what, document in {
            "a root that isn't there": {"root": {"source": "dir:/contract/no-such-root"}},
            "a user that isn't there": {"process": {"user": "contract-nobody"}},
            "an option of no such name": {"backend_options": {lab.name: {"contract_none": True}}},
        }.items():
            error = errors_of(lab.run, ["true"], document)
            hold(error is not None, f"{what} is no error")
            hold(str(error).strip() and "Traceback" not in str(error), f"{what}: {error}")

    def test_usage_is_readable_until_delete(self, lab: Lab) -> None:
        live = lab.start(["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done"])
        same(live.wait().code, 0, "the exit code")
        usage = lab.backend.usage(live.handle)
        for name in usage.FIELDS:
            value = getattr(usage, name)
            hold(value is None or value >= 0, f"{name} is {value}")
        if usage.cpu_user_seconds is not None:
            hold(usage.cpu_user_seconds > 0, "a loop used no CPU time: unmeasured is None")
        hold(not usage.oom_killed, "a small program was killed for memory")


def _until_stopped(live: Live) -> None:
    """Reaped or not, a program that was killed is stopped."""
    deadline = time.monotonic() + 5
    while (status := live.status()) != "stopped":
        if time.monotonic() > deadline:
            breach(f"a killed container is {status}")
        time.sleep(0.01)


def _steps(lab: Lab) -> list[str]:
    """The checkpoints of a creation, in their order."""
    found: list[str] = []
    container = Container(
        lab.backend, lab.spec(_SLEEP), lab.store, id=lab.new_id(), checkpoint=found.append
    )
    try:
        container.create()
    finally:
        container.delete()
    return list(dict.fromkeys(found))


def _raiser(step: str) -> Callable[[str], None]:
    def checkpoint(name: str) -> None:
        if name == step:
            raise _CutShortError(f"cut short at {step}")

    return checkpoint


def _create_and_die(lab: Lab, step: str) -> None:
    """Create in a child that is killed at a checkpoint."""

    def checkpoint(name: str) -> None:
        if name == step:
            os.kill(os.getpid(), signal.SIGKILL)

    name = lab.new_id()
    child = os.fork()
    if child == 0:
        try:
            Container(
                lab.backend, lab.spec(_SLEEP), lab.store, id=name, checkpoint=checkpoint
            ).create()
        finally:
            os._exit(1)
    _pid, status = os.waitpid(child, 0)
    hold(os.WIFSIGNALED(status), f"the creation to be killed at {step!r} went on")


def _collected(lab: Lab) -> list[str]:
    """What gc says when nothing of the creation lives any more: its first process may need a
    moment to notice."""
    deadline = time.monotonic() + 3
    while True:
        problems = list(collect(lab.store).problems)
        if not lab.store.list() or time.monotonic() > deadline:
            return problems
        time.sleep(0.01)
