"""Reading Docker's and OCI's profiles: what is understood, and how the rest is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from isolate.linux import capabilities
from isolate.linux.seccomp import load, profile
from isolate.linux.seccomp.policy import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    KILL_THREAD,
    LOG,
    MASKED_EQ,
    TRACE,
    TRAP,
    Policy,
    ProfileError,
)

DEFAULT_HOST = profile.Host(capabilities.DEFAULT, "x86_64", (6, 12))


def host(*names: str, machine: str = "x86_64", kernel: tuple[int, int] = (6, 12)) -> profile.Host:
    return profile.Host(capabilities.to_mask(names), machine, kernel)


def read(value: Any, on: profile.Host = DEFAULT_HOST) -> Policy:
    return profile.read(json.dumps(value).encode(), on)


def one(**rule: Any) -> dict[str, Any]:
    """A profile of one rule."""
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", **rule}],
    }


def names(policy: Policy) -> list[str]:
    return [name for rule in policy.rules for name in rule.names]


@pytest.mark.parametrize(
    ("rule", "action"),
    [
        ({"action": "SCMP_ACT_ALLOW"}, ALLOW),
        ({"action": "SCMP_ACT_LOG"}, LOG),
        ({"action": "SCMP_ACT_TRAP"}, TRAP),
        ({"action": "SCMP_ACT_KILL"}, KILL_THREAD),
        ({"action": "SCMP_ACT_KILL_THREAD"}, KILL_THREAD),
        ({"action": "SCMP_ACT_KILL_PROCESS"}, KILL_PROCESS),
        ({"action": "SCMP_ACT_ERRNO"}, ERRNO | 1),
        ({"action": "SCMP_ACT_ERRNO", "errnoRet": 38}, ERRNO | 38),
        ({"action": "SCMP_ACT_ERRNO", "errno": "ENOSYS"}, ERRNO | 38),
        ({"action": "SCMP_ACT_ERRNO", "errno": "EINVAL", "errnoRet": 22}, ERRNO | 22),
        ({"action": "SCMP_ACT_TRACE", "errnoRet": 7}, TRACE | 7),
    ],
)
def test_actions(rule: dict[str, Any], action: int) -> None:
    assert read(one(**rule)).rules[0].action == action


def test_default_action_and_its_error() -> None:
    assert read({"defaultAction": "SCMP_ACT_ERRNO"}).default == ERRNO | 1
    policy = read({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": None})
    assert policy.default == ERRNO | 38
    assert read({"defaultAction": "SCMP_ACT_KILL_PROCESS"}).default == KILL_PROCESS


def test_arguments() -> None:
    args = [
        {"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"},
        {"index": 5, "value": 2**64 - 1, "op": "SCMP_CMP_NE"},
    ]
    first, second = read(one(args=args)).rules[0].conditions
    assert (first.index, first.op, first.value, first.datum) == (0, MASKED_EQ, 2114060288, 0)
    assert (second.index, second.value) == (5, 2**64 - 1)


def test_an_old_profile_with_a_single_name_and_empty_members() -> None:
    rule: dict[str, Any] = {
        "name": "read",
        "action": "SCMP_ACT_ALLOW",
        "args": None,
        "comment": "",
        "includes": {},
        "excludes": None,
    }
    policy = read({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]})
    assert names(policy) == ["read"]


@pytest.mark.parametrize(
    ("conditions", "on", "applies"),
    [
        ({"includes": {"caps": ["CAP_BPF"]}}, host("CAP_BPF"), True),
        ({"includes": {"caps": ["CAP_BPF"]}}, host(), False),
        ({"includes": {"caps": ["CAP_BPF", "CAP_KILL"]}}, host("CAP_BPF"), False),
        ({"excludes": {"caps": ["CAP_BPF"]}}, host("CAP_BPF"), False),
        ({"excludes": {"caps": ["CAP_BPF", "CAP_KILL"]}}, host("CAP_BPF"), False),
        ({"excludes": {"caps": ["CAP_BPF"]}}, host(), True),
        ({"includes": {"arches": ["amd64", "x32"]}}, host(), True),
        ({"includes": {"arches": ["arm64"]}}, host(), False),
        ({"includes": {"arches": ["arm64"]}}, host(machine="aarch64"), True),
        ({"excludes": {"arches": ["amd64"]}}, host(), False),
        ({"includes": {"minKernel": "4.8"}}, host(), True),
        ({"includes": {"minKernel": "4.8"}}, host(kernel=(4, 7)), False),
        ({"excludes": {"minKernel": "4.8"}}, host(), False),
        ({"includes": {"caps": ["CAP_BPF"], "minKernel": "4.8"}}, host(), False),
        ({"excludes": {"caps": ["CAP_BPF"], "arches": ["s390x"]}}, host("CAP_BPF"), False),
        ({"includes": {"arches": ["amd64"]}, "excludes": {"caps": ["CAP_BPF"]}}, host(), True),
    ],
)
def test_conditions_on_the_host(
    conditions: dict[str, Any], on: profile.Host, applies: bool
) -> None:
    policy = read(one(**conditions), on)
    assert bool(policy.rules) == applies
    assert policy.named == {"read"}


def test_architectures_that_this_machine_can_run() -> None:
    listed = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_ARM"]
    assert read({**one(), "architectures": listed}).arches == ("SCMP_ARCH_X86",)
    mapped = [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X32"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        {"architecture": "SCMP_ARCH_RISCV64", "subArchitectures": None},
    ]
    assert read({**one(), "archMap": mapped}).arches == ("SCMP_ARCH_X32",)
    arm = read({**one(), "archMap": mapped}, host(machine="aarch64"))
    assert arm.arches == ("SCMP_ARCH_ARM",)
    assert read(one()).arches == ()


def test_flags() -> None:
    flags = ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"]
    assert read({**one(), "flags": flags}).flags == load.FLAG_LOG


DEEP = b'{"a":' * 100_000

ARG = {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ([], "must be an object"),
        ({}, "defaultAction: is missing"),
        ({"defaultAction": 1}, "defaultAction: must be a string"),
        ({"defaultAction": "ALLOW"}, "defaultAction: 'ALLOW' is none of"),
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "defaultAction: SCMP_ACT_NOTIFY"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}, "defaultAction: "),
        ({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}, "defaultAction: "),
        ({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": -1}, "defaultErrnoRet: "),
        ({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "EWHAT"}, "defaultErrno: 'EWHAT'"),
        ({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "errorcode"}, "defaultErrno: "),
        ({**one(), "syscall": []}, "syscall: unknown key"),
        ({**one(), "syscalls": {}}, "syscalls: must be a list"),
        ({**one(), "syscalls": [1]}, "syscalls[0]: must be an object"),
        ({**one(), "syscalls": [{}] * 5000}, "syscalls: has more than 4096"),
        ({**one(), "listenerPath": "/s"}, "listenerPath: "),
        ({**one(), "flags": ["NONE"]}, "flags[0]: 'NONE'"),
        ({**one(), "architectures": ["amd64"]}, "architectures[0]: 'amd64'"),
        ({**one(), "archMap": [{}]}, "archMap[0].architecture: must be a string"),
        ({**one(), "archMap": [{"architecture": "?"}]}, "archMap[0]: '?'"),
        (
            {
                **one(),
                "architectures": ["SCMP_ARCH_X86"],
                "archMap": [{"architecture": "SCMP_ARCH_X86"}],
            },
            "archMap: contradicts",
        ),
        (one(acton="x"), "syscalls[0].acton: unknown key"),
        (one(action="SCMP_ACT_PERMIT"), "syscalls[0].action: 'SCMP_ACT_PERMIT' is none of"),
        (one(action=None), "syscalls[0].action: must be a string"),
        (one(errnoRet=1), "syscalls[0].action: SCMP_ACT_ALLOW has no error number"),
        (one(action="SCMP_ACT_ERRNO", errnoRet=True), "syscalls[0].errnoRet: "),
        (one(action="SCMP_ACT_ERRNO", errnoRet=1, errno="EIO"), "syscalls[0].errno: EIO is 5"),
        (one(names=[]), "syscalls[0].names: is empty"),
        (one(names="read"), "syscalls[0].names: must be a list"),
        (one(names=["read", 0]), "syscalls[0].names[1]: must be a string"),
        (one(names=["read\0"]), "syscalls[0].names[0]: 'read\\x00' is no system call"),
        (one(names=["READ"]), "syscalls[0].names[0]: "),
        (one(names=["\ud800"]), "syscalls[0].names[0]: '\\ud800'"),
        (one(name="write"), "syscalls[0].name: contradicts"),
        (one(args=[{**ARG, "op": "EQ"}]), "syscalls[0].args[0].op: 'EQ' is none of"),
        (one(args=[{**ARG, "index": 6}]), "syscalls[0].args[0].index: "),
        (one(args=[{**ARG, "value": 2**64}]), "syscalls[0].args[0].value: "),
        (one(args=[{**ARG, "value": 1.0}]), "syscalls[0].args[0].value: "),
        (one(args=[{**ARG, "value": "1"}]), "syscalls[0].args[0].value: "),
        (one(args=[{**ARG, "valueTwo": -1}]), "syscalls[0].args[0].valueTwo: "),
        (one(args=[{"index": 0, "op": "SCMP_CMP_EQ"}]), "syscalls[0].args[0].value: is missing"),
        (one(args=[ARG, ARG]), "syscalls[0].args[1].index: argument 0 is compared twice"),
        (one(includes=[]), "syscalls[0].includes: must be an object"),
        (one(includes={"cap": []}), "syscalls[0].includes.cap: unknown key"),
        (one(includes={"caps": ["CAP_X"]}), "syscalls[0].includes.caps: 'CAP_X'"),
        (one(excludes={"arches": ["vax"]}), "syscalls[0].excludes.arches[0]: 'vax'"),
        (one(includes={"minKernel": "4"}), "syscalls[0].includes.minKernel: "),
        (one(includes={"minKernel": "4.x"}), "syscalls[0].includes.minKernel: "),
        (one(includes={"minKernel": 4.8}), "syscalls[0].includes.minKernel: must be a string"),
    ],
)
def test_the_error_names_the_place(value: Any, place: str) -> None:
    with pytest.raises(ProfileError) as caught:
        read(value)
    assert str(caught.value).startswith(place)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"NaN", "NaN"),
        (b'{"defaultAction": "SCMP_ACT_ALLOW", "defaultAction": "SCMP_ACT_KILL"}', "twice"),
        (b'{"a": ' + b"1" * 10_000 + b"}", "not JSON"),
        (DEEP, "nested"),
        (b"[" * 20 + b"]" * 20, "nested"),
        (b" " * (profile.MAX_BYTES + 1), "limit"),
    ],
)
def test_what_is_no_document(document: bytes, problem: str) -> None:
    with pytest.raises(ProfileError, match=problem):
        profile.read(document, DEFAULT_HOST)


def test_a_message_never_carries_escapes_or_pages_of_text() -> None:
    with pytest.raises(ProfileError) as caught:
        read({**one(), "\x1b[31m" + "x" * 5000: 1})
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 400


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
_WORDS = st.sampled_from(
    [
        *profile._ACTIONS,
        *profile._OPERATORS,
        *profile._FLAGS,
        *profile._DOCKER_ARCHES,
        *"SCMP_ARCH_X86 SCMP_ARCH_X86_64 read CAP_BPF 4.8 ENOSYS".split(),
    ]
)
_ANY = _JSON | _WORDS | st.lists(_WORDS, max_size=3)


def _object(keys: list[str], **known: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    members = {key: known.get(key, _ANY) | _ANY for key in keys}
    return st.fixed_dictionaries({}, optional=members)


_ARGS = st.lists(_object(profile._ARG, index=st.integers(0, 5), value=st.integers(0, 99)))
_CONDITIONS = _object(profile._CONDITION)
_RULES = _object(profile._SYSCALL, args=_ARGS, includes=_CONDITIONS, excludes=_CONDITIONS)
_ARCH_MAPS = st.lists(_object(profile._ARCH_MAP), max_size=3)
_PROFILES = _object(profile._TOP, syscalls=st.lists(_RULES, max_size=4), archMap=_ARCH_MAPS)


@given(_PROFILES | _JSON)
@example({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYS"})
def test_any_value_gives_a_policy_or_a_profile_error(value: Any) -> None:
    try:
        policy = profile.read(json.dumps(value).encode(), DEFAULT_HOST)
    except ProfileError as error:
        event("refused" if str(error).isprintable() else pytest.fail(repr(error)))
    else:
        assert isinstance(policy, Policy)
        event("understood")


@given(st.binary())
def test_any_bytes_give_a_profile_error(document: bytes) -> None:
    with pytest.raises(ProfileError):
        profile.read(document, DEFAULT_HOST)
