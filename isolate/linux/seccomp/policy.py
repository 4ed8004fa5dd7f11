"""What a filter is made of before it is compiled: rules, conditions on arguments, actions."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# include/uapi/linux/seccomp.h; the low 16 bits are the action's data.
KILL_PROCESS = 0x80000000
KILL_THREAD = 0x00000000
TRAP = 0x00030000
ERRNO = 0x00050000
TRACE = 0x7FF00000
LOG = 0x7FFC0000
ALLOW = 0x7FFF0000
ACTION = 0xFFFF0000

EPERM = 1
ENOSYS = 38

# As the kernel ranks the results of several filters: the strictest first.
_STRICTNESS = {
    action: rank
    for rank, action in enumerate((KILL_PROCESS, KILL_THREAD, TRAP, ERRNO, TRACE, LOG, ALLOW))
}

# include/seccomp.h of libseccomp: enum scmp_compare
NE, LT, LE, EQ, GE, GT, MASKED_EQ = 1, 2, 3, 4, 5, 6, 7
LOW_32_BITS = 0xFFFFFFFF


def permissiveness(action: int) -> int:
    """How much the action lets through: 0 is KILL_PROCESS, the highest is ALLOW."""
    return _STRICTNESS[action & ACTION]


class ProfileError(ValueError):
    """A profile is not valid; `place` names the place in it (`syscalls[3].args[0].op`)."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}" if place else problem)
        self.place = place
        self.problem = problem


class Condition:
    """A comparison of one argument, in 64 bits, with `value`.

    For MASKED_EQ `value` is the mask and `datum` what the masked argument must be.
    """

    __slots__ = ("datum", "index", "op", "value")

    def __init__(self, index: int, op: int, value: int, datum: int = 0) -> None:
        self.index = index
        self.op = op
        self.value = value
        self.datum = datum


class Rule:
    """An action for some system calls, where all conditions hold; `place` is for messages."""

    __slots__ = ("action", "conditions", "names", "place")

    def __init__(
        self,
        action: int,
        names: Iterable[str],
        conditions: Iterable[Condition] = (),
        place: str = "",
    ) -> None:
        self.action = action
        self.names = tuple(names)
        self.conditions = tuple(conditions)
        self.place = place


class Policy:
    """All that the compiler needs.

    `arches` are the foreign architectures (names of arches.py) that get the same rules; all
    others are killed. `named` are the system calls that the author knew: with a default action
    of ERRNO, numbers above the highest of them get ENOSYS, so that libraries fall back as on an
    older kernel. `flags` are for load().
    """

    __slots__ = ("arches", "default", "flags", "named", "rules")

    def __init__(
        self,
        default: int,
        rules: Iterable[Rule],
        *,
        arches: Iterable[str] = (),
        named: Iterable[str] | None = None,
        flags: int = 0,
    ) -> None:
        self.default = default
        self.rules = tuple(rules)
        self.arches = tuple(arches)
        every = (name for rule in self.rules for name in rule.names)
        self.named = frozenset(every if named is None else named)
        self.flags = flags


class Filter:
    """A compiled filter: the program and flags for load().

    `dropped` are the names that neither libseccomp nor this package knows, in rules that would
    have allowed them; these system calls are refused.
    """

    __slots__ = ("dropped", "flags", "program")

    def __init__(self, program: bytes, flags: int = 0, dropped: Iterable[str] = ()) -> None:
        self.program = program
        self.flags = flags
        self.dropped = tuple(dropped)
