"""Runs probes: plants, tries all that can share a container together, and gives the findings."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from isolate.errors import IsolateError
from isolate.probe import bundle
from isolate.probe.inside.kernel import boot_id
from isolate.probe.model import SECONDS, Answer, Finding, InsideProbe, Outcome, Scene, verdict
from isolate.probe.subject import Bare
from isolate.spec.record import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from isolate.probe.model import Planted, Probe
    from isolate.probe.subject import Subject

    Probes = Mapping[str, type[Probe]]

BOOT_ID = "isolate.probe.inside.kernel:boot_id"
_WORDS = 600  # characters of evidence: it stands in a cell of a report


class Session:
    """One comparison's probes and their positive control, which is tried once.

    Args:
        probes: the classes by their ids.
        say: is told what is going on, in a few words.
    """

    def __init__(self, probes: Probes, say: Callable[[str], None] = lambda _text: None) -> None:
        self.probes = dict(probes)
        self._say = say
        self._control: dict[str, Outcome] | None = None

    @property
    def control(self) -> dict[str, Outcome]:
        """What each probe came to on the bare host."""
        if self._control is None:
            self._say("the bare host, as the positive control")
            self._control = observe_all(self.probes, Bare())
        return self._control

    def findings(self, subject: Subject) -> Iterator[Finding]:
        """The matrix's column of one backend."""
        control = self.control
        self._say(subject.name)
        for name, outcome in observe_all(self.probes, subject).items():
            yield _finding(name, self.probes[name], subject, control[name], outcome)


def observe_all(probes: Probes, subject: Subject) -> dict[str, Outcome]:
    """What each probe came to at `subject`, in the order of `probes`."""
    instances = {name: probe() for name, probe in probes.items()}
    together = {name: one for name, one in instances.items() if isinstance(one, InsideProbe)}
    with Scene(subject) as scene:
        found = observe_together(together, scene)
    for name, one in instances.items():
        if name not in together:
            with Scene(subject) as scene:
                found[name] = _guarded(one.observe, scene)
    return {name: found[name] for name in probes}


def observe_together(probes: Mapping[str, InsideProbe], scene: Scene) -> dict[str, Outcome]:
    """Plant all, try those with equal needs in one container, and confirm each."""
    found: dict[str, Outcome] = {}
    groups: dict[str, dict[str, Planted]] = {}
    for name, probe in probes.items():
        planted = _plant(probe, scene)
        if isinstance(planted, Outcome):
            found[name] = planted
            continue
        key = json.dumps(planted.overlay, sort_keys=True)
        groups.setdefault(key, {})[name] = planted
    for group in groups.values():
        answers = _try({name: probes[name] for name in group}, group, scene.subject)
        for name, answer in answers.items():
            if isinstance(answer, Answer):
                found[name] = _guarded(probes[name].confirm, scene, answer)
            else:
                found[name] = _guarded(probes[name].unanswered, scene, answer)
            found[name].waived = scene.subject.missing(group[name].overlay)
    return {name: found[name] for name in probes}


def _plant(probe: InsideProbe, scene: Scene) -> Planted | Outcome:
    """What it planted; a host that doesn't allow it says nothing about the isolation."""
    try:
        return probe.plant(scene)
    except (OSError, IsolateError) as error:
        return Outcome.unclear(f"can't be planted on this host: {error}")
    except Exception as error:  # noqa: BLE001 - a third party's probe may raise anything
        return Outcome.failure(f"the probe failed: {type(error).__name__}: {error}")


def _guarded(judge: Callable[..., Outcome], *arguments: object) -> Outcome:
    """A probe that raises is an error of its own verdict, never the end of the run."""
    try:
        return judge(*arguments)
    except Exception as error:  # noqa: BLE001 - a third party's probe may raise anything
        return Outcome.failure(f"the probe failed: {type(error).__name__}: {error}")


def _try(
    probes: Mapping[str, InsideProbe], planted: Mapping[str, Planted], subject: Subject
) -> dict[str, Answer | Outcome]:
    """One container for all of them; their answers, or why there is none."""
    asked, mark = questions(
        {
            "call": probe.attempt,
            "arguments": planted[name].arguments,
            "seconds": probe.seconds,
        }
        for name, probe in probes.items()
    )
    overlay = next(iter(planted.values())).overlay
    try:
        done = subject.run(
            [*subject.python(), "-c", bundle.driver()],
            overlay,
            stdin=asked,
            patience=60 + sum(probe.seconds for probe in probes.values()),
        )
    except (OSError, IsolateError) as error:
        return dict.fromkeys(probes, Outcome.failure(str(error)))
    given = answers(done.stdout, mark)
    missing = Outcome.failure(f"no answer from inside: {done.words}")
    return {
        name: given[number] if number < len(given) else missing
        for number, name in enumerate(probes)
    }


def questions(attempts: Iterable[dict[str, Any]]) -> tuple[bytes, str]:
    """What the driver reads, and the mark of its answers; first of all it is asked which kernel it
    is on."""
    mark = secrets.token_hex(8)
    first = {"call": BOOT_ID, "arguments": {}, "seconds": SECONDS}
    return bundle.plan([first, *attempts], mark), mark


def answers(stdout: bytes, mark: str) -> list[Answer]:
    """The driver's lines, in the order of the attempts; the first one said which kernel it is."""
    found = []
    for line in stdout.splitlines():
        text = line.decode(errors="replace")
        if not text.startswith(mark):
            continue
        try:
            said: dict[str, Any] = json.loads(text.removeprefix(mark))
        except ValueError:  # cut off, where the container was ended in the middle of it
            break
        found.append(Answer(**said))
    own_kernel = bool(found) and found[0].value not in (None, boot_id())
    for answer in found:
        answer.own_kernel = own_kernel
    return found[1:]


def _finding(
    name: str, probe: type[Probe], subject: Subject, control: Outcome, outcome: Outcome
) -> Finding:
    return Finding(
        probe=name,
        backend=subject.name,
        verdict=verdict(control, outcome),
        claimed=probe.feature in subject.claims if probe.feature else None,
        evidence=shown(outcome.evidence, _WORDS),
        control=shown(control.evidence, _WORDS),
        meaning=probe.meaning,
        remedy=probe.remedy,
        feature=probe.feature,
        waived=tuple(sorted(outcome.waived)),
    )
