"""Records, and the rules of the spec that hostile or careless input runs into."""

from __future__ import annotations

import copy
import enum
import pickle
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from isolate.errors import SpecError
from isolate.spec import IdMap, Limits, Mount, Process, Rlimit, Root, Spec
from isolate.spec.kinds import Integer, Items, Number, Size, Text, Union
from isolate.spec.record import field, quoted, shown
from isolate.spec.schema import nested_records
from isolate.spec.texts import SYSCTL, SYSCTL_VALUE, USER, sysctl_path
from tests.unit import strategies


def accepts(kind: Text, text: str) -> bool:
    try:
        return bool(kind.check(text, "x") == text)
    except SpecError:
        return False


# Records


def test_a_record_is_frozen_and_keyword_only() -> None:
    limits = Limits(pids=3)
    with pytest.raises(AttributeError, match="frozen"):
        limits.pids = 4  # type: ignore[misc]
    with pytest.raises(AttributeError, match="frozen"):
        del limits.pids
    with pytest.raises(TypeError):
        Limits(3)  # type: ignore[call-arg]


def test_replace_checks_and_leaves_the_original() -> None:
    spec = Spec(hostname="a")
    assert spec.replace(hostname="b").hostname == "b"
    assert spec.hostname == "a"
    with pytest.raises(SpecError, match="hostname"):
        spec.replace(hostname="-")
    with pytest.raises(SpecError, match="unknown key"):
        spec.replace(hostnam="a")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(strategies.specs(raw_bytes=True))
def test_equal_hashed_dumped_pickled_copied(spec: Spec) -> None:
    again = Spec.build(spec.to_dict(), "")
    assert again == spec
    assert hash(again) == hash(spec)
    assert pickle.loads(pickle.dumps(spec)) == spec  # noqa: S301 - made here
    assert copy.deepcopy(spec) == spec


def test_equality_and_hash_ignore_the_order_of_tables() -> None:
    one = Process.build({"env": {"A": "1", "B": "2"}}, "")
    other = Process.build({"env": {"B": "2", "A": "1"}}, "")
    assert one == other
    assert hash(one) == hash(other)
    assert one != Process.build({"env": {"A": "1", "B": "3"}}, "")


def test_tables_are_read_only_and_not_the_callers() -> None:
    env = {"A": "1"}
    process = Process(env=env)
    env["A"] = "2"
    assert process.env["A"] == "1"
    with pytest.raises(TypeError):
        process.env["A"] = "2"  # type: ignore[index]


def test_a_record_of_a_record_has_the_fields_of_both() -> None:
    class More(Limits):
        more: int = field(Integer(0), default=7, doc="more")

    assert More(pids=1).to_dict() == {"pids": 1}
    assert More(pids=1, more=8).to_dict() == {"pids": 1, "more": 8}
    assert "more" not in Limits.FIELDS


def test_values_become_plain() -> None:
    class Word(enum.StrEnum):
        ONE = "one"

    class Count(enum.IntEnum):
        TWO = 2

    spec = Spec(hostname=Word.ONE, limits=Limits(pids=Count.TWO))
    assert type(spec.hostname) is str
    assert type(spec.limits.pids) is int


def test_a_set_becomes_a_sorted_tuple() -> None:
    assert Spec.build({"isolate": {"pids", "ipc"}}, "").isolate == ("ipc", "pids")
    with pytest.raises(SpecError, match=r"isolate\[1\]"):
        Spec.build({"isolate": {1, "pids"}}, "")


def test_an_error_at_the_top_has_no_stray_dot() -> None:
    with pytest.raises(SpecError, match=r"^soft: 2 is above"):
        Rlimit(soft=2, hard=1)


@pytest.mark.parametrize("values", [None, 1, "x", [], [("hostname", "a")]])
def test_build_refuses_what_is_no_table(values: Any) -> None:
    with pytest.raises(SpecError, match="where a table belongs"):
        Spec.build(values, "")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        ("a\x1b[0m\n", r"a\x1b[0m\n"),
        ("\u202e", r"\u202e"),
        ("\ud800", r"\ud800"),
        ("x" * 100, "x" * 60 + "..."),
        (True, "true"),
        (None, "null"),
        pytest.param(10**5000, "a number of 16610 bits", id="huge"),
        ([1], "a list"),
        ({}, "a table"),
        (b"x", "a bytes"),
    ],
)
def test_shown_is_one_short_printable_line(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_quoted_string_differs_from_a_number() -> None:
    assert quoted("5") == '"5"'
    assert quoted(5) == "5"


# Kinds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        *[("0", 0), ("64", 64), ("64b", 64), ("1k", 1024), ("1KB", 1024), ("1Ki", 1024)],
        *[("1KiB", 1024), ("1.5G", 3 * 2**29), ("0.1k", 102), ("1T", 2**40), ("007", 7)],
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert Size().check(text, "x") == size


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            "M",
            "-1",
            "+1",
            " 1",
            "1 M",
            "1e3",
            "1.",
            ".5",
            "1.5.5",
            "0x10",
            "1MM",
            "1iB",
            "1Bi",
        ],
        *["1P", "nan", "inf", "1_000", "\u0661", "1\u00b2", "9" * 40, "1\n", "9999999T"],
    ],
)
def test_sizes_refused(text: str) -> None:
    with pytest.raises(SpecError):
        Size().check(text, "x")


def test_a_union_keeps_a_number_exact_or_refuses_it() -> None:
    kind = Union(Integer(-(2**63)), Number(-1e300, 1e300, "any unit"), Items(Text()))
    assert type(kind.check(2**63 - 1, "x")) is int
    assert type(kind.check(1.0, "x")) is float
    with pytest.raises(SpecError, match="9223372036854775808 is not allowed"):
        kind.check(2**63, "x")
    with pytest.raises(SpecError, match=r"x\[1\]: holds a NUL byte"):
        kind.check(["a", "\0"], "x")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), "1", True])
def test_numbers_refused(number: object) -> None:
    with pytest.raises(SpecError):
        Number(0, 1e300, "any unit").check(number, "x")


# Users, as CVE-2026-30892 and CVE-2024-40635 taught


@pytest.mark.parametrize(
    "user",
    ["0", "0:0", "1000:100", "4294967294", "root", "www-data:adm", "_apt", "machine$", "a.b"],
)
def test_users(user: str) -> None:
    assert accepts(USER, user)


@pytest.mark.parametrize(
    "user",
    [
        *["", ":", "0:", ":0", "0:0:0", "-1", "0:-1", "+1", "4294967295", "4294967296", "9" * 30],
        *["010", "00", " 0", "0 ", "0\n", "1e3:", "0x0:", "\u0661", "\u00b2", "a b", "a/b", "a\0"],
        *["-a", ".a", "$", "a$b", "\u00e9", "root:"],
    ],
)
def test_users_refused(user: str) -> None:
    assert not accepts(USER, user)


# Kernel parameters, as CVE-2022-0811 taught


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("kernel.shmmax", "kernel/shmmax"),
        ("kernel/sem", "kernel/sem"),
        ("kernel.shm_rmid_forced", "kernel/shm_rmid_forced"),
        ("fs.mqueue.msg_max", "fs/mqueue/msg_max"),
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding"),
        ("net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/forwarding"),
    ],
)
def test_sysctls_of_a_namespace(name: str, path: str) -> None:
    assert accepts(SYSCTL, name)
    assert sysctl_path(name) == path


@pytest.mark.parametrize(
    "name",
    [
        *["", "net", "net.", ".net.x", "kernel", "kernel.core_pattern", "kernel.hostname"],
        *["kernel.domainname", "kernel.shm", "kernel.shmmax.x", "kernel.shm/max", "vm.swappiness"],
        *[
            "fs.file-max",
            "fs.mqueue",
            "fs.mqueue.",
            "fs.mqueue/x",
            "fs/mqueue.x",
            "user.max_user_namespaces",
        ],
        *["net..x", "net//x", "net/../kernel/core_pattern", "net.//.kernel.core_pattern", "net./x"],
        *[
            "net.x+kernel.core_pattern",
            "net.x\n",
            "net.x y",
            "net.x=1",
            "NET.x",
            "/net/x",
            "net.\u00e9",
        ],
        *["../net/x", "net/./x", "net.x\0", "net.x;y"],
    ],
)
def test_sysctls_refused(name: str) -> None:
    assert not accepts(SYSCTL, name)


@pytest.mark.parametrize("value", ["", "1", "32768\t60999", "0 1 2", "cubic reno"])
def test_sysctl_values(value: str) -> None:
    assert accepts(SYSCTL_VALUE, value)


@pytest.mark.parametrize(
    "value", ["1\n2", "1\r", "1\0", "1+kernel.core_pattern=|x", "\u00e9", "x" * 5000]
)
def test_sysctl_values_refused(value: str) -> None:
    assert not accepts(SYSCTL_VALUE, value)


# Rules over several fields


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"sysctl": {"net.x": "1", "net/x": "1"}}, "sysctl"),
        ({"sysctl": {"net.x": "1"}, "network": {"mode": "host"}}, "sysctl.net.x"),
        (
            {"mounts": [{"type": "tmpfs", "target": t} for t in ("/a", "/./a//")]},
            "mounts[1].target",
        ),
        ({"mounts": [{"type": "proc", "target": "/a", "mode": 1}]}, "mounts[0].mode"),
        ({"mounts": [{"type": "proc", "target": "/a", "size": 4096}]}, "mounts[0].size"),
        ({"mounts": [{"type": "tmpfs", "target": "/a", "idmap": True}]}, "mounts[0].idmap"),
        ({"limits": {"memory_swap": 1}}, "limits.memory_swap"),
        ({"limits": {"io": [{"device": "8:0"}]}}, "limits.io[0]"),
        ({"isolate": ["network"], "network": {"mode": "host"}}, "network.mode"),
        ({"isolate": ["users"], "privileges": {"users": "host"}}, "privileges.users"),
        ({"privileges": {"privileged": True, "users": "private"}}, "privileges.privileged"),
        (
            {"privileges": {"uid_map": [{"inside": 0, "outside": 0, "size": 1}]}},
            "privileges.uid_map",
        ),
    ],
)
def test_contradictions(document: dict[str, Any], path: str) -> None:
    with pytest.raises(SpecError) as caught:
        Spec.build(document, "")
    assert caught.value.path == path


def id_maps(*ranges: tuple[int, int, int]) -> dict[str, Any]:
    maps = [IdMap(inside=inside, outside=outside, size=size) for inside, outside, size in ranges]
    return {"privileges": {"uid_map": maps, "gid_map": maps}}


def test_id_maps_may_touch_but_not_overlap() -> None:
    Spec.build(id_maps((0, 100, 10), (10, 110, 10), (4294967294, 0, 1)), "")
    with pytest.raises(SpecError, match=r"uid_map\[1\]\.inside: 5 is in another range"):
        Spec.build(id_maps((0, 100, 10), (5, 200, 10)), "")
    with pytest.raises(SpecError, match=r"uid_map\[0\]\.outside: 105 is in another range"):
        Spec.build(id_maps((20, 105, 10), (0, 100, 10)), "")
    with pytest.raises(SpecError, match="beyond 4294967294"):
        IdMap(inside=1, outside=0, size=2**32 - 1)


def test_many_mounts_are_checked_in_no_time() -> None:
    mounts = [Mount(type="tmpfs", target=f"/{number}") for number in range(4096)]
    assert len(Spec(mounts=tuple(mounts)).mounts) == 4096
    with pytest.raises(SpecError, match="has 4097 items"):
        Spec(mounts=(*mounts, Mount(type="tmpfs", target="/x")))


def test_thousands_of_arguments_are_fine() -> None:
    assert len(Process(args=("x",) * 100_000).args) == 100_000


def test_a_root_is_one_of_the_known_sources() -> None:
    for source in ("base", "host", "dir:x", "tar:/a", "/a", "./a", ".."):
        assert Root(source=source).source == source
    for source in ("", "dir:", "tar:", "x", "oci", "http://x", "Base"):
        with pytest.raises(SpecError):
            Root(source=source)


def test_every_record_says_what_it_and_its_fields_are() -> None:
    for record in {Spec} | nested_records(Spec):
        assert record.__doc__
        assert all(described.doc for described in record.FIELDS.values())
