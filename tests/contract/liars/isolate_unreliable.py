"""What goes wrong in the middle of a comparison, and what a third party adds to one."""

# ruff: noqa: INP001 - a distribution of its own, found by PYTHONPATH

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from isolate.compare.metric import Metric
from isolate.hookspecs import hookimpl
from isolate.probe.model import Outcome, Probe
from isolate_chroot.backend import ChrootBackend

if TYPE_CHECKING:
    from isolate.backend import Context, Handle, Problem
    from isolate.compare.bench import Bench
    from isolate.plugins import Registry
    from isolate.probe.model import Scene
    from isolate.spec import Spec

# Containers that each makes well before it turns: one to begin with, one for the first block.
_WELL = 2


class _Turns(ChrootBackend):
    """Works at first; the state directory counts, for instances hold no state."""

    def create(self, spec: Spec, context: Context) -> Handle:
        count = os.path.join(os.path.dirname(os.path.dirname(context.directory)), "made")
        with open(count, "ab+") as file:
            file.write(b"x")
            file.seek(0)
            made = len(file.read())
        if made > _WELL:
            self.turn()
        return super().create(spec, context)

    def turn(self) -> None:
        raise NotImplementedError


class Hangs(_Turns):
    name = "turns-hanging"

    def turn(self) -> None:
        time.sleep(3600)


class Dies(_Turns):
    name = "turns-dying"

    def turn(self) -> None:
        os._exit(3)


class Fails(_Turns):
    name = "turns-failing"

    def turn(self) -> None:
        raise ZeroDivisionError("a bug in it")


class Never(ChrootBackend):
    name = "unusable"

    def check(self) -> list[Problem]:
        from isolate.backend import Problem

        return [Problem(what="no moon tonight", remedy="wait for it")]


class Moon(Probe):
    """A third party's probe."""

    meaning = "The program sees the moon."
    remedy = "Draw the curtains."
    feature = "view.pids"

    def observe(self, scene: Scene) -> Outcome:
        return Outcome(reached=True, evidence=f"looked out of {scene.subject.name}")


class Letters(Metric):
    """A third party's metric: nothing of the host's is measured, so that its row is known."""

    unit = "letters"

    def sample(self, bench: Bench) -> float:
        return float(len(bench.name))


class Interrupts(Metric):
    """Ctrl-C in the third block, as the terminal sends it."""

    unit = "s"

    def __init__(self, *options: object) -> None:
        super().__init__(*options)  # type: ignore[arg-type]  # Metric's own
        self._asked = 0

    def applies(self) -> bool:
        return "ISOLATE_TEST_INTERRUPTS" in os.environ

    def sample(self, bench: Bench) -> float:
        self._asked += bench.name == "host"
        if self._asked == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return 1.0


BACKENDS = {kind.name: kind for kind in (Hangs, Dies, Fails, Never)}


@hookimpl
def isolate_register_backends(registry: Registry) -> None:
    for name, kind in BACKENDS.items():
        registry.add(name, kind)


@hookimpl
def isolate_register_probes(registry: Registry) -> None:
    registry.add("third.moon", Moon, summary="look at the moon")


@hookimpl
def isolate_register_metrics(registry: Registry) -> None:
    registry.add("letters", Letters, summary="the letters of the subject's name")
    registry.add("interrupts", Interrupts, summary="an end before the end")
    registry.add("broken", "isolate_unreliable:Absent", summary="can't be imported")
