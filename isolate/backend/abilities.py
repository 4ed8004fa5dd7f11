"""What a backend may be able to do besides: each ability is an ABC of its own, implemented or not.

A backend class inherits from `Backend` and from the abilities that it has. The runtime refuses
with one clear error what a backend lacks. All take the handle that `create` gave.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from isolate.spec.kinds import Integer, Mapping, Number, Text
from isolate.spec.record import Record, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Mapping as MappingType

    from isolate.backend.types import Handle
    from isolate.spec.model import Limits, Process, Spec

_COUNT = Integer(0)
_SECONDS = Number(0.0, 1e12, "seconds")


class Stats(Record):
    """What a container uses at this moment. Unmeasured is None, never 0."""

    cpu_user_seconds: float | None = field(_SECONDS, default=None, doc="CPU time in user mode")
    cpu_system_seconds: float | None = field(_SECONDS, default=None, doc="CPU time in the kernel")
    memory_bytes: int | None = field(_COUNT, default=None, doc="memory with page cache")
    memory_peak_bytes: int | None = field(_COUNT, default=None, doc="highest memory use")
    pids: int | None = field(_COUNT, default=None, doc="tasks")
    io_read_bytes: int | None = field(_COUNT, default=None, doc="bytes read from block devices")
    io_write_bytes: int | None = field(_COUNT, default=None, doc="bytes written to block devices")
    pressure: MappingType[str, float] = field(
        Mapping(Text(), _SECONDS),
        default={},
        doc="seconds in which tasks waited, as in memory.some (psi.rst)",
    )


class ExecContext:
    """What the runtime hands to `exec`.

    Attributes:
        stdio: descriptors that become 0, 1 and 2 of the program.
        on_console: takes the master of the program's terminal, where the process asks for one.
    """

    __slots__ = ("on_console", "stdio")

    def __init__(
        self,
        *,
        stdio: tuple[int, int, int] = (0, 1, 2),
        on_console: Callable[[int], None] | None = None,
    ) -> None:
        self.stdio = stdio
        self.on_console = on_console


class Executes(ABC):
    """Runs further programs in a running container."""

    @abstractmethod
    def exec(self, handle: Handle, process: Process, context: ExecContext) -> Handle:
        """Start `process` in the container, never freer than the container's own program: the
        same namespaces, cgroups, root, capabilities, system call filter and no_new_privs.

        Returns a handle that `Backend.wait` and `Backend.kill` of this backend take; the program
        ends with the calling process. Raises ExecError where it can't be executed.
        """


class Serves(ABC):
    """Makes containers without a program of their own, whose first process stays and executes the
    programs that it is handed over `Context.requests`: confined already, they start at once."""

    @abstractmethod
    def serves(self, spec: Spec) -> bool:
        """Whether it can for this spec; where not, programs come by `exec`."""


class Pauses(ABC):
    """Stops every process of a container without their noticing, and lets them go on."""

    @abstractmethod
    def pause(self, handle: Handle) -> None:
        """Stop them. Raises IsolateError where one can't be stopped; then all run on."""

    @abstractmethod
    def resume(self, handle: Handle) -> None:
        """Let them go on; nothing happens where they run."""


class Updates(ABC):
    """Changes the limits of a running container."""

    @abstractmethod
    def update(self, handle: Handle, limits: Limits) -> None:
        """Set the limits that are said in `limits`, and leave the others. Raises IsolateError."""


class Measures(ABC):
    """Says what a container uses now, and which processes it has."""

    @abstractmethod
    def stats(self, handle: Handle) -> Stats:
        """What it uses at this moment."""

    @abstractmethod
    def processes(self, handle: Handle) -> list[int]:
        """Its processes, by the host's ids."""


class OpensRoot(ABC):
    """Lets the host look into the root of a running container."""

    @abstractmethod
    def open_root(self, handle: Handle) -> tuple[int, int, int]:
        """An O_PATH descriptor of the root directory as the program has it, and the host's ids of
        the user and group that are 0 inside. Resolve every path below it with openat2(2).

        Raises StateError where the container doesn't run.
        """
