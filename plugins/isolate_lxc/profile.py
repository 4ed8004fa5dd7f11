"""A seccomp policy as a profile in LXC's format, version 2.

The format is libseccomp's interface as lines of text, so it has libseccomp's limits: of two
overlapping rules for one call, one is lost without a word. So every call's rules are made disjoint
here. Two more things that it can't say:

- LXC gives the rules to every ABI of the machine, whatever section they stand in. `guard` is a
  program for the process that executes LXC, which closes the foreign ones; filters stack, and the
  kernel takes the strictest answer.
- Calls that are newer than the policy get ENOSYS where its default action is an error. Here ENOSYS
  is the default, and the older calls that are refused are listed with the policy's error.
"""

from __future__ import annotations

import struct

from isolate.linux.seccomp import arches, numbers
from isolate.linux.seccomp.policy import (
    ACTION,
    ALLOW,
    ENOSYS,
    ERRNO,
    KILL_PROCESS,
    KILL_THREAD,
    MASKED_EQ,
    TRAP,
    ProfileError,
)
from isolate_lxc.cubes import complement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from isolate.linux.seccomp.policy import Condition, Policy, Rule
    from isolate_lxc.cubes import Cube

_ACTIONS = {KILL_THREAD: "kill", TRAP: "trap", ALLOW: "allow"}
_OPERATORS = dict(enumerate("NE LT LE EQ GE GT MASKED_EQ".split(), start=1))
_X32 = 0x40000000  # __X32_SYSCALL_BIT, asm/unistd.h

# struct sock_filter and its codes; the kernel's networking/filter.rst
_INSTRUCTION = struct.Struct("@HBBI")
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NR, _ARCH = 0, 4  # offsets in struct seccomp_data


def translate(policy: Policy, machine: str, library: ModuleType) -> str:
    """The text of the profile. `library` is libseccomp, as `seccomp.compile.libseccomp` has it.

    Raises ProfileError where the format can't express a rule.
    """
    return "".join(f"{line}\n" for line in _Translation(policy, machine, library).lines())


class _Translation:
    """One policy on one machine."""

    def __init__(self, policy: Policy, machine: str, library: ModuleType) -> None:
        self._policy = policy
        self._library = library
        self._token = arches.ARCHES[arches.native(machine)].token
        self._arch = arches.native(machine)
        self._fades = policy.default & ACTION == ERRNO and policy.default != ERRNO | ENOSYS
        self._default = ERRNO | ENOSYS if self._fades else policy.default

    def lines(self) -> list[str]:
        by_name: dict[str, list[Rule]] = {}
        for rule in self._policy.rules:
            for name in rule.names:
                by_name.setdefault(name, []).append(rule)
        body = [line for name in sorted(by_name) for line in self._call(name, by_name[name])]
        if self._fades:
            refused = [name for name in self._older() if name not in by_name]
            body += [f"{name} {_action(self._policy.default)}" for name in refused]
        return ["2", f"allowlist {_action(self._default)}", "[all]", *body]

    def _older(self) -> list[str]:
        """The calls up to the newest that the policy's author knew."""
        known = [self._number(name) for name in self._policy.named]
        return [
            name
            for number in range(max(known, default=-1) + 1)
            if (name := self._name(number)) is not None
        ]

    def _number(self, name: str) -> int:
        number: int = self._library.resolve_syscall(self._token, name)
        return (numbers.number(self._arch, name) or -1) if number == -1 else number

    def _name(self, number: int) -> str | None:
        try:
            found = self._library.resolve_syscall(self._token, number)
        except ValueError:
            return None
        return found.decode() if isinstance(found, bytes) else str(found)

    def _call(self, name: str, rules: list[Rule]) -> list[str]:
        """The lines of one system call: disjoint, whatever its rules are."""
        always = [rule for rule in rules if not rule.conditions]
        actions = {rule.action for rule in rules}
        if always and len(actions) == 1:
            return self._line(name, rules[0].action)
        if not always and len(actions) == 1:
            lines = [line for rule in rules for line in self._conditional(name, rule)]
            return lines + self._mismatch(name, rules)
        strict = [rule for rule in rules if rule.conditions]
        if len({rule.action for rule in always}) == 1:
            return self._guarded(name, always[0].action, strict)
        raise ProfileError(rules[0].place, f"LXC's profiles can't express the rules for {name}")

    def _guarded(self, name: str, otherwise: int, strict: list[Rule]) -> list[str]:
        """One action under conditions, and another in all other cases."""
        cubes = _cubes(strict)
        if cubes is None or len({rule.action for rule in strict}) != 1:
            raise ProfileError(strict[0].place, f"LXC's profiles can't express rules for {name}")
        index = strict[0].conditions[0].index
        lines = [line for rule in strict for line in self._conditional(name, rule)]
        return lines + self._on(name, otherwise, index, complement(cubes))

    def _mismatch(self, name: str, rules: list[Rule]) -> list[str]:
        """The policy's own error where no condition holds, if the default isn't that already."""
        cubes = _cubes(rules)
        if not self._fades or cubes is None:  # then it is ENOSYS, and refused all the same
            return []
        index = rules[0].conditions[0].index
        return self._on(name, self._policy.default, index, complement(cubes))

    def _line(self, name: str, action: int, arguments: str = "") -> list[str]:
        if action == self._default:
            return []  # libseccomp refuses a rule that says what holds anyway
        return [f"{name} {_action(action)}{arguments}"]

    def _on(self, name: str, action: int, index: int, cubes: Iterable[Cube]) -> list[str]:
        return [
            line
            for mask, value in cubes
            for line in self._line(
                name, action, f" [{index},{value:#x},SCMP_CMP_MASKED_EQ,{mask:#x}]"
            )
        ]

    def _conditional(self, name: str, rule: Rule) -> list[str]:
        arguments = "".join(f" {_argument(each)}" for each in rule.conditions)
        return self._line(name, rule.action, arguments)


def _cubes(rules: Iterable[Rule]) -> list[Cube] | None:
    """What the rules compare, where each looks at the same one argument by a mask."""
    conditions = [rule.conditions for rule in rules]
    single = [each[0] for each in conditions if len(each) == 1]
    alike = len({each.index for each in single}) == 1 and len(single) == len(conditions)
    if not alike or any(each.op != MASKED_EQ for each in single):
        return None
    return [(each.value, each.datum) for each in single]


def _argument(condition: Condition) -> str:
    operator = f"SCMP_CMP_{_OPERATORS[condition.op]}"
    if condition.op == MASKED_EQ:
        return f"[{condition.index},{condition.datum:#x},{operator},{condition.value:#x}]"
    return f"[{condition.index},{condition.value:#x},{operator}]"


def _action(action: int) -> str:
    if action & ACTION == ERRNO:
        return f"errno {action & 0xFFFF}"
    if action not in _ACTIONS:
        raise ProfileError("", f"LXC's profiles have no action {action:#x}")
    return _ACTIONS[action]


def guard(policy: Policy, machine: str) -> bytes:
    """A program that closes the ABIs that the policy leaves out: foreign ones are killed as by
    our own filters, x32 gets ENOSYS. It allows all else."""
    native = arches.ARCHES[arches.native(machine)].audit
    open_to = {native} | {
        arches.ARCHES[name].audit for name in policy.arches if name != "SCMP_ARCH_X32"
    }
    shut_x32 = machine == "x86_64" and "SCMP_ARCH_X32" not in policy.arches
    allow: list[tuple[int, int, int, int]] = [(_RETURN, 0, 0, ALLOW)]
    if shut_x32:
        allow = [
            (_LOAD, 0, 0, _ARCH),
            (_JUMP_EQUAL, 0, 3, native),
            (_LOAD, 0, 0, _NR),
            (_JUMP_AT_LEAST, 0, 1, _X32),
            (_RETURN, 0, 0, ERRNO | ENOSYS),
            *allow,
        ]
    choose = [
        (_JUMP_EQUAL, len(open_to) - number, 0, audit)
        for number, audit in enumerate(sorted(open_to))
    ]
    code = [(_LOAD, 0, 0, _ARCH), *choose, (_RETURN, 0, 0, KILL_PROCESS), *allow]
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in code)
