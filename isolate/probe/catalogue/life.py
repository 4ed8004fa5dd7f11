"""Probes of a container's life: what is left of it when those who look after it are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from isolate.linux.cgroup import layout
from isolate.probe import outside
from isolate.probe.model import Outcome, Probe
from isolate.probe.subject import Contained

if TYPE_CHECKING:
    from collections.abc import Callable

    from isolate.probe.model import Scene

_PATIENCE = 5.0  # seconds in which the kernel must have torn down what was let go of
_START = 30.0  # seconds in which it must have started
_BEFORE = 1.0  # seconds until the look before anything is collected
_LIFE = 60  # seconds that the program lives at the most


class Residue(Probe):
    """Kill who looks after a container by SIGKILL, and look: at once, and after gc.

    Killed are the process that launched it and, for a detached one, the supervisor; that one is
    taken over by the next supervisor, and deleted then.
    """

    meaning = "Crashes leave processes, mounts, cgroups, links or keys on the host."
    remedy = "Report it as a bug of the backend; what is named here can be removed by hand."

    def observe(self, scene: Scene) -> Outcome:
        trials = [_launched(scene)]
        if isinstance(scene.subject, Contained):
            trials.append(_detached(scene, scene.subject))
        failed = [trial.words for trial in trials if trial.failed]
        if failed:
            return Outcome.failure("; ".join(failed))
        return Outcome(
            reached=any(trial.after for trial in trials),
            evidence="; ".join(trial.words for trial in trials),
            numbers={
                "kinds_left": sum(len(trial.left) for trial in trials),
                "kinds_left_after_gc": sum(len(trial.after) for trial in trials),
            },
        )


class _Trial:
    """What was left at once and after collecting, and all of it in words."""

    def __init__(
        self, words: str, left: list[str], after: list[str], *, failed: bool = False
    ) -> None:
        self.words = words
        self.left = left
        self.after = after
        self.failed = failed


def _launched(scene: Scene) -> _Trial:
    """A container whose launcher is killed."""
    program, name = _program(scene, "launched")
    command = scene.subject.launcher(program, name)
    before = Remains(program, name, {})
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet) as launcher:
        return _tried(scene, before, lambda: [launcher.pid], launcher.kill)


def _detached(scene: Scene, subject: Contained) -> _Trial:
    """A detached container whose supervisor is killed."""
    program, name = _program(scene, "detached")
    before = Remains(program, name, {})
    scene.cleanup(subject.delete, name)
    words = subject.detach(program, name)
    if words:
        return _Trial(f"detached: {words}", [], [], failed=True)
    return _tried(scene, before, subject.supervisors, lambda: subject.delete(name))


def _program(scene: Scene, how: str) -> tuple[list[str], str]:
    """A program that lives for a while, ended with the scene; its container's name."""
    code = f"import time; time.sleep({_LIFE})"
    program = [*scene.subject.python(), "-c", code, f"{scene.token}-{how}"]
    scene.cleanup(_end, program)
    return program, f"probe-{how}-{scene.token.removeprefix('canary-')}"


def _tried(
    scene: Scene,
    before: Remains,
    supervisors: Callable[[], list[int]],
    delete: Callable[[], object],
) -> _Trial:
    """Kill the supervisors of what has been started since `before`, collect, delete."""
    if not _within(_START, before.runs):
        delete()
        return _Trial(f"{before.name}: it didn't start", [], [], failed=True)
    made = Remains(before.program, before.name, before.found)
    for pid in supervisors():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    time.sleep(_BEFORE)
    left = made.still()
    words = ""
    if isinstance(scene.subject, Contained):
        words = scene.subject.collect()
        delete()
        _within(_PATIENCE, lambda: not made.still())
    after = made.still()
    evidence = f"{made.name.split('-')[1]}, then SIGKILL: of {made} left {_named(left)}, "
    evidence += f"after gc {_named(after)}{f' ({words})' if words else ''}"
    return _Trial(evidence, left, after)


def _named(left: list[str]) -> str:
    return ", ".join(left) or "nothing"


def _running(program: list[str]) -> list[int]:
    line = "\0".join([*program, ""]).encode()
    return [pid for pid in outside.pids() if outside.command_line(pid) == line]


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

    Processes by their command line, cgroups and mounts by the container's name; network links and
    keys by having come since `before`, keys only where they are a user's of its processes.

    Attributes:
        program: the command line of its program.
        name: the container's.
        found: by kind.
    """

    def __init__(self, program: list[str], name: str, before: dict[str, set[str]]) -> None:
        self.program = program
        self.name = name
        self._users: set[str] = set()
        for pid in _running(program):
            with suppress(OSError):
                self._users.add(outside.status(pid)["Uid"].split()[0])
        self.found = {kind: items - before.get(kind, set()) for kind, items in self._look().items()}

    def _look(self) -> dict[str, set[str]]:
        return {
            "process": set(map(str, _running(self.program))),
            "cgroup": {path for path in _cgroups() if self.name in path},
            "mount": {row for row in _mounts() if self.name in row},
            "link": set(os.listdir("/sys/class/net")),
            "key": set(_keys(self._users)),
        }

    def runs(self) -> bool:
        """Whether the program runs."""
        return bool(_running(self.program))

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
    """The ids of keys and keyrings that belong to others than the host's root, keyrings(7)."""
    try:
        with open("/proc/keys", errors="replace") as file:
            rows = [line.split() for line in file]
    except OSError:
        return []
    return [row[0] for row in rows if row[5] in users - {"0"}]
