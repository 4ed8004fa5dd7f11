"""The Backend ABC: the few methods by which a technology carries out a spec."""

from __future__ import annotations

from abc import ABC, abstractmethod

from isolate.backend.types import Usage
from isolate.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.backend.types import Context, ExitStatus, Handle, Plan, Problem, ReceiptRow
    from isolate.spec.model import Spec

API_VERSION = 1


class Backend(ABC):
    """One isolation technology.

    Instances hold no state: all that a later process needs stands in the Handle. Methods raise
    `IsolateError` for what a user can cause or must understand; any other exception is a bug of
    the backend and is reported as one, by name.

    Attributes:
        api_version: the version of this interface that the class is made for, written down in it:
            inherited from here it would always be the installed one. Another is reported and not
            loaded.
        name: the backend's name, as its entry point has it.
        summary: what it is, in one line.
        tool: the command that it drives, which answers to `--version`; None for none.
    """

    api_version: int
    name: str
    summary: str
    tool: str | None = None

    @abstractmethod
    def check(self) -> list[Problem]:
        """Why this can't work on this host; empty when it can. Looks only, changes nothing."""

    @abstractmethod
    def capabilities(self) -> frozenset[str]:
        """The features (`isolate.backend.features.FEATURES`) that it promises on this host, for
        the user that asks. Meaningful only where `check` finds no problem."""

    def validate(self, spec: Spec) -> None:
        """Refuse settings (`spec.backend_options`) that it doesn't know; looks only. A backend
        that has settings overrides this. Raises SpecError."""
        for key in spec.backend_options.get(self.name, {}):
            raise SpecError(
                f"backend_options.{self.name}.{key}",
                "is unknown",
                hint=f"backend {self.name} has no settings of its own",
            )

    @abstractmethod
    def explain(self, spec: Spec) -> Plan:
        """What it would do with `spec`; makes nothing and needs no rights."""

    @abstractmethod
    def create(self, spec: Spec, context: Context) -> Handle:
        """Make the container, ready but for the program's execution.

        Whatever outlives this process is recorded in `context.journal` before it is made. On
        failure, what was made is undone before the error is raised.
        """

    @abstractmethod
    def start(self, handle: Handle) -> None:
        """Execute the program. Raises ExecError where it can't be executed."""

    @abstractmethod
    def wait(self, handle: Handle, timeout: float | None = None) -> ExitStatus | None:
        """How the program ended; None when it hasn't after `timeout` seconds.

        Raises StateError when it ended but nobody kept how.
        """

    @abstractmethod
    def status(self, handle: Handle) -> str:
        """`created`, `running`, `paused` or `stopped` (OCI runtime.md, State)."""

    @abstractmethod
    def kill(self, handle: Handle, signal: int, *, everyone: bool = False) -> None:
        """Send `signal` to the program, or to every process of the container.

        `everyone` with SIGKILL must win against a program that forks as fast as it can.
        """

    @abstractmethod
    def delete(self, handle: Handle) -> None:
        """Undo `create`. Idempotent; works on the half-made and on the running (kills first)."""

    def receipt(self, spec: Spec, handle: Handle) -> list[ReceiptRow]:
        """What is enforced, read back from the kernel after `create`; empty where it can't be."""
        del spec, handle
        return []

    def receipt_at_start(self, spec: Spec, handle: Handle) -> list[ReceiptRow]:
        """The rows that `receipt` could not have yet, read right after `start`: some runtimes load
        the system call filter as late as that. The program may have ended by then."""
        del spec, handle
        return []

    def usage(self, handle: Handle) -> Usage:
        """What the container used up to now; readable until `delete`."""
        del handle
        return Usage()
