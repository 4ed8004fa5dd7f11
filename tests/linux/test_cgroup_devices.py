"""The device program, run by a small machine, against the rules that it stands for."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolate.linux.cgroup import CgroupError
from isolate.linux.cgroup.devices import Rule, assemble, canonical, disassemble, text

ACCESS = {"m": 1, "r": 2, "w": 4}
TYPES = {"b": 1, "c": 2}

NUMBERS = st.integers(-1, 3)
RULES = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        NUMBERS,
        NUMBERS,
        st.text("rwm", min_size=1, max_size=3),
    ),
    max_size=6,
)


def allowed(program: bytes, kind: str, major: int, minor: int, access: str) -> bool:
    """Run the program as the kernel would for this request."""
    bits = sum(ACCESS[letter] for letter in access)
    context = struct.pack("<III", bits << 16 | TYPES[kind], major, minor)
    code = list(struct.iter_unpack("<BBhi", program))
    registers = [0] * 11
    at = 0
    while True:
        op, both, offset, immediate = code[at]
        to, source = both & 15, both >> 4
        at += 1
        match op:
            case 0x61:
                registers[to] = struct.unpack_from("<I", context, offset)[0]
            case 0xBF:
                registers[to] = registers[source]
            case 0xB7:
                registers[to] = immediate
            case 0x77:
                registers[to] >>= immediate
            case 0x57:
                registers[to] &= immediate
            case 0x55:
                at += offset if registers[to] != immediate else 0
            case 0x5D:
                at += offset if registers[to] != registers[source] else 0
            case 0x95:
                return registers[0] == 1
            case _:
                raise AssertionError(f"instruction {op:#x} is not implemented")


def covered(rules: list[Rule], kind: str, major: int, minor: int, access: str) -> bool:
    """The same by the meaning: the accesses of all rules for exactly this pattern, together."""
    for pattern in {(rule_kind, a, b) for rule_kind, a, b, _ in canonical(rules)}:
        rule_kind, rule_major, rule_minor = pattern
        if kind != rule_kind or rule_major not in (-1, major) or rule_minor not in (-1, minor):
            continue
        given_access = {
            letter
            for other, a, b, letters in rules
            if other in ("a", kind) and (a, b) == (rule_major, rule_minor)
            for letter in letters
        }
        if set(access) <= given_access:
            return True
    return False


@given(
    RULES,
    st.sampled_from("bc"),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from(["r", "w", "m", "rw", "rwm"]),
)
def test_the_program_answers_as_the_rules_mean(
    rules: list[Rule], kind: str, major: int, minor: int, access: str
) -> None:
    expected = covered(rules, kind, major, minor, access)
    assert allowed(assemble(rules), kind, major, minor, access) == expected


@given(RULES)
def test_disassembling_gives_the_rules_back(rules: list[Rule]) -> None:
    assert disassemble(assemble(rules)) == canonical(rules)


@given(st.binary(max_size=200), RULES)
def test_another_program_is_not_taken_for_ours(junk: bytes, rules: list[Rule]) -> None:
    assert disassemble(junk) is None
    program = bytearray(assemble(rules))
    program[-12] ^= 1  # the last verdict: allow the rest
    assert disassemble(bytes(program)) is None


def test_no_rule_allows_nothing() -> None:
    assert not allowed(assemble([]), "c", 1, 3, "r")


def test_a_rule_must_cover_the_whole_request() -> None:
    program = assemble([("c", 1, 3, "r")])
    assert allowed(program, "c", 1, 3, "r")
    assert not allowed(program, "c", 1, 3, "rw")
    assert not allowed(program, "b", 1, 3, "r")


def test_every_device_in_the_text_of_version_1() -> None:
    assert [text(rule) for rule in canonical([("a", 5, -1, "wr"), ("c", 1, 3, "m")])] == [
        "b 5:* rw",
        "c 1:3 m",
        "c 5:* rw",
    ]


@pytest.mark.parametrize(
    "rule",
    [
        ("x", 1, 1, "r"),
        ("c", 4096, 1, "r"),
        ("c", 1, 1 << 20, "r"),
        ("c", -2, 1, "r"),
        ("c", 1, 1, ""),
        ("c", 1, 1, "x"),
        ("", 1, 1, "r"),
    ],
)
def test_what_is_no_rule(rule: Rule) -> None:
    with pytest.raises(CgroupError, match="is no device rule"):
        assemble([rule])
