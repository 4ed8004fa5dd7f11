"""Probes of time: whether the clocks tell of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isolate.probe.inside import system
from isolate.probe.judge import judged
from isolate.probe.model import InsideProbe

if TYPE_CHECKING:
    from isolate.probe.model import Answer, Outcome, Scene

_SECONDS = 1.0  # by which two looks at one boot time may differ


class Boot(InsideProbe):
    """Tell when the machine was booted; the host compares."""

    meaning = "The program knows since when the host runs, which tells it apart from others."
    remedy = "Give it clocks of its own: the view time."
    feature = "view.time"
    attempt = "isolate.probe.inside.system:boot_time"

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        if not isinstance(answer.value, float):
            return judged(answer, "ask for the boot time", reached=False)
        apart = abs(answer.value - system.boot_time())
        seen = f"{apart:.1f} s from the host's"
        return judged(answer, "ask for the boot time", reached=apart < _SECONDS, seen=seen)
