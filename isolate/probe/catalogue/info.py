"""Probes of information: what the program learns of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isolate.probe.catalogue.fs import no_volume, plant_directory, volume
from isolate.probe.catalogue.limit import limits
from isolate.probe.inside import facts
from isolate.probe.judge import judged
from isolate.probe.model import InsideProbe, LiveProbe, Outcome, Planted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from isolate.probe.conversation import Inside
    from isolate.probe.model import Answer, Scene

_FACTS = "isolate.probe.inside.facts"
_SEPARATE = "Use a backend with a kernel of its own: --require kernel=separate."


class Kernel(InsideProbe):
    """Ask which kernel runs, since which boot."""

    meaning = (
        "A bug in the host's kernel is a way out: it is the host's kernel that runs the program."
    )
    remedy = _SEPARATE
    feature = "kernel.separate"
    attempt = f"{_FACTS}:kernel"

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        told, own = answer.value or {}, facts.kernel()
        same = [name for name in own if told.get(name) == own[name]]
        # A boot id is easily made up, and of equal machines release and version are the same.
        reached = "boot id" in same or (bool(same) and not answer.own_kernel)
        words = f"{told.get('release')}, boot {told.get('boot id')}"
        seen = f"as on the host: {', '.join(same) or 'nothing'}"
        if answer.fault is not None:
            return judged(answer, "uname", reached=False)
        return Outcome(reached=reached, evidence=f"uname: {words}; {seen}")


class Telemetry(LiveProbe):
    """Read the machine's counters of interrupts and energy: the host compares them with its own."""

    meaning = (
        "The program watches what else the machine does: keystrokes, cryptography, neighbours."
    )
    remedy = "Mask what shows it: --mask /proc/interrupts, and the like."

    def look(self, scene: Scene, inside: Inside) -> Outcome:
        before = facts.counters()
        answer = inside.call(f"{_FACTS}:counters")
        after = facts.counters()
        shared = [
            path
            for path, total in (answer.value or {}).items()
            if before.get(path, total + 1) <= total <= after.get(path, -1)
        ]
        told = f"{', '.join(answer.value or ()) or 'nothing'} can be read"
        seen = f"the host's own: {', '.join(shared) or 'none'}"
        # The host's counters are the host's, whichever kernel passes them on.
        if shared:
            return Outcome(reached=True, evidence=f"read counters: {told}; {seen}")
        return judged(answer, "read counters", reached=False, told=told, seen=seen)


class Capacity(LiveProbe):
    """Ask how much memory there is, below a limit of 64 MiB."""

    meaning = "Programs size themselves by the host's memory, and are killed at their limit."
    remedy = f"Tell the program its limit; or u{_SEPARATE[1:]}"

    def overlay(self, scene: Scene) -> Mapping[str, Any]:
        return limits(scene)

    def look(self, scene: Scene, inside: Inside) -> Outcome:
        answer = inside.call(f"{_FACTS}:memory")
        own = facts.memory()
        if answer.fault is not None:
            return judged(answer, "read the size of the memory", reached=False)
        evidence = f"/proc/meminfo tells {_mebibytes(answer.value)}, the host has {_mebibytes(own)}"
        return Outcome(reached=answer.value >= own * 0.9, evidence=evidence)


def _mebibytes(size: int) -> str:
    return f"{size >> 20} MiB"


class Paths(InsideProbe):
    """Look for paths of the host in the mount table, with a volume mounted."""

    meaning = "The program learns names and places of the host's files, users and images."
    remedy = _SEPARATE
    attempt = f"{_FACTS}:mounts"

    def plant(self, scene: Scene) -> Planted:
        return Planted({"mounts": [volume(plant_directory(scene, scene.token))]})

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        hints = [scene.directory, *scene.subject.layers(), getattr(scene.subject, "state", "")]
        rows = answer.value or ()
        shown = [hint for hint in filter(None, hints) if any(hint in " ".join(row) for row in rows)]
        own = {tuple(row[:3]) for row in facts.mounts()}
        shared = [row for row in rows if tuple(row[:3]) in own]
        without = no_volume(scene) if not (shared or shown) else None
        if without is not None:
            return without
        told = f"{len(rows)} mounts"
        seen = f"{len(shared)} are the host's own, {len(shown)} paths of the host's are named"
        return judged(
            answer, "read the mount table", reached=bool(shared or shown), told=told, seen=seen
        )
