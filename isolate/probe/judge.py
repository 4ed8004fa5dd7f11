"""From an attempt's answer to an outcome, by the rules that are the same for every probe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isolate.probe.model import Outcome

if TYPE_CHECKING:
    from isolate.probe.model import Answer, Scene


def judged(
    answer: Answer, tried: str, *, reached: bool, seen: str = "", told: str | None = None
) -> Outcome:
    """What an attempt came to, `reached` being what the host sees.

    Not reached counts only where the kernel had its say: an attempt that died of anything else (no
    such module inside, no answer in time) tells nothing. What another kernel than the host's
    allows isn't the host's. `told` are better words for a long answer.
    """
    words = told if told is not None and answer.fault is None else str(answer)
    evidence = f"{tried}: {words}{f'; {seen}' if seen else ''}"
    if reached and answer.own_kernel:
        return Outcome(reached=False, evidence=f"{evidence}; by a kernel of its own")
    if not reached and answer.fault is not None and not answer.refused:
        return Outcome.unclear(evidence)
    return Outcome(reached=reached, evidence=evidence)


def found_token(scene: Scene, answer: Answer, tried: str) -> Outcome:
    """Reached where the answer has the host's token in it: whichever kernel gave it."""
    if scene.token in str(answer.value):
        return Outcome(reached=True, evidence=f"{tried}: the token")
    return judged(answer, tried, reached=False)
