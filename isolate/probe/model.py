"""What a probe is: what it tries inside, what the host sees of it, and which verdict that makes."""

from __future__ import annotations

import errno
import os
import secrets
import signal
import tempfile
from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar

from isolate.spec.kinds import Boolean, Choice, Integer, Items, Text
from isolate.spec.kinds import Mapping as MappingKind
from isolate.spec.record import Record, field, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self, TypeVar

    from isolate.probe.conversation import Inside
    from isolate.probe.subject import Subject

    Made = TypeVar("Made")

ISOLATED, EXPOSED, VACUOUS, INCONCLUSIVE, ERROR = VERDICTS = (
    "isolated",
    "exposed",
    "vacuous",
    "inconclusive",
    "error",
)

# What fails because too little is left of something says nothing about walls.
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EINTR)

SECONDS = 5  # what an attempt may take, unless its probe says otherwise


class Outcome:
    """What one try came to, bare or contained.

    Attributes:
        reached: whether the host was reached, as the host sees it; None where that can't be told.
        evidence: what was tried, what came back, what the host saw; one line or few.
        failed: the harness failed, and nothing is known of the isolation.
        numbers: what was counted on the way, by its name.
        waived: features that the try needed and the subject lacks.
    """

    __slots__ = ("evidence", "failed", "numbers", "reached", "waived")

    def __init__(
        self,
        *,
        reached: bool | None,
        evidence: str,
        failed: bool = False,
        numbers: Mapping[str, int] | None = None,
    ) -> None:
        self.reached = reached
        self.evidence = evidence
        self.failed = failed
        self.numbers = dict(numbers or {})
        self.waived: frozenset[str] = frozenset()

    @classmethod
    def unclear(cls, why: str) -> Outcome:
        """Tried, and it can't be told."""
        return cls(reached=None, evidence=why)

    @classmethod
    def failure(cls, why: str) -> Outcome:
        """Not tried: the harness or the backend failed."""
        return cls(reached=None, evidence=why, failed=True)


class Answer:
    """What an attempt returned inside.

    Attributes:
        value: what it returned, as JSON gives it back; None where it raised or died.
        errno: of the OSError that it raised.
        signal: what killed it; SIGALRM is its deadline, SIGSYS a system call filter.
        fault: why there is no value, in words; None where there is one.
        own_kernel: whether another kernel than the host's answered: then nothing that it allows
            is the host's.
    """

    __slots__ = ("errno", "fault", "own_kernel", "signal", "value")

    def __init__(
        self,
        *,
        value: Any = None,
        errno: int | None = None,
        signal: int | None = None,
        fault: str | None = None,
        own_kernel: bool = False,
    ) -> None:
        self.own_kernel = own_kernel
        self.value = value
        self.errno = errno
        self.signal = signal
        self.fault = fault

    @property
    def refused(self) -> bool:
        """Whether the kernel said no: an error but of exhaustion, or a filter that kills."""
        said_no = bool(self.errno) and self.errno not in _EXHAUSTED
        return said_no or self.signal == signal.SIGSYS

    def __str__(self) -> str:
        if self.errno is not None:
            name = errno.errorcode.get(self.errno, str(self.errno))
            return f"{name} ({os.strerror(self.errno)})"
        return shown(self.fault if self.fault is not None else repr(self.value), 160)


class Scene:
    """The host's side of one try: a place for canaries, and what must be undone at the end.

    Attributes:
        token: a random word that nothing else on this host contains.
        directory: an empty directory of the host's, for files that no container should reach.
        subject: what is tried: a backend's container, or the host itself.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.token = f"canary-{secrets.token_hex(8)}"
        self._stack = ExitStack()
        self._made: dict[object, Any] = {}
        # Not below /tmp, of which containers have one of their own: its absence there says nothing.
        self.directory = self._stack.enter_context(
            tempfile.TemporaryDirectory(prefix="isolate-probe-", dir="/var/tmp")
        )

    def cleanup(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call `function` at the end, the last first, whatever happens in between."""
        self._stack.callback(function, *arguments)

    def once(self, make: Callable[[Scene], Made]) -> Made:
        """What `make` makes of this scene, made once for all probes that want it."""
        if make not in self._made:
            self._made[make] = make(self)
        made: Made = self._made[make]
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self._stack.close()


class Planted:
    """What a probe has prepared: the arguments of its attempt, and what the container needs.

    Attributes:
        arguments: keyword arguments of the attempt, as JSON can carry them.
        overlay: a part of a spec document that the container has besides. Probes with the same
            one share a container.
    """

    __slots__ = ("arguments", "overlay")

    def __init__(self, overlay: Mapping[str, Any] | None = None, **arguments: Any) -> None:
        self.arguments = arguments
        self.overlay = dict(overlay or {})


class Probe(ABC):
    """One isolation probe. An instance serves one try; all that it needs of the host it plants.

    A probe is harmless on the bare host too, where it runs first: what fails there proves nothing.

    Attributes:
        meaning: what `exposed` means for the user, in one sentence.
        remedy: how to close it, in one sentence.
        feature: the feature (`isolate.backend.FEATURES`) by which a backend claims to be
            isolated here; None where no feature speaks of it.
    """

    meaning: ClassVar[str]
    remedy: ClassVar[str]
    feature: ClassVar[str | None] = None

    @abstractmethod
    def observe(self, scene: Scene) -> Outcome:
        """Try it at `scene.subject`, and look from outside."""


class InsideProbe(Probe):
    """A probe whose attempt is a function that runs inside, beside those of other probes.

    Attributes:
        attempt: the function, as `package.module:function`. Its module may import the standard
            library and modules like itself; the text of all of them is carried inside.
        seconds: after which the attempt is ended.
    """

    attempt: ClassVar[str]
    seconds: ClassVar[int] = SECONDS

    def plant(self, scene: Scene) -> Planted:
        """Prepare the host; what is made is undone by `scene.cleanup`."""
        return Planted()

    @abstractmethod
    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        """Judge by what the host sees; `answer` is what came back from inside."""

    def unanswered(self, scene: Scene, failure: Outcome) -> Outcome:
        """Judge that there is no answer, where a container that isn't made is one."""
        return failure

    def observe(self, scene: Scene) -> Outcome:
        from isolate.probe.session import observe_together

        return observe_together({"": self}, scene)[""]


class LiveProbe(Probe):
    """A probe that looks from the host at a running container, in which it calls functions.

    Those with the same overlay share a container. Its launcher is a careless one: it runs in
    `scene.directory`, with a variable CARELESS that holds the token, and with a descriptor of that
    directory that isn't closed on execution.
    """

    def overlay(self, scene: Scene) -> Mapping[str, Any]:
        """A part of a spec document that the container has besides."""
        return {}

    @abstractmethod
    def look(self, scene: Scene, inside: Inside) -> Outcome:
        """Try it, and look from outside."""

    def observe(self, scene: Scene) -> Outcome:
        from isolate.probe.session import look_together

        return look_together({"": self}, scene)[""]


class Finding(Record):
    """A row of the matrix: one probe on one backend."""

    probe: str = field(Text(), doc="the probe's id, GROUP.NAME")
    backend: str = field(Text(), doc="the backend's name")
    verdict: str = field(
        Choice(*VERDICTS),
        doc="isolated: the host was out of reach; exposed: it was reached; vacuous: the bare host "
        "can't be reached this way either; inconclusive: it can't be told; error: not tried",
    )
    claimed: bool | None = field(
        Boolean(),
        default=None,
        doc="whether the backend promises the feature that speaks of it; null: there is none",
    )
    evidence: str = field(Text(), doc="what was tried, what came back, what the host saw")
    control: str = field(Text(), default="", doc="the same, on the bare host")
    meaning: str = field(Text(), doc="what `exposed` means for the user")
    remedy: str = field(Text(), default="", doc="how to close it")
    feature: str | None = field(Text(), default=None, doc="the feature that speaks of it")
    waived: tuple[str, ...] = field(
        Items(Text()), default=(), doc="features that the try needed and the backend lacks"
    )
    numbers: Mapping[str, int] = field(
        MappingKind(Text(), Integer(0)), default={}, doc="what was counted on the way, by its name"
    )

    @property
    def group(self) -> str:
        """The part of the id before the dot."""
        return self.probe.partition(".")[0]

    @property
    def contradicts(self) -> bool:
        """Whether the backend promised what was found exposed."""
        return bool(self.claimed) and self.verdict == EXPOSED


def verdict(control: Outcome, contained: Outcome) -> str:
    """The verdict of a try by its positive control: where the bare host isn't reached either, the
    container's walls were not what stopped it."""
    if contained.failed:
        return ERROR
    if contained.reached:
        return EXPOSED
    if contained.reached is None:
        return INCONCLUSIVE
    return ISOLATED if control.reached else VACUOUS
