"""Probes of a container's life: what is left of it when those who look after it are killed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from isolate.linux import process
from isolate.linux.cgroup import layout
from isolate.probe import outside
from isolate.probe.model import Outcome, Probe
from isolate.probe.subject import Contained

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from isolate.probe.model import Scene

_PATIENCE = 5.0  # seconds in which the kernel must have torn down what was let go of
_START = 30.0  # seconds in which it must have started
_BEFORE = 0.4  # seconds until the look before anything is collected
_LIFE = 60  # seconds that the program lives at the most


class Residue(Probe):
    """Kill who looks after a container by SIGKILL, and look: at once, and after gc.

    Killed are the process that launched one and, for a detached one, the supervisor; that container
    is taken over by the next supervisor, and deleted then.
    """

    meaning = "Crashes leave processes, mounts, cgroups, links or keys on the host."
    remedy = "Report it as a bug of the backend; what is named here can be removed by hand."

    def observe(self, scene: Scene) -> Outcome:
        subject = scene.subject
        trials: list[_Trial] = [_Launched(scene)]
        if isinstance(subject, Contained):
            trials.append(_Detached(scene, subject))
        failed = [trial.how for trial in trials if not trial.starts()]
        if failed:
            return Outcome.failure(f"a container didn't start: {', '.join(failed)}")
        for trial in trials:
            trial.kill()
        time.sleep(_BEFORE)
        left = [trial.made.still() for trial in trials]
        words = subject.collect() if isinstance(subject, Contained) else ""
        for trial in trials:
            trial.delete()
        if subject.contains:
            _within(_PATIENCE, lambda: not any(trial.made.still() for trial in trials))
        after = [trial.made.still() for trial in trials]
        evidence = "; ".join(
            f"{trial.how}, then SIGKILL: of {trial.made} left {_named(one)}, "
            f"after {trial.undone} {_named(two)}"
            for trial, one, two in zip(trials, left, after, strict=True)
        )
        return Outcome(
            reached=any(after),
            evidence=f"{evidence}{f'; gc: {words}' if words else ''}",
            numbers={
                "kinds_left": sum(map(len, left)),
                "kinds_left_after_gc": sum(map(len, after)),
            },
        )


class _Trial:
    """A container with a program that lives for a while, ended with the scene.

    Attributes:
        how: it is started.
        undone: by what.
        made: what there is of it, once it has been killed.
    """

    how: str
    undone = "gc"

    def __init__(self, scene: Scene) -> None:
        code = f"import time; print(flush=True); time.sleep({_LIFE})"
        self.program = [*scene.subject.python(), "-c", code, f"{scene.token}-{self.how}"]
        self.name = f"probe-{self.how}-{scene.token.removeprefix('canary-')}"
        self.made = Remains(self.program, self.name, {})
        scene.cleanup(_end, self.program)

    def starts(self) -> bool:
        """Whether the program has started, once that is certain."""
        raise NotImplementedError

    def supervisors(self) -> list[int]:
        """The pids of those who look after it."""
        raise NotImplementedError

    def kill(self) -> None:
        """Kill them."""
        supervisors = self.supervisors()
        family = [pid for each in supervisors for pid in process.descendants(each)]
        self.made = Remains(self.program, self.name, self.made.found, family)
        for pid in supervisors:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def delete(self) -> None:
        """Delete what goes on by intent."""


class _Launched(_Trial):
    """Its launcher waits for it."""

    how = "launched"

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        command = scene.subject.launcher(self.program, self.name)
        self._said, said = os.pipe()
        scene.cleanup(os.close, self._said)
        quiet = subprocess.DEVNULL
        self._launcher = subprocess.Popen(command, stdin=quiet, stdout=said, stderr=quiet)
        os.close(said)
        scene.cleanup(self._launcher.wait)
        scene.cleanup(self._launcher.kill)

    def starts(self) -> bool:
        # Its first line, or the end of those who could write one.
        ready = select.select([self._said], [], [], _START)[0]
        return bool(ready and os.read(self._said, 1))

    def supervisors(self) -> list[int]:
        return [self._launcher.pid]


class _Detached(_Trial):
    """It runs in the background."""

    how = "detached"
    undone = "gc and delete"

    def __init__(self, scene: Scene, subject: Contained) -> None:
        super().__init__(scene)
        self._subject = subject
        scene.cleanup(subject.delete, self.name)
        self._words = subject.detach(self.program, self.name)

    def starts(self) -> bool:
        return not self._words

    def supervisors(self) -> list[int]:
        return self._subject.supervisors()

    def delete(self) -> None:
        self._subject.delete(self.name)


def _named(left: list[str]) -> str:
    return ", ".join(left) or "nothing"


def _running(program: list[str]) -> list[int]:
    line = "\0".join([*program, ""]).encode()
    return [pid for pid in outside.pids() if outside.command_line(pid) == line]


def _start(pid: int) -> int | None:
    with suppress(ProcessLookupError):
        return process.start_time(pid)
    return None


def _end(program: list[str]) -> None:
    for pid in _running(program):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _within(seconds: float, done: Callable[[], object]) -> bool:
    deadline = time.monotonic() + seconds
    while not (found := done()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(found)


class Remains:
    """What there is of a container on the host.

    Processes are those of `family` and those with the program's command line; cgroups and mounts
    bear the container's name; network links and keys have come since `before`, and keys belong to a
    user of its processes.

    Attributes:
        found: by kind.
    """

    def __init__(
        self,
        program: list[str],
        name: str,
        before: dict[str, set[str]],
        family: Sequence[int] = (),
    ) -> None:
        self._program = program
        self._family = {pid: _start(pid) for pid in family}
        self._name = name
        self._users: set[str] = set()
        for pid in _running(program):
            with suppress(OSError):
                self._users.add(outside.status(pid)["Uid"].split()[0])
        self.found = {kind: items - before.get(kind, set()) for kind, items in self._look().items()}

    def _look(self) -> dict[str, set[str]]:
        return {
            "process": set(map(str, {*_running(self._program), *self._surviving()})),
            "cgroup": {path for path in _cgroups() if self._name in path},
            "mount": {row for row in _mounts() if self._name in row},
            "link": set(os.listdir("/sys/class/net")),
            "key": set(_keys(self._users)),
        }

    def _surviving(self) -> list[int]:
        """Those of the family that run, and aren't others that have their pids by now."""
        return [
            pid
            for pid, start in self._family.items()
            if start is not None and process.alive(pid, start)
        ]

    def still(self) -> list[str]:
        """The kinds of what is still there, each with how many."""
        now = self._look()
        left = {kind: items & now[kind] for kind, items in self.found.items()}
        return [f"{len(items)} {kind}" for kind, items in left.items() if items]

    def __str__(self) -> str:
        return ", ".join(f"{len(items)} {kind}" for kind, items in self.found.items() if items)


def _cgroups() -> list[str]:
    """The directories of all cgroups."""
    roots = {each.mountpoint for each in layout.discover().hierarchies}
    return [path for root in roots for path, _directories, _files in os.walk(root)]


def _mounts() -> list[str]:
    return outside.mounts(os.getpid()).splitlines()


def _keys(users: set[str]) -> list[str]:
    """The ids of keys and keyrings of these users, but for ours, whose are older; keyrings(7)."""
    try:
        with open("/proc/keys", errors="replace") as file:
            rows = [line.split() for line in file]
    except OSError:
        return []
    return [row[0] for row in rows if row[5] in users - {"0", str(os.geteuid())}]
