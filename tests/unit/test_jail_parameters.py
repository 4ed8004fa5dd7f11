"""The table of jail parameters: checking, refusing, narrowing, and the page made from it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from isolate.errors import IsolateError, SpecError, UnsupportedError
from isolate.spec.model import Spec
from isolate_jail import fstab, parameters, reference, registry, rights, settings
from tests.support import source


def jail(**said: object) -> parameters.Jail:
    return parameters.read({name.replace("__", "."): value for name, value in said.items()})


def spec(**values: Any) -> Spec:
    return Spec.build({"process": {"args": ["true"]}, **values}, "")


def test_the_reference_is_the_table() -> None:
    path = source.ROOT / "docs" / "reference" / "jail.md"
    assert path.read_text() == reference.page(), "python -m isolate_jail.reference > that file"


def test_every_row_has_a_mark_and_a_reason() -> None:
    for name, mark, how, _default in parameters.rows():
        assert mark in ("U", "R", "X"), name
        assert how, name


@pytest.mark.parametrize("name", parameters.TABLE)
def test_defaults_are_of_their_kind(name: str) -> None:
    parameter = parameters.TABLE[name]
    if parameter.default is not None:
        assert parameter.kind.check(parameter.default, name) == parameter.default


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("allow.mlock", "1", True),
        ("allow.mlock", True, True),
        ("allow.mlock", "", True),
        ("allow.mlock", "false", False),
        ("allow.nomlock", True, None),
        ("securelevel", "-1", -1),
        ("vnet", "1", "new"),
        ("ip4", "disable", "disable"),
        ("ip4.addr", "10.0.0.1, 10.0.0.2/24", ("10.0.0.1", "10.0.0.2/24")),
        ("ip4.addr", ["eth0|10.0.0.1"], ("eth0|10.0.0.1",)),
        ("path", "/a//b/", "/a/b"),
        ("exec.start", "a, b", ("a, b",)),
    ],
)
def test_values(name: str, given: object, value: object) -> None:
    said = parameters.read({name: given}).said()
    if value is None:
        assert said == {"allow.mlock": False}
    else:
        assert said[name] == value


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("allow.mlock", "maybe"),
        ("securelevel", "4"),
        ("securelevel", "1.5"),
        ("jid", "99999999999"),
        ("ip4.addr", "10.0.0"),
        ("ip4.addr", "0.0.0.0"),  # noqa: S104 - no single address
        ("ip4.addr", "10.0.0.1/33"),
        ("ip6.addr", "10.0.0.1"),
        ("path", "relative"),
        ("path", "/a/../b"),
        ("meta", "a\0b"),
        ("exec.start", ["x"] * 1000),
        ("parent", "1"),
        ("nonsense", "1"),
    ],
)
def test_wrong_values(name: str, given: object) -> None:
    with pytest.raises(SpecError):
        parameters.read({name: given})


@pytest.mark.parametrize("name", ["osrelease", "zfs.mount_snapshot", "linux.osname", "allow.nfsd"])
def test_what_linux_has_not_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedError, match="don't have it"):
        parameters.read({name: "1"})


def row(**said: object) -> registry.Row:
    return registry.Row(
        jid=1,
        name="up",
        parent=0,
        path="/",
        hostname="up",
        parameters=jail(**said).said(),
        addresses={},
    )


def test_a_child_gets_no_more_than_its_parent() -> None:
    above = row(children__max=3, securelevel=2, allow__set_hostname=0, allow__mlock=1)
    made = registry.narrowed(above, jail(), children=0)
    assert made["securelevel"] == 2
    assert made["allow.set_hostname"] is False
    assert made["allow.mlock"] is False  # what a parent has, a child doesn't get by itself
    assert made["children.max"] == 0
    for wrong in ({"securelevel": 1}, {"allow__set_hostname": 1}, {"children__max": 3}):
        with pytest.raises(UnsupportedError):
            registry.narrowed(above, jail(**wrong), children=0)
    assert registry.narrowed(above, jail(allow__mlock=1), children=2)["allow.mlock"] is True


def test_children_are_counted() -> None:
    with pytest.raises(UnsupportedError, match="may have 2"):
        registry.narrowed(row(children__max=2), jail(), children=2)


def test_a_row_survives_the_file() -> None:
    before = row(ip4__addr="10.0.0.1", meta="x")
    after = registry.Row(**json.loads(json.dumps(before.to_json())))
    assert after.jail.said() == before.jail.said()


def test_without_the_super_user_there_is_no_capability() -> None:
    assert rights.capability_mask(spec(), jail(), shared_network=False) == 0


@pytest.mark.parametrize(("level", "gone"), [(1, (9, 16, 17)), (2, (25,)), (3, (12,))])
def test_securelevels_take_capabilities_away(level: int, gone: tuple[int, ...]) -> None:
    asked = spec(privileges={"capabilities": ["CAP_NET_ADMIN", "CAP_SYS_TIME", "CAP_SYS_MODULE"]})
    mask = rights.capability_mask(asked, jail(securelevel=level), shared_network=False)
    assert not any(mask >> number & 1 for number in gone)


@pytest.mark.parametrize(
    ("said", "network", "root", "shared", "disabled"),
    [
        ({}, None, True, False, set()),
        ({}, "host", True, True, set()),
        ({"ip6": "disable"}, "host", True, True, {"ip6"}),
        ({"ip4": "inherit"}, None, False, True, {"ip6"}),
        ({"ip4.addr": "10.0.0.1"}, None, True, True, {"ip6"}),
        ({"ip4.addr": "10.0.0.1"}, None, False, False, set()),
        ({"vnet": "new", "ip4": "disable"}, None, True, False, {"ip4"}),
    ],
)
def test_which_network(
    said: dict[str, object], network: str | None, root: bool, shared: bool, disabled: set[str]
) -> None:
    asked = spec(network={"mode": network} if network else {})
    found = settings.network(asked, parameters.read(said), root=root)
    assert found.shared is shared
    assert found.disabled == disabled


@pytest.mark.parametrize(
    "said",
    [
        {"vnet": "new", "ip4.addr": "10.0.0.1"},
        {"vnet": "new", "ip4": "inherit"},
    ],
)
def test_networks_that_contradict(said: dict[str, object]) -> None:
    with pytest.raises(SpecError):
        settings.network(spec(), parameters.read(said), root=True)


@pytest.mark.parametrize(
    "said",
    [
        {"mac.label": "x", "persist": "1"},
        {"devfs_ruleset": "5"},
        {"path": "/elsewhere"},
        {"allow.mount": "1"},
        {"allow.mount.tmpfs": "1", "enforce_statfs": "1", "allow.suser": "1"},
        {"allow.mount": "1", "enforce_statfs": "1"},
    ],
)
def test_what_this_version_cannot_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(IsolateError):
        settings.refuse(spec(), parameters.read(said), root=True)


def test_programs_around_the_program() -> None:
    made = settings.program(spec(), parameters.read({"exec.start": ["a 'b'", "c"]}))
    assert made[:2] == ("/bin/sh", "-c")
    assert made[3:] == ("jail", "true")
    assert re.findall(r"-c '(.+?)' \|\|", made[2]) == ["a '\\''b'\\''", "c"]


def test_fstab_lines() -> None:
    lines = [
        "/usr/src /jails/j/usr/src nullfs ro 0 0",
        "tmpfs /jails/j/a\\040b tmpfs rw,size=1m,mode=700 0 0",
        "proc /jails/j/proc procfs rw 0 0",
    ]
    bind, tmpfs = fstab.mounts(parameters.read({"mount": lines}), "/jails/j")
    assert (bind.source, bind.target, bind.readonly) == ("/usr/src", "/usr/src", True)
    assert (tmpfs.target, tmpfs.size, tmpfs.mode) == ("/a b", 2**20, 0o700)


@pytest.mark.parametrize(
    "line",
    [
        "x /elsewhere/a tmpfs rw 0 0",
        "x /jails/j/../a tmpfs rw 0 0",
        "x /jails/j/a linprocfs rw 0 0",
        "x /jails/j/a tmpfs rw,suid 0 0",
        "x /jails/j/a",
    ],
)
def test_fstab_lines_that_are_refused(line: str) -> None:
    with pytest.raises(IsolateError):
        fstab.mounts(parameters.read({"mount": [line]}), "/jails/j")


def test_every_parameter_is_tried_from_inside_somewhere() -> None:
    """By its name; or by the last part of it, where a test has a table of those."""
    tests = source.ROOT / "tests"
    files = [*tests.glob("linux/test_jail_*.py"), *tests.glob("privileged/test_jail_*.py")]
    text = "".join(path.read_text() for path in files)
    untried = [
        name
        for name in parameters.TABLE
        if f"{name}=" not in text
        and f'"{name.rpartition(".")[2]}"' not in text
        and not re.search(rf"(^|[\s;\"]){re.escape(name)}[\s;\"=]", text)
    ]
    assert untried == []
