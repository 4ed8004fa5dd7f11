"""Policies in LXC's format: disjoint rules, complements, what it can't express."""

from __future__ import annotations

from itertools import starmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolate.linux import capabilities
from isolate.linux.seccomp import compile as compiler
from isolate.linux.seccomp import default
from isolate.linux.seccomp.policy import (
    ALLOW,
    ENOSYS,
    EPERM,
    EQ,
    ERRNO,
    KILL_PROCESS,
    LOG,
    LOW_32_BITS,
    MASKED_EQ,
    Condition,
    Policy,
    ProfileError,
    Rule,
)
from isolate_lxc.cubes import complement
from isolate_lxc.profile import guard, translate
from tests.support import bpf_machine

SMALL = st.integers(0, 255)


def holds(cube: tuple[int, int], value: int) -> bool:
    mask, wanted = cube
    return value & mask == wanted & mask


@given(st.lists(st.tuples(SMALL, SMALL), max_size=5), SMALL)
def test_a_complement_holds_what_the_cubes_do_not_and_once(
    cubes: list[tuple[int, int]], value: int
) -> None:
    inside = any(holds(cube, value) for cube in cubes)
    found = [cube for cube in complement(cubes) if holds(cube, value)]
    assert len(found) == (0 if inside else 1)


def text_of(*rules: Rule, default_action: int = ERRNO | EPERM) -> list[str]:
    policy = Policy(default_action, rules)
    return translate(policy, "x86_64", compiler.libseccomp()).splitlines()


def test_unknown_calls_get_enosys_and_known_ones_the_policys_error() -> None:
    lines = text_of(Rule(ALLOW, ["read", "open"]))
    assert lines[:3] == ["2", "allowlist errno 38", "[all]"]
    assert "read allow" in lines
    assert "write errno 1" in lines  # older than open
    assert not any(
        line.startswith("close ") for line in lines
    )  # newer: ENOSYS, as on an old kernel


def test_a_rule_that_says_what_holds_anyway_is_left_out() -> None:
    assert not any(line.startswith("clone3") for line in text_of(Rule(ERRNO | ENOSYS, ["clone3"])))


def test_conditions_become_disjoint_with_the_policys_error_elsewhere() -> None:
    low = [Condition(0, MASKED_EQ, LOW_32_BITS, value) for value in (1, 2)]
    lines = [
        line
        for line in text_of(*(Rule(ALLOW, ["socket"], [each]) for each in low))
        if line.startswith("socket ")
    ]
    assert lines[:2] == [
        "socket allow [0,0x1,SCMP_CMP_MASKED_EQ,0xffffffff]",
        "socket allow [0,0x2,SCMP_CMP_MASKED_EQ,0xffffffff]",
    ]
    assert all(line.startswith("socket errno 1 [0,") for line in lines[2:])
    assert len(lines) > 2


@pytest.mark.parametrize(
    "rules",
    [
        # two actions, of which one looks at an argument by an order
        [Rule(ALLOW, ["ioctl"]), Rule(ERRNO | EPERM, ["ioctl"], [Condition(1, EQ, 5)])],
        [Rule(KILL_PROCESS, ["ioctl"])],
        [Rule(LOG, ["ioctl"])],
    ],
)
def test_what_the_format_can_not_say_is_refused(rules: list[Rule]) -> None:
    with pytest.raises(ProfileError, match=r"LXC's profiles"):
        text_of(*rules)


def test_the_guard_closes_foreign_abis() -> None:
    policy = default.policy(capabilities.DEFAULT, machine="x86_64", kernel=(6, 1))
    program = guard(policy, "x86_64")

    def answer(number: int, arch: int = bpf_machine.X86_64) -> int:
        return bpf_machine.answer(program, number, arch=arch)

    assert list(starmap(answer, [(0,), (0x3FFFFFFF,)])) == [ALLOW, ALLOW]
    assert answer(bpf_machine.X32) == answer(0xFFFFFFFF) == ERRNO | ENOSYS
    assert answer(0, bpf_machine.I386) == answer(20, 0xC00000B7) == KILL_PROCESS


def test_the_guard_leaves_open_what_a_policy_allows() -> None:
    policy = Policy(ALLOW, (), arches=["SCMP_ARCH_X86", "SCMP_ARCH_X32"])
    program = guard(policy, "x86_64")
    assert bpf_machine.answer(program, 20, arch=bpf_machine.I386) == ALLOW
    assert bpf_machine.answer(program, bpf_machine.X32 | 1) == ALLOW
    assert bpf_machine.answer(program, 20, arch=0xC00000B7) == KILL_PROCESS
