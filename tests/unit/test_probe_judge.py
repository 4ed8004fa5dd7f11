"""Verdicts: what an answer and the host's look come to."""

from __future__ import annotations

import errno
import signal
from typing import TYPE_CHECKING

import pytest

from isolate.probe.conversation import answers
from isolate.probe.judge import found_token, judged
from isolate.probe.model import (
    ERROR,
    EXPOSED,
    INCONCLUSIVE,
    ISOLATED,
    VACUOUS,
    Answer,
    Finding,
    InsideProbe,
    Outcome,
    Planted,
    Scene,
    verdict,
)
from isolate.probe.session import observe_all
from isolate.probe.subject import Bare

if TYPE_CHECKING:
    from isolate.probe.model import Probe

REACHED = Outcome(reached=True, evidence="x")
NOT_REACHED = Outcome(reached=False, evidence="x")


@pytest.mark.parametrize(
    ("control", "contained", "expected"),
    [
        (REACHED, REACHED, EXPOSED),
        (REACHED, NOT_REACHED, ISOLATED),
        (NOT_REACHED, NOT_REACHED, VACUOUS),
        (NOT_REACHED, REACHED, EXPOSED),
        (Outcome.unclear("x"), NOT_REACHED, VACUOUS),
        (Outcome.failure("x"), NOT_REACHED, VACUOUS),
        (REACHED, Outcome.unclear("x"), INCONCLUSIVE),
        (REACHED, Outcome.failure("x"), ERROR),
    ],
)
def test_the_control_decides_what_not_reached_means(
    control: Outcome, contained: Outcome, expected: str
) -> None:
    assert verdict(control, contained) == expected


@pytest.mark.parametrize(
    ("answer", "reached"),
    [
        (Answer(errno=errno.EPERM), False),
        (Answer(errno=errno.ENOENT), False),
        (Answer(errno=errno.ENOSYS), False),
        (Answer(signal=signal.SIGSYS, fault="killed by signal 31"), False),
        (Answer(value=[]), False),
        # What says nothing about walls:
        (Answer(errno=errno.ENOMEM, fault="x"), None),
        (Answer(errno=errno.EMFILE, fault="x"), None),
        (Answer(errno=0, fault="timed out"), None),
        (Answer(signal=signal.SIGALRM, fault="no answer in time"), None),
        (Answer(signal=signal.SIGSEGV, fault="killed by signal 11"), None),
        (Answer(fault="ModuleNotFoundError: No module named 'ctypes'"), None),
    ],
)
def test_not_reached_counts_only_where_the_kernel_had_its_say(
    answer: Answer, reached: bool | None
) -> None:
    assert judged(answer, "tried", reached=False).reached is reached


def test_what_another_kernel_allows_is_not_the_hosts() -> None:
    answer = Answer(value="sent", own_kernel=True)
    outcome = judged(answer, "tried", reached=True)
    assert outcome.reached is False
    assert "kernel of its own" in outcome.evidence


def test_the_hosts_token_counts_whichever_kernel_gave_it() -> None:
    with Scene(Bare()) as scene:
        assert found_token(scene, Answer(value=f"x{scene.token}", own_kernel=True), "read").reached
        assert found_token(scene, Answer(value="another"), "read").reached is False


def test_hostile_words_become_short_and_printable() -> None:
    answer = Answer(value="\x1b[2J\0<script>" + "x" * 5000)
    assert str(answer).isprintable()
    assert len(str(answer)) < 200


def test_only_marked_lines_are_answers() -> None:
    out = b'noise\nm1{"value": 6}\n{"value": 5}\nm1{"value": 7}\nm1{"val'
    assert [given.value for given in answers(out, "m1")] == [6, 7]


def raising(where: str) -> type[Probe]:
    """A third party's probe that fails at one of its places."""

    class Raising(InsideProbe):
        """Raise."""

        meaning = remedy = "It raises."
        attempt = "isolate.probe.inside.kernel:boot_id"

        def plant(self, scene: Scene) -> Planted:
            if where == "plant":
                raise ZeroDivisionError
            if where == "host":
                raise PermissionError(errno.EPERM, "no")
            return Planted(no="such argument") if where == "attempt" else Planted()

        def confirm(self, scene: Scene, answer: Answer) -> Outcome:
            if where == "confirm":
                raise KeyError(where)
            return judged(answer, "tried", reached=False)

    return Raising


@pytest.mark.parametrize(
    ("where", "failed", "words"),
    [
        ("plant", True, "the probe failed: ZeroDivisionError"),
        ("host", False, "can't be planted on this host"),
        ("attempt", False, "TypeError"),
        ("confirm", True, "the probe failed: KeyError"),
    ],
)
def test_a_probe_that_raises_costs_only_its_own_verdict(
    where: str, failed: bool, words: str
) -> None:
    probes = {"x.broken": raising(where), "x.sound": raising("nowhere")}
    found = observe_all(probes, Bare())
    assert found["x.broken"].failed is failed
    assert words in found["x.broken"].evidence
    assert found["x.sound"].reached is False


@pytest.mark.parametrize(
    ("claimed", "found", "contradicts"),
    [
        (True, EXPOSED, True),
        (False, EXPOSED, False),
        (None, EXPOSED, False),
        (True, ISOLATED, False),
    ],
)
def test_a_contradiction_is_a_claim_found_exposed(
    claimed: bool | None, found: str, contradicts: bool
) -> None:
    finding = Finding(
        probe="a.b", backend="x", evidence="e", meaning="m", claimed=claimed, verdict=found
    )
    assert finding.contradicts is contradicts
