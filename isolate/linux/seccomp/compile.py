"""Compiling a policy to BPF with libseccomp, through pyseccomp.

Importing pyseccomp looks for the library with programs of the system, so compile before any
clone(2), never in a container's first process.

libseccomp keeps one of two overlapping rules and drops the other without a word. Here the
stricter one wins: where a system call has rules of several actions, all but the most permissive
are compiled as guards, programs of their own that run first (bpf.py joins them).
"""

from __future__ import annotations

import errno
import os

from isolate.linux.seccomp import arches, bpf, numbers, sources
from isolate.linux.seccomp.load import INSTRUCTION, MAX_INSTRUCTIONS
from isolate.linux.seccomp.policy import (
    ACTION,
    ALLOW,
    ENOSYS,
    ERRNO,
    KILL_PROCESS,
    LOG,
    Filter,
    Policy,
    ProfileError,
    Rule,
    permissiveness,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType
    from typing import Any

_CTL_OPTIMIZE = 8  # SCMP_FLTATR_CTL_OPTIMIZE, libseccomp 2.5
_BINARY_TREE = 2
_UNKNOWN = -1  # __NR_SCMP_ERROR; other negative numbers are calls of other architectures

# They reach the calls whose arguments a filter wants to see, with the arguments out of sight.
MULTIPLEXERS = ("socketcall", "ipc")


def libseccomp() -> ModuleType:
    """pyseccomp, with the library loaded. Raises OSError where either is missing."""
    try:
        import pyseccomp  # type: ignore[import-untyped] # it has no annotations file
    except (ImportError, RuntimeError, AttributeError, OSError) as error:
        raise OSError(errno.ENOPKG, f"libseccomp can't be used: {error}") from error
    module: ModuleType = pyseccomp
    return module


def compile_policy(
    policy: Policy, machine: str | None = None, *, binary_tree: bool = True
) -> Filter:
    """Compile for this machine, as uname(2) names it.

    Architectures outside the policy are killed (KILL_PROCESS). Raises ProfileError where
    libseccomp refuses a rule, where a name is unknown in a rule that is stricter than the default
    action, and where the program is too big; OSError where libseccomp is missing.
    """
    return _Compiler(policy, machine or os.uname().machine, binary_tree=binary_tree).compile()


def inputs() -> bytes | None:
    """All files that a compiled filter comes from, with their identities; None: can't be told."""
    libraries = sources.mapped("libseccomp")
    found = sources.identities([libseccomp().__file__ or "", *libraries])
    if found is None or not libraries:
        return None
    return b"\0".join(os.fsencode(part) for pair in found for part in pair)


class _Compiler:
    """One policy on one machine."""

    def __init__(self, policy: Policy, machine: str, *, binary_tree: bool) -> None:
        self._lib = libseccomp()
        self._policy = policy
        self._own: int = self._lib.system_arch()  # libseccomp counts from the ABI it is built for
        self._native = arches.native(machine)
        # Native last: its part decides about every architecture that no part before it knew.
        self._arches = [
            name
            for name in arches.foreign(machine)
            if name in policy.arches and name != self._native
        ] + [self._native]
        self._binary_tree = binary_tree

    def compile(self) -> Filter:
        rules, dropped = self._known(self._policy.rules)
        parts = [part for arch in self._arches for part in self._parts(arch, rules)]
        program = bpf.join(parts)
        if len(program) > MAX_INSTRUCTIONS * INSTRUCTION:
            count = len(program) // INSTRUCTION
            raise ProfileError(
                "syscalls", f"{count} instructions, the kernel takes {MAX_INSTRUCTIONS}"
            )
        if bpf.has_pass(program):
            raise ProfileError("syscalls", f"SCMP_ACT_TRACE with {bpf.PASS & 0xFFFF} is reserved")
        return Filter(program, self._policy.flags, sorted(dropped))

    def _known(self, rules: Iterable[Rule]) -> tuple[list[Rule], set[str]]:
        """The rules with names that have a number, and the names that have none."""
        known, dropped = [], set()
        for rule in rules:
            names = [name for name in rule.names if self._number(self._native, name) is not None]
            unknown = set(rule.names).difference(names)
            if unknown and permissiveness(rule.action) < permissiveness(self._policy.default):
                place = f"{rule.place}.names" if rule.place else min(unknown)
                raise ProfileError(
                    place,
                    f"{min(unknown)} is no system call that libseccomp knows, so the rule "
                    "can't restrict it",
                )
            dropped |= unknown
            known.append(Rule(rule.action, names, rule.conditions, rule.place))
        return known, dropped

    def _parts(self, arch: str, rules: list[Rule]) -> list[bytes]:
        """The programs of one architecture: ENOSYS for the unknown, guards, the main rules."""
        main, guards = self._split(arch, rules)
        outside = KILL_PROCESS if arch == self._native else bpf.PASS
        return [
            *self._enosys(arch),
            *(self._program(arch, bpf.PASS, bpf.PASS, guard) for guard in guards),
            self._program(arch, self._policy.default, outside, main),
        ]

    def _enosys(self, arch: str) -> list[bytes]:
        """Only an ERRNO default gives way to ENOSYS: who asked for a kill gets it."""
        if self._policy.default & ACTION != ERRNO or arch == "SCMP_ARCH_X32":
            return []
        known = [self._number(arch, name) or 0 for name in self._policy.named]
        newest = max(known, default=0)
        return [bpf.enosys_above(arches.ARCHES[arch].audit, newest)] if newest > 0 else []

    def _split(self, arch: str, rules: list[Rule]) -> tuple[list[Rule], list[list[Rule]]]:
        """The main rules, and groups of stricter ones that run before, the strictest first."""
        rules = [*self._multiplexers(arch, rules), *rules]
        most = _most_permissive(rules)
        main: list[Rule] = []
        guards: dict[int, list[Rule]] = {}
        for rule in rules:
            for name in rule.names:
                single = Rule(rule.action, (name,), rule.conditions, rule.place)
                guarded = rule.action != most[name] or name in MULTIPLEXERS
                if guarded and rule.action != ALLOW:
                    guards.setdefault(rule.action, []).append(single)
                else:
                    main.append(single)
        return main, [guards[action] for action in sorted(guards, key=permissiveness)]

    def _multiplexers(self, arch: str, rules: list[Rule]) -> list[Rule]:
        """Refuse those that the policy doesn't name: libseccomp allows them beside socket(2)."""
        if not arches.ARCHES[arch].multiplexed or self._policy.default & ACTION in (ALLOW, LOG):
            return []
        named = {name for rule in rules for name in rule.names}
        return [Rule(ERRNO | ENOSYS, [name for name in MULTIPLEXERS if name not in named])]

    def _program(self, arch: str, default: int, outside: int, rules: list[Rule]) -> bytes:
        """One program by libseccomp; `outside` is for other architectures."""
        program = self._lib.SyscallFilter(default)
        program.set_attr(self._lib.Attr.ACT_BADARCH, outside)
        token = arches.ARCHES[arch].token
        if token != self._own:
            program.add_arch(token)
            program.remove_arch(self._own)
        if self._binary_tree and len(rules) > 32:
            self._optimize(program)
        for rule in rules:
            if rule.action != default:
                self._add(program, arch, rule)
        return self._export(program)

    @staticmethod
    def _optimize(program: Any) -> None:
        try:
            program.set_attr(_CTL_OPTIMIZE, _BINARY_TREE)
        except OSError as error:  # before libseccomp 2.5; the filter is the same, only slower
            if error.errno not in (errno.EEXIST, errno.EINVAL):
                raise

    def _add(self, program: Any, arch: str, rule: Rule) -> None:
        """Add by libseccomp's own number, which it translates, where it knows the call."""
        name = rule.names[0]
        number = self._lib.resolve_syscall(self._own, name)
        if number == _UNKNOWN:
            if arches.ARCHES[arch].token != self._own:
                self._leave_out(rule)
                return
            number = self._number(arch, name)
        arguments = [
            self._lib.Arg(each.index, each.op, each.value, each.datum) for each in rule.conditions
        ]
        try:
            program.add_rule(rule.action, number, *arguments)
        except OSError as error:
            problem = f"libseccomp refuses the rule for {name}: {error.strerror}"
            raise ProfileError(rule.place, problem) from error

    def _leave_out(self, rule: Rule) -> None:
        if permissiveness(rule.action) < permissiveness(self._policy.default):
            problem = f"libseccomp doesn't know {rule.names[0]} on every architecture"
            raise ProfileError(rule.place, problem)

    def _number(self, arch: str, name: str) -> int | None:
        """The number on this architecture; negative where only others have the call."""
        number: int = self._lib.resolve_syscall(arches.ARCHES[arch].token, name)
        return numbers.number(arch, name) if number == _UNKNOWN else number

    @staticmethod
    def _export(program: Any) -> bytes:
        with os.fdopen(os.memfd_create("seccomp", os.MFD_CLOEXEC), "rb") as file:
            program.export_bpf(file)
            file.seek(0)
            return file.read()


def _most_permissive(rules: list[Rule]) -> dict[str, int]:
    """For each system call the action that lets through most; of equals, the last."""
    most: dict[str, int] = {}
    for rule in rules:
        for name in rule.names:
            held = most.get(name, rule.action)
            if permissiveness(rule.action) >= permissiveness(held):
                most[name] = rule.action
    return most
