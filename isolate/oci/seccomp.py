"""A seccomp policy as OCI's `linux.seccomp`, such that libseccomp can't misread it.

libseccomp keeps one of two overlapping rules and drops the other without a word. In a policy of
ours the strictest wins, so overlaps are taken apart here: what is allowed but for some values of
an argument becomes rules that together cover every other value.
"""

from __future__ import annotations

import os

from isolate.errors import SpecError
from isolate.linux.seccomp import cache
from isolate.linux.seccomp import document as files
from isolate.linux.seccomp.arches import native
from isolate.linux.seccomp.load import FLAG_LOG, FLAG_SPEC_ALLOW
from isolate.linux.seccomp.policy import (
    ACTION,
    ALLOW,
    EQ,
    ERRNO,
    GE,
    GT,
    KILL_PROCESS,
    KILL_THREAD,
    LE,
    LOG,
    LT,
    MASKED_EQ,
    NE,
    TRACE,
    TRAP,
    Condition,
    Policy,
    ProfileError,
    Rule,
    permissiveness,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

_ACTIONS = {
    KILL_PROCESS: "SCMP_ACT_KILL_PROCESS",
    KILL_THREAD: "SCMP_ACT_KILL_THREAD",
    TRAP: "SCMP_ACT_TRAP",
    ERRNO: "SCMP_ACT_ERRNO",
    TRACE: "SCMP_ACT_TRACE",
    LOG: "SCMP_ACT_LOG",
    ALLOW: "SCMP_ACT_ALLOW",
}
_OPERATORS = {
    NE: "SCMP_CMP_NE",
    LT: "SCMP_CMP_LT",
    LE: "SCMP_CMP_LE",
    EQ: "SCMP_CMP_EQ",
    GE: "SCMP_CMP_GE",
    GT: "SCMP_CMP_GT",
    MASKED_EQ: "SCMP_CMP_MASKED_EQ",
}
_OPPOSITE = {NE: EQ, EQ: NE, LT: GE, GE: LT, LE: GT, GT: LE}
_FLAGS = {
    FLAG_LOG: "SECCOMP_FILTER_FLAG_LOG",
    FLAG_SPEC_ALLOW: "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
}
_WITH_DATA = (ERRNO, TRACE)


def document(choice: str, capabilities: int) -> dict[str, Any] | None:
    """`linux.seccomp` for `default` or a profile's path; None for `unconfined`.

    `capabilities` is the bounding set, on which both depend. Raises SpecError for a profile that
    is bad, or whose rules overlap in a way that OCI can't tell.
    """
    if choice == "unconfined":
        return None
    try:
        return translate(_policy(choice, capabilities), os.uname().machine)
    except OSError as error:
        raise SpecError("privileges.seccomp", f"{choice}: {error.strerror}") from None
    except ValueError as error:
        raise SpecError("privileges.seccomp", f"{choice}: {error}") from None


def _policy(choice: str, capabilities: int) -> Policy:
    from isolate.linux.seccomp import default, profile

    host = os.uname()
    kernel = cache.kernel_version(host.release)
    if choice == "default":
        return default.policy(capabilities, machine=host.machine, kernel=kernel)
    return profile.read(files.read(choice), profile.Host(capabilities, host.machine, kernel))


def translate(policy: Policy, machine: str) -> dict[str, Any]:
    """The policy in OCI's words. Raises ProfileError for overlaps that can't be told in them."""
    made: dict[str, Any] = _action(policy.default, "defaultAction", "defaultErrnoRet")
    made["architectures"] = [native(machine), *policy.arches]
    flags = [name for bit, name in _FLAGS.items() if policy.flags & bit]
    if flags:
        made["flags"] = flags
    made["syscalls"] = [_entry(rule) for rule in _disjoint(policy)]
    return made


def _action(action: int, key: str, data_key: str) -> dict[str, Any]:
    made: dict[str, Any] = {key: _ACTIONS[action & ACTION]}
    if action & ACTION in _WITH_DATA:
        made[data_key] = action & 0xFFFF
    return made


def _entry(rule: Rule) -> dict[str, Any]:
    made = {"names": list(rule.names), **_action(rule.action, "action", "errnoRet")}
    if rule.conditions:
        made["args"] = [_argument(condition) for condition in rule.conditions]
    return made


def _argument(condition: Condition) -> dict[str, Any]:
    made = {"index": condition.index, "value": condition.value, "op": _OPERATORS[condition.op]}
    if condition.op == MASKED_EQ:
        made["valueTwo"] = condition.datum
    return made


def _disjoint(policy: Policy) -> Iterator[Rule]:
    """Rules that say the same without overlaps of different actions."""
    actions: dict[str, set[int]] = {}
    for rule in policy.rules:
        for name in rule.names:
            actions.setdefault(name, set()).add(rule.action)
    mixed = {name for name, found in actions.items() if len(found) > 1}
    for rule in policy.rules:
        names = [name for name in rule.names if name not in mixed]
        if names and rule.action != policy.default:
            yield Rule(rule.action, names, rule.conditions, rule.place)
    for name in sorted(mixed):
        rules = [rule for rule in policy.rules if name in rule.names]
        for rule in _apart(name, rules):
            if rule.action != policy.default:
                yield rule


def _apart(name: str, rules: Sequence[Rule]) -> Iterator[Rule]:
    """One system call's rules of several actions, taken apart: the strictest wins."""
    most = max((rule.action for rule in rules), key=permissiveness)
    guards = [rule for rule in rules if rule.action != most]
    for guard in guards:
        if len(guard.conditions) != 1 or guard.action != guards[0].action:
            raise ProfileError(guard.place, f"its overlap for {name} can't be told in OCI")
        yield Rule(guard.action, (name,), guard.conditions, guard.place)
    others = list(_others([guard.conditions[0] for guard in guards], name))
    for rule in rules:
        if rule.action != most:
            continue
        for other in others:
            if other.index in [each.index for each in rule.conditions]:
                raise ProfileError(rule.place, f"its overlap for {name} can't be told in OCI")
            yield Rule(most, (name,), (*rule.conditions, other), rule.place)


def _others(guards: Sequence[Condition], name: str) -> Iterator[Condition]:
    """Conditions of which one holds exactly where none of `guards` does."""
    first = guards[0]
    if len(guards) == 1 and first.op in _OPPOSITE:
        yield Condition(first.index, _OPPOSITE[first.op], first.value)
        return
    masks = {(each.op, each.index, each.value) for each in guards}
    if masks != {(MASKED_EQ, first.index, first.value)}:
        raise ProfileError("", f"the overlapping rules for {name} can't be told in OCI")
    bits = [1 << number for number in reversed(range(64)) if first.value >> number & 1]
    points = frozenset(each.datum for each in guards)
    for mask, datum in _cover(points, bits, 0, 0):
        yield Condition(first.index, MASKED_EQ, mask, datum)


def _cover(
    points: frozenset[int], bits: Sequence[int], mask: int, datum: int
) -> Iterator[tuple[int, int]]:
    """Prefixes (mask and value) that together hold every value but `points`."""
    if not points:
        yield mask, datum
    elif bits:
        bit, *rest = bits
        for value in (0, bit):
            same = frozenset(point for point in points if point & bit == value)
            yield from _cover(same, rest, mask | bit, datum | value)
