"""Probes of limits: whether the program takes more than it was given, by the host's own figures.

Each takes a little more than a limit that is asked for, for a moment.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from isolate.linux.process import (
    CHILDREN_SYSTEM_TICKS,
    CHILDREN_USER_TICKS,
    SYSTEM_TICKS,
    USER_TICKS,
    stat_fields,
)
from isolate.probe import outside
from isolate.probe.conversation import converse
from isolate.probe.inside.limits import count_objects
from isolate.probe.judge import judged
from isolate.probe.model import LiveProbe, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from isolate.probe.conversation import Inside
    from isolate.probe.model import Answer, Scene

_LIMITS = "isolate.probe.inside.limits"
_PLACES = ("/", "/var/tmp", "/root", "/home")  # noqa: S108 - places to try
MEMORY = 64 * 2**20  # bytes
PIDS = 48
RATE = 8 * 2**20  # bytes a second
_WRITTEN = RATE // 2
_ASK = "Use a backend that promises {}, and ask for it: {}."


def limits(scene: Scene) -> Mapping[str, Any]:
    """What all but the probe of CPU time ask for, so that they share a container."""
    device = outside.disk_of(getattr(scene.subject, "state", scene.directory))
    io = [{"device": device, "wbps": RATE}] if device else []
    return {"limits": {"memory": MEMORY, "pids": PIDS, "io": io}}


def _killed(answer: Answer, inside: Inside) -> bool:
    """Whether the attempt, or the whole container, was killed for it."""
    return answer.signal == signal.SIGKILL or not inside.alive


class Memory(LiveProbe):
    """Allocate 96 MiB below a limit of 64 MiB."""

    meaning = "The program takes the host's memory, and others are killed for it."
    remedy = _ASK.format("limits.memory", "--memory")
    feature = "limits.memory"

    def overlay(self, scene: Scene) -> Mapping[str, Any]:
        return limits(scene)

    def look(self, scene: Scene, inside: Inside) -> Outcome:
        limit = outside.knob(inside.driver(), "memory.max", "memory.limit_in_bytes")
        with inside.hold(f"{_LIMITS}:allocate", size=MEMORY * 3 // 2) as answer:
            resident = max(map(_resident, inside.processes()), default=0)
        said = "killed" if _killed(answer, inside) else str(answer)
        seen = f"the host counts {resident >> 20} MiB, its cgroup's limit is {limit}"
        evidence = f"allocate {MEMORY * 3 // 2 >> 20} MiB: {said}; {seen}"
        if resident > MEMORY * 5 // 4:
            return Outcome(reached=True, evidence=evidence)
        if answer.fault is None and inside.own_kernel:
            return Outcome.unclear(f"{evidence}; the host doesn't see what its kernel has taken")
        bounded = limit == str(MEMORY) or answer.refused or inside.own_kernel
        return Outcome(reached=False if bounded else None, evidence=evidence)


def _resident(pid: int) -> int:
    return int(outside.status(pid).get("VmRSS", "0 kB").split()[0]) * 1024


class Pids(LiveProbe):
    """Start 80 processes below a limit of 48."""

    meaning = "A fork bomb inside exhausts the host's processes."
    remedy = _ASK.format("limits.pids", "--pids")
    feature = "limits.pids"

    def overlay(self, scene: Scene) -> Mapping[str, Any]:
        return limits(scene)

    def look(self, scene: Scene, inside: Inside) -> Outcome:
        limit = outside.knob(inside.driver(), "pids.max")
        with inside.hold(f"{_LIMITS}:fork_many", count=80, patience=8) as answer:
            found = len(inside.processes())
        seen = f"the host sees {found}, its cgroup's limit is {limit}"
        return judged(answer, "start 80 processes", reached=found > PIDS, seen=seen)


class Cpu(LiveProbe):
    """Keep two processes busy below a limit of 0.1 CPUs."""

    meaning = "The program takes the host's CPU time, and everything else slows down."
    remedy = _ASK.format("limits.cpus", "--cpus")
    feature = "limits.cpus"
    share = 0.1

    def overlay(self, scene: Scene) -> Mapping[str, Any]:
        return {"limits": {"cpus": self.share}}

    def look(self, scene: Scene, inside: Inside) -> Outcome:
        driver = inside.driver()
        begun, used = time.monotonic(), _cpu_seconds(driver)
        answer = inside.call(f"{_LIMITS}:burn", seconds=10, processes=2, duration=0.5)
        inside.call(f"{_LIMITS}:count_objects")  # by then the one before has been waited for
        passed = time.monotonic() - begun
        share = (_cpu_seconds(driver) - used) / passed
        if driver is None:
            return Outcome.unclear(f"be busy: {answer}; the host doesn't see its processes")
        seen = f"the host counts {share:.2f} CPUs over {passed:.1f} s"
        return judged(answer, "be busy twice", reached=share > 2 * self.share, seen=seen)


def _cpu_seconds(pid: int | None) -> float:
    """What a process and the children that it has waited for have used."""
    fields = stat_fields(pid) if pid is not None else None
    numbers = (USER_TICKS, SYSTEM_TICKS, CHILDREN_USER_TICKS, CHILDREN_SYSTEM_TICKS)
    ticks = sum(int(fields[number]) for number in numbers) if fields is not None else 0
    return ticks / os.sysconf("SC_CLK_TCK")


class Disk(LiveProbe):
    """Take a part of the host's disk: the host looks whether that much less is free."""

    meaning = "The program fills the host's disk."
    remedy = "Make the root read-only, and give it tmpfs of a size where it must write."

    def look(self, scene: Scene, inside: Inside) -> Outcome:
        places = [scene.directory, getattr(scene.subject, "state", scene.directory), "/"]
        free = {place: _free(place) for place in places}
        size = min(512 * 2**20, max(free.values()) // 100)
        with inside.hold(
            f"{_LIMITS}:fill", directories=[scene.directory, *_PLACES], token=scene.token, size=size
        ) as answer:
            taken = {place: free[place] - _free(place) for place in places}
        most = max(taken.values())
        seen = f"the host has {max(most, 0) >> 20} MiB less"
        reached = answer.fault is None and most > size * 0.7
        return judged(answer, f"take {size >> 20} MiB of disk", reached=reached, seen=seen)


def _free(place: str) -> int:
    status = os.statvfs(place)
    return status.f_bfree * status.f_frsize


class Io(LiveProbe):
    """Write 4 MiB to the disk below a limit of 8 MiB a second."""

    meaning = "The program takes the disk's bandwidth, and everything else waits."
    remedy = _ASK.format("limits.io", "--io-max")
    feature = "limits.io"

    def overlay(self, scene: Scene) -> Mapping[str, Any]:
        return limits(scene)

    def look(self, scene: Scene, inside: Inside) -> Outcome:
        if not limits(scene)["limits"]["io"]:
            return Outcome.unclear("no block device lies below the host's files")
        begun = time.monotonic()
        with inside.hold(
            f"{_LIMITS}:write_through",
            seconds=10,
            directories=[scene.directory, *_PLACES],
            token=scene.token,
            size=_WRITTEN,
        ) as answer:
            passed = time.monotonic() - begun
            written = max((outside.written(pid) for pid in inside.processes()), default=0)
        tried = f"write {_WRITTEN >> 20} MiB"
        seen = f"the host counts {written >> 20} MiB to the disk in {passed:.2f} s"
        if answer.fault is None and written < _WRITTEN // 2:
            return Outcome.unclear(f"{tried}: {answer}; {seen}")
        return judged(answer, tried, reached=answer.fault is None and passed < 0.25, seen=seen)


class Realtime(LiveProbe):
    """Take a real-time priority, and a negative nice value."""

    meaning = "The program runs before everything else on the host, or instead of it."
    remedy = "Drop CAP_SYS_NICE, as every backend does by default."
    feature = "privileges.capabilities"

    def look(self, scene: Scene, inside: Inside) -> Outcome:
        with inside.hold(f"{_LIMITS}:schedule") as answer:
            seen = [found for pid in inside.processes() if (found := _priority(pid))]
        return judged(
            answer,
            "SCHED_FIFO, nice -5",
            reached=bool(seen),
            seen=f"the host sees {', '.join(seen) or 'neither'}",
        )


def _priority(pid: int) -> str | None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        if os.sched_getscheduler(pid) in (os.SCHED_FIFO, os.SCHED_RR):
            return "a real-time policy"
        nice = os.getpriority(os.PRIO_PROCESS, pid)
    except ProcessLookupError:
        return None
    return f"nice {nice}" if nice < min(own, 0) else None


class Objects(LiveProbe):
    """Take a few of the kernel's pseudo-terminals and open files: another container counts them."""

    meaning = "The program exhausts what all share: terminals, open files, watches."
    remedy = "Use a backend with a kernel of its own: --require kernel=separate."

    def look(self, scene: Scene, inside: Inside) -> Outcome:
        attempt = f"{_LIMITS}:count_objects"
        with converse(scene) as sibling:
            before, on_host = sibling.call(attempt), count_objects()
            # A hundredth of the pseudo-terminals, and far less of the files.
            with inside.hold(f"{_LIMITS}:take_objects", terminals=40, files=800) as answer:
                during, later = sibling.call(attempt), count_objects()
        got = answer.value or {}
        noticed = _grown(before.value or {}, during.value or {})
        grown = _grown(on_host, later)
        reached = any(count > max(20, got.get(name, 0) * 0.7) for name, count in grown.items())
        told = f"got {got.get('terminals')} and {got.get('files')}"
        seen = f"another container counts {_counted(noticed)}, the host {_counted(grown)}"
        if answer.fault is not None:
            return judged(answer, "take 40 terminals, 800 files", reached=False, seen=seen)
        return Outcome(reached=reached, evidence=f"take 40 terminals, 800 files: {told}; {seen}")


def _grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: after[name] - count for name, count in before.items() if name in after}


def _counted(grown: dict[str, int]) -> str:
    return ", ".join(f"{count:+} {name}" for name, count in grown.items()) or "nothing"
