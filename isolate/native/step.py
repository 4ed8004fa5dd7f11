"""Steps: what the container's first process does before it becomes the program, as data.

A plan is a list of steps. `explain` prints it without rights, tests assert on it, the child runs
it. A step that fails is named in the error, with the errno and the path.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.native.channel import Channel


class Child:
    """What the steps share while the container's first process runs them.

    Attributes:
        root: an O_PATH descriptor of the new root; every path inside is resolved below it.
        proc: a descriptor of the fresh proc's root, surely procfs whatever is mounted on /proc.
        channel: to the launcher.
        terminal: the peer of the program's terminal.
        prepared: what the launcher opened for a step before the clone, by the step's name.
        user, group, groups, home: whom the program runs as, once resolved.
    """

    __slots__ = (
        "channel",
        "group",
        "groups",
        "home",
        "prepared",
        "proc",
        "root",
        "terminal",
        "user",
    )

    def __init__(self, channel: Channel, prepared: dict[str, int]) -> None:
        self.channel = channel
        self.prepared = prepared
        self.root = -1
        self.proc = -1
        self.terminal = -1
        self.user = 0
        self.group = 0
        self.groups: tuple[int, ...] = ()
        self.home = "/"


class Step:
    """One step. `name` is short and unique in its plan, as in `mount./proc`."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The step's name."""
        raise NotImplementedError

    def describe(self) -> str:
        """What it does, as a sentence."""
        raise NotImplementedError

    def run(self, child: Child) -> None:
        """Do it, in the child. Raises OSError, or StepError where no errno says it."""
        raise NotImplementedError


class StepError(Exception):
    """A step refuses to go on; the message says why."""
