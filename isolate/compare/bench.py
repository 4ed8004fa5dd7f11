"""A subject under measure: its launches, by the launching process that it has to itself."""

from __future__ import annotations

import importlib.util
import json
import os
from typing import TYPE_CHECKING, Any

from isolate.backend.types import Usage
from isolate.compare.launch.client import Launcher
from isolate.errors import IsolateError
from isolate.probe.subject import Contained

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from isolate.probe.subject import Subject

PATIENCE = 60.0  # seconds for one program
_BEGIN, _MIDDLE, _END = range(3)

# Says a line and waits to be killed: one process, of a program that every root has.
IDLE = ("sh", "-c", "echo up; read -r line")


class Launched:
    """One launch, from the call to the moment when nothing was left; seconds throughout.

    Attributes:
        times: see `isolate.compare.launch.program.Program`.
        marks: each line that the program wrote, with when its end was read.
        usage: what it used.
        receipt: (feature, what was enforced) of each row of the receipt.
    """

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.times: dict[str, float] = answer["times"]
        self.marks: list[tuple[float, str]] = [(at, text) for at, text in answer["marks"]]
        self.usage = Usage.build(answer["usage"], "usage")
        self.receipt: list[tuple[str, str]] = [(row[0], row[1]) for row in answer["receipt"]]

    def between(self, first: str, second: str) -> float:
        """Seconds from one of `times` to another; `spoke` is the program's first line."""
        times = {**self.times, **({"spoke": self.marks[0][0]} if self.marks else {})}
        return times[second] - times[first]


class Bench:
    """One subject under measure.

    Args:
        subject: the bare host, or containers of a backend.
        name: what it is called in the document; the subject's own where none is given.
        state: the state directory of its containers.
        scratch: a directory of the host's, where a bare program may make files: on the file
            system of the containers' writable layers.
        patience: seconds that one program may take.
    """

    def __init__(
        self,
        subject: Subject,
        state: str,
        scratch: str,
        *,
        name: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.subject = subject
        self.name = name or subject.name
        self.state = state
        self.patience = patience
        self._launcher = Launcher(state)
        contained = isinstance(subject, Contained)
        self.directory = "/tmp" if contained else scratch  # noqa: S108 - the container's own

    def close(self) -> None:
        """End the launching process with all that it holds."""
        self._launcher.close()
        if isinstance(self.subject, Contained):
            self.subject.close()

    def abandon(self) -> None:
        """The same for a subject that doesn't do what it is told."""
        self._launcher.abandon()

    def launch(
        self,
        argv: Sequence[str],
        overlay: Mapping[str, Any] | None = None,
        *,
        kill: bool = False,
        paced: bool = False,
        stdin: str = "",
    ) -> Launched:
        """Run a program in a fresh container, to its end; `kill` ends it after its first line.

        A `paced` one gets, instead of `stdin`, a line for each that it wrote.

        Raises IsolateError, also where it doesn't end with exit code 0; FallenError where the
        subject hangs or crashes.
        """
        return Launched(self._ask("launch", argv, overlay, kill=kill, paced=paced, stdin=stdin))

    def work(self, call: str, overlay: Mapping[str, Any] | None = None, **arguments: Any) -> float:
        """Seconds for one operation of a workload (`isolate.compare.inside`), by the host's clock.

        `call` is `package.module:function`, of a module that imports the standard library alone.
        """
        module, _, function = call.partition(":")
        words = [function, json.dumps(arguments)]
        argv = [*self.subject.python(), "-c", _source(module), *words]
        return per_operation(self.launch(argv, overlay, paced=True))

    def spawn(self, argv: Sequence[str]) -> float:
        """Wall seconds of the cold command that runs `argv` there."""
        command = self.subject.command(argv, {})
        seconds: float = self._launcher.ask(self.patience, do="spawn", argv=command)["seconds"]
        return seconds

    def hold(self) -> float:
        """Launch an idle program and keep it: seconds until it spoke."""
        seconds: float = self._ask("hold", IDLE, None)["seconds"]
        return seconds

    def release(self) -> None:
        """End all that is held."""
        self._launcher.ask(self.patience, do="release")

    def memory(self) -> tuple[int, int | None]:
        """Bytes that the host has left, and that the held programs' processes have (PSS)."""
        answer = self._launcher.ask(self.patience, do="memory")
        return answer["available"], answer["pss"]

    def burst(self, count: int) -> float:
        """Launch `count` idle programs at once: seconds until the last has spoken."""
        seconds: float = self._ask("burst", IDLE, None, count=count)["seconds"]
        return seconds

    def _ask(
        self, do: str, argv: Sequence[str], overlay: Mapping[str, Any] | None, **more: Any
    ) -> dict[str, Any]:
        where: dict[str, Any] = {"backend": None, "spec": None}
        if isinstance(self.subject, Contained):
            where["backend"] = self.subject.backend
            where["spec"] = self.subject.spec(argv, overlay or {})
        return self._launcher.ask(self.patience, do=do, argv=list(argv), **where, **more)


def per_operation(launched: Launched) -> float:
    """Seconds for one operation: a workload marks its begin, its middle, where the same begins
    without the operation, and its end, and says how many operations there were."""
    if len(launched.marks) != _END + 2:
        raise IsolateError("the workload didn't mark its begin, middle, end and number")
    begin, middle, end = (at for at, _text in launched.marks[: _END + 1])
    number = int(launched.marks[-1][1])
    seconds = (middle - begin) - (end - middle)
    if seconds <= 0:
        raise IsolateError("lost in noise: the loop took longer without what is measured")
    return seconds / number


def _source(module: str) -> str:
    found = importlib.util.find_spec(module)
    if found is None or not found.origin:
        raise IsolateError(f"the workload {module} has no source")
    with open(found.origin, encoding="utf-8") as file:
        return file.read()


def cpus() -> int:
    """How many CPUs may be used."""
    return len(os.sched_getaffinity(0))
