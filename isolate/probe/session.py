"""Runs probes: plants, tries all that can share a container together, and gives the findings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from isolate.errors import IsolateError
from isolate.probe.conversation import converse, leaked_directory
from isolate.probe.model import Answer, Finding, InsideProbe, LiveProbe, Outcome, Scene, verdict
from isolate.probe.subject import Bare
from isolate.spec.record import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from isolate.probe.model import Planted, Probe
    from isolate.probe.subject import Subject

    Probes = Mapping[str, type[Probe]]

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
    live = {name: one for name, one in instances.items() if isinstance(one, LiveProbe)}
    with Scene(subject) as scene:
        found = observe_together(together, scene)
    with Scene(subject) as scene:
        found |= look_together(live, scene)
    for name, one in instances.items():
        if name not in found:
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
        answers = _try({name: probes[name] for name in group}, group, scene)
        for name, answer in answers.items():
            if isinstance(answer, Answer):
                found[name] = _guarded(probes[name].confirm, scene, answer)
            else:
                found[name] = _guarded(probes[name].unanswered, scene, answer)
            found[name].waived = scene.subject.missing(group[name].overlay)
    return {name: found[name] for name in probes}


def look_together(probes: Mapping[str, LiveProbe], scene: Scene) -> dict[str, Outcome]:
    """Look at those with equal needs in one container, or the next where one has ended it."""
    groups: dict[str, list[str]] = {}
    for name, probe in probes.items():
        overlay = json.dumps(probe.overlay(scene), sort_keys=True)
        groups.setdefault(overlay, []).append(name)
    found: dict[str, Outcome] = {}
    for overlay, names in groups.items():
        missing = scene.subject.missing(json.loads(overlay))
        try:
            while names:
                with (
                    leaked_directory(scene) as leak,
                    converse(scene, json.loads(overlay), careless=leak) as inside,
                ):
                    while names and inside.alive:
                        name = names.pop(0)
                        found[name] = _guarded(probes[name].look, scene, inside)
                        feature = probes[name].feature
                        found[name].waived = missing & {feature} if feature in missing else missing
        except (OSError, IsolateError) as error:
            found.update(dict.fromkeys(names, Outcome.failure(str(error))))
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
    probes: Mapping[str, InsideProbe], planted: Mapping[str, Planted], scene: Scene
) -> dict[str, Answer | Outcome]:
    """One container for all of them; their answers, or why there is none."""
    answers: dict[str, Answer | Outcome] = {}
    overlay = next(iter(planted.values())).overlay
    try:
        with converse(scene, overlay) as inside:
            for name, probe in probes.items():
                answers[name] = inside.call(
                    probe.attempt, seconds=probe.seconds, **planted[name].arguments
                )
                if not inside.alive:
                    answers[name] = Outcome.failure(str(answers[name]))
    except (OSError, IsolateError) as error:
        failure = Outcome.failure(str(error))
        return {**dict.fromkeys(probes, failure), **answers}
    return answers


def _finding(
    name: str, probe: type[Probe], subject: Subject, control: Outcome, outcome: Outcome
) -> Finding:
    return Finding(
        probe=name,
        backend=subject.name,
        verdict=verdict(control, outcome),
        claimed=subject.promises(probe.feature) if probe.feature else None,
        evidence=shown(outcome.evidence, _WORDS),
        control=shown(control.evidence, _WORDS),
        meaning=probe.meaning,
        remedy=probe.remedy,
        feature=probe.feature,
        waived=tuple(sorted(outcome.waived)),
        numbers=outcome.numbers,
    )
