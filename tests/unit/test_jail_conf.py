"""jail.conf(5): the manual page's constructs, wrong files with their place, hostile ones."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolate_jail import conf, jails


def load(text: str) -> dict[str, jails.Definition]:
    return jails.resolve(conf.parse(text.encode(), "jail.conf"))


def only(text: str) -> dict[str, object]:
    (definition,) = load(text).values()
    return definition.jail.said()


# What the manual page's examples are made of: defaults for all, variables, lists, wildcards.
EXAMPLE = """
# Defaults for every jail.
exec.start = "/bin/sh /etc/rc";
exec.stop = '/bin/sh /etc/rc.shutdown jail';
exec.clean;
mount.devfs;
mount.nodevfs;

// Variables, and the name of the jail in one.
$parentdomain = "example.com";
path = "/var/jail/$name";
host.hostname = "$name.$parentdomain";

/* Whoever is below "front" has a network
   of its own. */
front.* { vnet; }

front {
    ip4.addr = 10.1.1.1, 10.1.1.2;
    ip4.addr += 10.1.1.3;
    children.max = 5;
}

front.cache { path = /var/cache/${name}; persist; allow.nomount; }

mail {
    host.hostname = "smtp.$parentdomain";
    ip4.addr = "em0|192.168.1.2/24";
    securelevel = 3;
    depend = front;
    allow.raw_sockets = "true";
}
"""


def test_the_example() -> None:
    found = load(EXAMPLE)
    assert list(found) == ["front", "front.cache", "mail"]
    front, cache, mail = (definition.jail for definition in found.values())
    assert front["path"] == "/var/jail/front"
    assert front["host.hostname"] == "front.example.com"
    assert front["ip4.addr"] == ("10.1.1.1", "10.1.1.2", "10.1.1.3")
    assert front["exec.start"] == ("/bin/sh /etc/rc",)
    assert front["exec.clean"] is True
    assert front["mount.devfs"] is False  # the later statement wins
    assert front["vnet"] == "inherit"
    assert cache["vnet"] == "new"
    assert cache["path"] == "/var/cache/front.cache"
    assert cache["persist"] is True
    assert cache["allow.mount"] is False
    assert mail["host.hostname"] == "smtp.example.com"
    assert mail["securelevel"] == 3
    assert mail["allow.raw_sockets"] is True
    assert mail["ip4"] == "new"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('meta = "a b";', "a b"),
        ("meta = 'no $variable';", "no $variable"),
        ('meta = "tab\\there";', "tab\there"),
        ('meta = "\\x41\\102";', "AB"),
        ('meta = "say \\"x\\"";', 'say "x"'),
        ("meta = a\\ b;", "a b"),
        ('meta = a"b c"d;', "ab cd"),
        ("$x = 1; meta = v${x}w;", "v1w"),
        ("meta = ${name};", "j"),
        ('$a = "1"; $b = "$a$a"; meta = "$b$b";', "1111"),
        ("meta = a/*b*/;", "a/*b*/"),  # a comment begins no word's rest
        ("meta = http://x#y\n;", "http://x"),
        ("meta = a+b;", "a+b"),
    ],
)
def test_strings(text: str, value: str) -> None:
    assert only(f"j {{ {text} }}")["meta"] == value


def test_a_variable_may_hold_a_list() -> None:
    assert only("j { $a = 10.0.0.1, 10.0.0.2; ip4.addr = $a; }")["ip4.addr"] == (
        "10.0.0.1",
        "10.0.0.2",
    )


def test_a_parameter_is_a_variable() -> None:
    said = only('j { path = /srv/j; exec.prestart = "mkdir -p $path ${host.hostname}"; }'
                .replace("{ path", "{ host.hostname = h; path"))  # fmt: skip
    assert said["exec.prestart"] == ("mkdir -p /srv/j h",)


def test_blocks_in_blocks_are_children() -> None:
    found = load("a { securelevel = 1; b { securelevel = 2; } persist; }")
    assert {name: row.jail["securelevel"] for name, row in found.items()} == {"a": 1, "a.b": 2}
    assert found["a"].jail["persist"] is True


def test_a_wildcard_is_no_jail() -> None:
    assert load("* { persist; }") == {}


def test_switches() -> None:
    said = only("j { allow.noset_hostname; allow.chflags = 1; allow.mlock = false; vnet; }")
    assert said == {
        "allow.set_hostname": False,
        "allow.chflags": True,
        "allow.mlock": False,
        "vnet": "new",
    }


def test_dependencies_come_first() -> None:
    found = load("c { depend = b; } b { depend = a; } a { } a.child { } other { }")
    assert jails.ordered(["c", "a.child"], found).index("a") == 0
    assert jails.ordered(["c"], found) == ["a", "b", "c"]


def test_dependencies_in_a_circle_are_told() -> None:
    found = load("a { depend = b; } b { depend = a; }")
    with pytest.raises(conf.JailConfError, match="depend on one another"):
        jails.ordered(["a"], found)
    with pytest.raises(conf.JailConfError, match="isn't defined"):
        jails.ordered(["c"], load("c { depend = nobody; }"))


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a {", 1, 4, "ends too early"),
        ("a {\n  path = 'x;\n}", 2, 10, "quote"),
        ("a {\n  path = ;;\n}", 2, 11, "unexpected"),
        ("a { persist }", 1, 13, "unexpected"),
        ("}", 1, 1, "unexpected"),
        ("a { exec.start = /bin/sh /etc/rc; }", 1, 26, "unexpected"),
        ("a {\n\tpath = $nope;\n}", 2, 9, "$nope is not defined"),
        ("a { $x = $y; $y = $x; path = $x; }", 1, 19, "defined by itself"),
        ("a { pth = /x; }", 1, 5, "no such jail parameter"),
        ("a { osrelease = 14; }", 1, 5, "don't have it"),
        ("a { zfs.mount_snapshot = 1; }", 1, 5, "don't have it"),
        ("a { securelevel = 4; }", 1, 5, "not allowed"),
        ("a { path = /x, /y; }", 1, 5, "one value"),
        ("a { $x = 1, 2; meta = v$x; }", 1, 23, "list"),
        ("a { $x; }", 1, 5, "no value"),
        ("$n { }", 1, 1, "name"),
        (".include 'other';", 1, 10, "unexpected"),
        ("a { ip4 = disable; ip4.addr = 10.0.0.1; }", 1, 1, "contradicts"),
        ('a { meta = "\\377"; }', 1, 12, "ASCII"),
        ("a { jid = 1; dying; }", 1, 1, "read only"),
    ],
)
def test_wrong_files_are_told_with_their_place(
    text: str, line: int, column: int, words: str
) -> None:
    with pytest.raises(conf.JailConfError) as caught:
        load(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert words in caught.value.message
    assert caught.value.hint


def test_an_include_has_a_hint() -> None:
    with pytest.raises(conf.JailConfError) as caught:
        load(".include '/etc/jail.conf.d/*.conf';")
    assert "-f" in str(caught.value.hint)


def test_hostile_files() -> None:
    doubling = "".join(f'$v{n + 1} = "$v{n}$v{n}";' for n in range(30))
    hostile = [
        b"x" * (conf.MAX_BYTES + 1),
        b"a {" * 10000 + b"}" * 10000,
        f'a {{ $v0 = "xxxxxxxx"; {doubling} meta = $v30; }}'.encode(),
        b"a { \xff = 1; }",
        b"a { path = /\0; }",
        b"a { ip4.addr = " + b"10.0.0.1," * 5000 + b"10.0.0.1; }",
        b"persist;" * (conf.MAX_STATEMENTS + 1),
        b"a { mount += x; }" + b"a { mount += x; }" * 1001,
    ]
    for data in hostile:
        with pytest.raises(conf.JailConfError):
            jails.resolve(conf.parse(data, "hostile"))


PIECES = st.sampled_from(
    [
        *"a b * { } ; = += , $x ${y} \" ' \\ # // /* */ path persist ip4.addr $name".split(),
        *("\n", " ", "\t", "\\x4", "vnet;", "a { path = /$name; }", ".include", "jid = 7;"),
    ]
)


@given(st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=40).map(
    lambda words: " ".join(words).encode())))  # fmt: skip
def test_whatever_comes_is_read_or_told(data: bytes) -> None:
    with contextlib.suppress(conf.JailConfError):
        jails.resolve(conf.parse(data, "fuzz"))


@given(st.lists(PIECES, max_size=25))
def test_glued_pieces_too(words: list[str]) -> None:
    with contextlib.suppress(conf.JailConfError):
        jails.resolve(conf.parse("".join(words).encode(), "fuzz"))
