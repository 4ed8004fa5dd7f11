"""One detached container as its supervisor sees it: made, started, logged, ended, run again."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any, Protocol

from isolate.backend.types import ExitStatus, Usage
from isolate.errors import ExecError, IsolateError, StateError
from isolate.linux import process, signals
from isolate.native import remains
from isolate.runtime import exits
from isolate.supervisor import events, policy, streams
from isolate.supervisor.logs import DEFAULT_SIZE, Log

if TYPE_CHECKING:
    from collections.abc import Callable

    from isolate.runtime.lifecycle import Container
    from isolate.supervisor.loop import Loop, Timer

NOTES = "isolate"  # the stream of what we have to say ourselves
_LOSS = b"no supervisor lived when the program ended: its last output may be missing\n"
_LATER = 0.05  # seconds between looks at what can't be known or written just now
_MOST_PIECES = 256  # that can be in a pipe (F_SETPIPE_SZ), by far: who writes on is not awaited
_FULL = 1.0  # seconds to wait for space on a full disk


class Hub(Protocol):
    """What a container needs of the worker."""

    loop: Loop
    root: str

    def hold(self, container: Supervised, master: int) -> None:
        """Let the guardian know the container's process and streams."""

    def release(self, container: Supervised) -> None:
        """Let the guardian forget them."""


class Supervised:
    """A detached container. `busy` says whether it still needs a supervisor."""

    def __init__(self, hub: Hub, container: Container) -> None:
        self.container = container
        self._hub = hub
        notes = container.notes
        self._policy = policy.Policy(str(notes.get("restart", "no")))
        self._log_size = int(str(notes.get("log_size") or DEFAULT_SIZE))
        self._sources: list[streams.FifoSource | streams.TerminalSource] = []
        self._given: tuple[int, ...] = ()
        self._master = -1
        self._pidfd = -1
        self._timers: list[Timer] = []
        self._waiters: list[Callable[[], None]] = []
        self._timed_out = False
        self._output_exceeded = False
        self._resting = False  # it has ended, and waits to be run again
        self.busy = False
        self.stopping = False

    @property
    def pid(self) -> int | None:
        """The first process."""
        handle = self.container.handle
        return handle.pid if handle is not None else None

    # -- making and starting

    def create(self) -> None:
        """Make it. Raises IsolateError; then nothing is left."""
        try:
            self.container.create(self._make_streams, self._take_console)
        except BaseException:
            self._close_given()
            self._drop_master()
            raise
        self._made()
        self._tell("created", backend=self.container.backend.name)

    def start(self) -> None:
        """Execute the program of a created or stopped container. Raises IsolateError."""
        if not self.busy:
            self._recreate()
        elif os.path.exists(f"{self.container.directory}/started"):
            raise StateError(f"container {self.container.id} runs already")
        self.stopping = False
        self._start()

    def _start(self) -> None:
        container = self.container
        exits.remove(container.directory)
        container.notes["started"] = time.clock_gettime(time.CLOCK_BOOTTIME)
        container.notes["started_at"] = time.time()
        _touch(f"{container.directory}/started")
        try:
            container.start()
        except ExecError:
            raise
        except IsolateError:
            self._kill()  # what runs in spite of it isn't what was asked for
            raise
        self._set_deadline()
        self._tell("started", pid=self.pid)

    def _recreate(self) -> None:
        remains.forget(self.container.directory)
        _unlink(f"{self.container.directory}/started")
        try:
            self.container.recreate(self._make_streams, self._take_console)
        except BaseException:
            self._close_given()
            self._drop_master()
            raise
        self._made()

    def _make_streams(self, directory: str) -> tuple[int, int, int]:
        interactive = self.container.spec.process.interactive
        self._given = given = streams.make_fifos(directory, interactive=interactive)
        return given

    def _close_given(self) -> None:
        for descriptor in self._given:
            os.close(descriptor)
        self._given = ()

    def _take_console(self, master: int) -> None:
        self._master = master

    def _drop_master(self) -> None:
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def _made(self) -> None:
        """It is there and stands ready: watch it."""
        self._close_given()
        self._timed_out = self._output_exceeded = False
        self._watch_process(pin=True)
        self._hub.hold(self, self._master)
        self._watch_streams()
        self.busy = True

    # -- going on with what a killed supervisor left

    def adopt(self, status: str, master: int, *, held: bool) -> None:
        """Go on with a container of which the record says `status`.

        `held`: the guardian lived on and held its streams; else what was in them is gone with the
        program, if that has ended.
        """
        directory = self.container.directory
        self._master = master
        if exits.read(directory) is not None:
            self._drop_master()
            self._free()
            return
        self.busy = True
        if status == "restarting":
            self._drop_master()
            self._rest(0.0)
            return
        self._watch_process(pin=False)
        if self.container.handle is not None and self._pidfd >= 0:
            self._hub.hold(self, self._master)
        elif not held:
            self._note_loss()
        self._watch_streams()
        self._set_deadline()

    def _note_loss(self) -> None:
        try:
            Log(self.container.directory, self._log_size).append(NOTES, _LOSS)
        except OSError as error:
            self._tell("log_failed", problem=str(error.strerror))

    # -- watching

    def _watch_process(self, *, pin: bool) -> None:
        handle = self.container.running_handle
        if handle.pid is None or handle.start_time is None:
            self._later(_LATER, self._look)
            return
        try:
            self._pidfd = process.open_pidfd(handle.pid, handle.start_time)
        except ProcessLookupError:
            self._later(0.0, self._ended)
            return
        if pin:
            remains.pin(self.container.directory, self.container.journal, self._pidfd)
        self._hub.loop.watch(self._pidfd, self.ended)

    def _look(self) -> None:
        """A container without a process of its own here: ask its backend."""
        if self.container.backend.status(self.container.running_handle) == "stopped":
            self._ended()
        else:
            self._later(_LATER, self._look)

    def _watch_streams(self) -> None:
        directory = self.container.directory
        log = Log(directory, self._log_size)
        if self.container.spec.process.terminal:
            self._sources = [streams.TerminalSource(self._master, log)] if self._master >= 0 else []
        else:
            self._sources = [streams.FifoSource(directory, name, log) for name in streams.STREAMS]
        for source in self._sources:
            self._take_up(source)

    def _take_up(self, source: streams.FifoSource | streams.TerminalSource) -> None:
        """Finish what was begun, and watch it."""
        if source in self._sources and self._on_full(source, source.recover):
            self._watch_source(source)

    def _watch_source(self, source: streams.FifoSource | streams.TerminalSource) -> None:
        self._hub.loop.watch(source.descriptor, lambda: self._safely(self._pump, source))

    def _pump(self, source: streams.FifoSource | streams.TerminalSource) -> None:
        if not self._on_full(source, source.pump):
            self._hub.loop.forget(source.descriptor)  # nobody holds the other end any more
            return
        limit = self.container.spec.limits.output
        if limit is not None and sum(source.passed for source in self._sources) > limit:
            self._output_exceeded = True
            self._kill()

    def _on_full(
        self,
        source: streams.FifoSource | streams.TerminalSource,
        act: Callable[[], bool],
    ) -> bool:
        """Whether `act` did something; on a full disk the program waits until there is space."""
        try:
            return act()
        except OSError as error:
            self._hub.loop.forget(source.descriptor)
            self._tell("log_failed", problem=str(error.strerror))
            self._later(_FULL, lambda: self._take_up(source))
            return False

    def _set_deadline(self) -> None:
        limit, started = self.container.spec.limits.timeout, self.container.notes.get("started")
        if limit is not None and isinstance(started, float):
            left = started + limit - time.clock_gettime(time.CLOCK_BOOTTIME)
            self._later(max(0.0, left), self._time_out)

    def _time_out(self) -> None:
        self._timed_out = True
        self._kill()

    def _kill(self) -> None:
        self.container.backend.kill(self.container.running_handle, signals.SIGKILL, everyone=True)

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self._timers.append(self._hub.loop.after(seconds, lambda: self._safely(call)))

    def _rest(self, seconds: float) -> None:
        self._resting = True
        self._later(seconds, self._run_again)

    def _safely(self, call: Callable[..., None], *arguments: object) -> None:
        """Act, where nobody waits for the outcome: a plugin's bug ends its container, and not the
        supervisor of all."""
        try:
            call(*arguments)
        except IsolateError as error:
            self._give_up(error.message)
        except Exception as error:  # noqa: BLE001 - see above
            _log_traceback()
            self._give_up(f"the supervisor failed: {type(error).__name__}: {error}")

    def _give_up(self, problem: str) -> None:
        self._forget_process()
        self._cancel_timers()
        try:
            self._finish(self._result(None, Usage(), problem))
        except Exception:  # noqa: BLE001 - as in `_safely`; `gc` and `delete` go on with it
            _log_traceback()

    # -- stopping

    def stop(self, patience: float, done: Callable[[], None]) -> None:
        """SIGTERM, and SIGKILL after `patience` seconds; `done` is called when it is at its end."""
        self.stopping = True
        self._waiters.append(done)
        handle = self.container.handle
        if self._resting:
            self._resting = False
            self._cancel_timers()
            self._finish(self._result(None, Usage(), "stopped between two runs"))
            return
        backend = self.container.backend
        if handle is not None and backend.status(handle) in ("created", "paused"):
            self._kill()
        elif handle is not None:
            backend.kill(handle, signals.SIGTERM)
            self._later(patience, self._kill)

    # -- the end

    def ended(self) -> None:
        """Its first process has ended."""
        self._safely(self._ended)

    def _ended(self) -> None:
        problem = None
        status: ExitStatus | None = None
        try:
            status = self._status()
            if status is None:
                self._forget_process()
                self._later(_LATER, self._ended)
                return
        except IsolateError as error:
            problem = error.message
        self._forget_process()
        self._kill_rest()
        self._drain()
        self._cancel_timers()
        usage = self._usage()
        result = self._result(status, usage, problem)
        if usage.oom_killed:
            self._tell("oom")
        self._tell("stopped", exit_code=exits.shell_code(result))
        if status is not None:
            self.container.stopped(status, usage)
        restarts = int(str(self.container.notes.get("restarts", 0)))
        if not self.stopping and self._policy.wants_restart(exits.shell_code(result), restarts):
            self.container.notes["restarts"] = restarts + 1
            self.container.record("restarting")
            self._rest(policy.pause(restarts, self._lasted()))
        else:
            self._finish(result)

    def _status(self) -> ExitStatus | None:
        """How it ended; None where it can't be known yet. Raises StateError where it never can."""
        handle = self.container.running_handle
        try:
            return self.container.backend.wait(handle, 0)
        except StateError:
            if handle.pid is None or handle.start_time is None:
                raise
            directory = self.container.directory
            found = remains.wait_status(directory, handle.pid, handle.start_time)
            if found is None:
                raise
            return ExitStatus.from_wait(found)

    def _forget_process(self) -> None:
        if self._pidfd >= 0:
            self._hub.loop.forget(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _kill_rest(self) -> None:
        """Without a pid namespace of its own its descendants live on, and may write for ever."""
        with contextlib.suppress(IsolateError, OSError):
            self._kill()

    def _drain(self) -> None:
        """What it wrote before it ended; descendants that hold on to the streams aren't awaited."""
        for source in self._sources:
            for _ in range(_MOST_PIECES):
                if not self._on_full(source, source.pump):
                    break
            self._hub.loop.forget(source.descriptor)
            source.close()
        if self.container.spec.process.terminal:
            self._master = -1  # it was the source
        self._sources = []

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers = []

    def _usage(self) -> Usage:
        try:
            return self.container.backend.usage(self.container.running_handle)
        except (IsolateError, OSError):
            return Usage()

    def _lasted(self) -> float:
        started = self.container.notes.get("started")
        if not isinstance(started, float):
            return 0.0
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started

    def _result(
        self, status: ExitStatus | None, usage: Usage, problem: str | None
    ) -> dict[str, Any]:
        return {
            "exit_code": status.code if status is not None else None,
            "signal": status.signal if status is not None else None,
            "timed_out": self._timed_out,
            "output_exceeded": self._output_exceeded,
            "problem": problem,
            "started": self.container.notes.get("started_at"),
            "ended": time.time(),
            "wall_seconds": self._lasted(),
            "restarts": self.container.notes.get("restarts", 0),
            "usage": {name: getattr(usage, name) for name in Usage.FIELDS},
        }

    def _finish(self, result: dict[str, Any]) -> None:
        """Keep how it ended, first of all; then free what it took."""
        try:
            exits.write(self.container.directory, result)
            self._free()
        finally:
            waiters, self._waiters = self._waiters, []
            for done in waiters:
                done()

    def _free(self) -> None:
        self.busy = False
        handle = self.container.handle
        if handle is not None:
            self.container.backend.delete(handle)
            _reap(handle.pid)
        remains.unpin(self.container.directory)
        self._hub.release(self)

    def _run_again(self) -> None:
        self._resting = False
        if self.container.handle is not None:
            _reap(self.container.handle.pid)
        try:
            self._recreate()
        except ExecError as error:
            status = ExitStatus(code=error.exit_status)
            self._finish(self._result(status, Usage(), error.message))
            return
        try:
            self._start()
        except ExecError as error:
            self._tell("start_failed", problem=error.message)  # its end comes as any other

    def delete(self, *, force: bool) -> None:
        """Remove it with all that it has. Raises StateError when it runs and `force` isn't said."""
        if self.busy and not force:
            raise StateError(
                f"container {self.container.id} runs", hint="stop it first, or --force"
            )
        name, pid = self.container.id, self.pid
        self._forget_process()
        self._drain()
        self._cancel_timers()
        self._hub.release(self)
        self.busy = False
        self.container.delete()
        _reap(pid)
        events.append(self._hub.root, "deleted", name)
        waiters, self._waiters = self._waiters, []
        for done in waiters:
            done()

    def console(self) -> int:
        """The master of the program's terminal. Raises StateError."""
        if self._master < 0 or not self.busy:
            raise StateError(
                f"container {self.container.id} has no terminal",
                hint="it must run, made with --tty",
            )
        return self._master

    def _tell(self, kind: str, **details: object) -> None:
        events.append(self._hub.root, kind, self.container.id, **details)


def _log_traceback() -> None:
    traceback.print_exc()
    sys.stderr.flush()


def _reap(pid: int | None) -> None:
    """Reap an ended child; whose child it isn't, others reap."""
    if pid is None:
        return
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
