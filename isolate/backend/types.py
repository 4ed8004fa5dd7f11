"""What passes between the runtime and a backend: problems, handles, statuses, plans, receipts."""

from __future__ import annotations

from isolate.spec.kinds import (
    Boolean,
    Integer,
    Items,
    Mapping,
    Nested,
    Number,
    Text,
    Union,
)
from isolate.spec.record import Record, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Mapping as MappingType

    from isolate.rootfs import Root
    from isolate.state.journal import Journal

_COUNT = Integer(0)
_SECONDS = Number(0.0, 1e12, "seconds")


class Problem(Record):
    """One reason why a backend can't work on this host, and what to do about it."""

    what: str = field(Text(), doc="what is missing or forbidden")
    remedy: str = field(Text(), doc="what the user can do")


class Handle(Record):
    """A created container, as plain data: any later process can go on with it."""

    id: str = field(Text(), doc="the container's id")
    backend: str = field(Text(), doc="the backend's name")
    version: int = field(
        Integer(1), default=1, doc="version of `data`'s form, the backend's own count"
    )
    pid: int | None = field(Integer(1), default=None, doc="first process, in the host's ids")
    start_time: int | None = field(
        _COUNT, default=None, doc="that process's start, in clock ticks since boot (proc(5) stat)"
    )
    data: MappingType[str, object] = field(
        Mapping(
            Text(),
            Union(
                Boolean(),
                Integer(-(2**63)),
                Number(-1e300, 1e300, "any unit"),
                Text(),
                Items(Text()),
            ),
        ),
        default={},
        doc="what the backend needs to go on",
    )


class ExitStatus(Record):
    """How the program ended: an exit code, or the signal that killed it."""

    code: int | None = field(Integer(0, 255), default=None, doc="exit code; none when killed")
    signal: int | None = field(Integer(1, 128), default=None, doc="the signal that killed it")

    @property
    def shell_code(self) -> int:
        """The code as a shell gives it: 128+N for signal N."""
        return 128 + self.signal if self.signal is not None else self.code or 0

    @classmethod
    def from_wait(cls, status: int) -> ExitStatus:
        """From the status word of wait(2)."""
        if status & 0x7F:
            return cls(signal=status & 0x7F)
        return cls(code=(status >> 8) & 0xFF)


class Usage(Record):
    """What a container used. Unmeasured is None, never 0."""

    oom_killed: bool | None = field(Boolean(), default=None, doc="the OOM killer killed in it")
    cpu_user_seconds: float | None = field(_SECONDS, default=None, doc="CPU time in user mode")
    cpu_system_seconds: float | None = field(_SECONDS, default=None, doc="CPU time in the kernel")
    memory_peak_bytes: int | None = field(_COUNT, default=None, doc="highest memory use")
    pids_peak: int | None = field(_COUNT, default=None, doc="highest number of tasks")
    io_read_bytes: int | None = field(_COUNT, default=None, doc="bytes read from block devices")
    io_write_bytes: int | None = field(_COUNT, default=None, doc="bytes written to block devices")


class ReceiptRow(Record):
    """One line of the receipt: a feature, what was asked, and what the kernel says is so."""

    feature: str = field(Text(), doc="the feature, as in `features.FEATURES`")
    asked: str = field(Text(), doc="what the spec or the backend's default asks for")
    enforced: str = field(Text(), doc="what was read back")
    source: str = field(Text(), doc="where it was read: a file of proc or cgroupfs")
    holds: bool = field(Boolean(), doc="whether that is at least as tight as asked")


class PlanStep(Record):
    """One step of what a backend would do."""

    name: str = field(Text(), doc="a short name, unique in the plan: mount.proc")
    what: str = field(Text(), doc="what is done, as a sentence or a command line")


class Plan(Record):
    """What a backend would do with a spec: its steps, and what it can't express."""

    steps: tuple[PlanStep, ...] = field(Items(Nested(PlanStep)), doc="in their order")
    unsupported: tuple[str, ...] = field(Items(Text()), default=(), doc="features it can't honour")


class Context:
    """What the runtime hands to `create`: where things belong, and how to record them.

    Attributes:
        id: the container's id.
        directory: the container's directory in the state root; absolute.
        root: the prepared root filesystem.
        journal: record what you are about to make, before you make it; gc undoes it.
        stdio: descriptors that become 0, 1 and 2 of the program.
        waived: features that the user allowed to be missing.
        attached: whether the program must not outlive the process that launches it; a detached
            one must, and its streams are then fifos that a later process goes on reading.
        claim_ids: the first of 65536 user and group ids of the host that are the container's own
            until it is deleted; recorded in the journal by itself.
        requests: for a backend that `Serves`: the socket from which the first process takes the
            programs to execute (`isolate.native.orders`); -1: the spec's own is executed.
        on_console: takes the master of the program's terminal (a descriptor, owned by the
            callee) where the spec asks for a terminal; called before `start`.
        checkpoint: call it with a step's name at each point where a crash should be survived;
            tests kill the process there.
    """

    __slots__ = (
        "attached",
        "checkpoint",
        "claim_ids",
        "directory",
        "id",
        "journal",
        "on_console",
        "requests",
        "root",
        "stdio",
        "waived",
    )

    def __init__(
        self,
        *,
        id: str,
        directory: str,
        root: Root,
        journal: Journal,
        claim_ids: Callable[[], int],
        stdio: tuple[int, int, int] = (0, 1, 2),
        waived: frozenset[str] = frozenset(),
        attached: bool = True,
        requests: int = -1,
        on_console: Callable[[int], None] | None = None,
        checkpoint: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self.id = id
        self.directory = directory
        self.root = root
        self.journal = journal
        self.claim_ids = claim_ids
        self.stdio = stdio
        self.waived = waived
        self.attached = attached
        self.requests = requests
        self.on_console = on_console
        self.checkpoint = checkpoint
