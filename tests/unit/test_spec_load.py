"""Spec files: what loads, what is refused and where, and that nothing else happens."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isolate.errors import SpecError
from isolate.spec import Spec, load
from tests.unit import strategies

if TYPE_CHECKING:
    from pathlib import Path

_QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def refusal(text: str | bytes, format: str | None = None) -> SpecError:  # noqa: A002 - as load has it
    with pytest.raises(SpecError) as caught:
        load.loads(text, format)
    return caught.value


# What loads


@_QUICK
@given(strategies.specs(raw_bytes=True))
def test_json_gives_back_what_was_dumped(spec: Spec) -> None:
    assert load.loads(load.dumps(spec, "json"), "json") == spec


@_QUICK
@given(strategies.specs())
def test_toml_gives_back_what_was_dumped(spec: Spec) -> None:
    assert load.loads(load.dumps(spec, "toml"), "toml") == spec


@_QUICK
@given(strategies.specs())
def test_a_dumped_document_is_recognised_without_its_format(spec: Spec) -> None:
    assert load.loads(load.dumps(spec, "json")) == spec
    assert load.loads(load.dumps(spec, "toml")) == spec


def test_json_and_toml_build_the_same_spec() -> None:
    toml = """
        require = ["kernel=separate"]
        [process]
        args = ["sh", "-c", "true"]
        env = {A = "1"}
        [limits]
        memory = "64M"
        [[mounts]]
        source = "/srv"
        target = "/data"
    """
    document = {
        "require": ["kernel=separate"],
        "process": {"args": ["sh", "-c", "true"], "env": {"A": "1"}},
        "limits": {"memory": 64 * 2**20},
        "mounts": [{"source": "/srv", "target": "/data"}],
    }
    assert load.loads(toml, "toml") == load.loads(json.dumps(document), "json")


def test_an_empty_document_is_the_default_spec() -> None:
    assert load.loads("") == load.loads("{}") == Spec()


def test_a_byte_order_mark_is_skipped() -> None:
    assert load.loads(b"\xef\xbb\xbfhostname = 'a'").hostname == "a"
    assert load.loads(b'\xef\xbb\xbf{"hostname": "a"}').hostname == "a"


def test_null_says_nothing() -> None:
    assert load.loads('{"hostname": null}') == Spec()


def test_bytes_that_are_not_text_live_in_json_and_not_in_toml() -> None:
    spec = Spec.build({"process": {"args": ["\udcff"]}}, "")
    assert load.loads(load.dumps(spec, "json"), "json") == spec
    with pytest.raises(SpecError, match=r"process\.args\[0\]: .*TOML") as caught:
        load.dumps(spec, "toml")
    assert caught.value.hint == "write it as JSON"


def test_a_dump_is_ascii_in_json_so_that_no_escape_reaches_a_terminal() -> None:
    spec = Spec.build({"annotations": {"a": "\x1b[31m\u202e"}}, "")
    assert load.dumps(spec, "json").replace("\n", "").isprintable()
    assert load.dumps(spec, "json").isascii()


def test_dumps_refuses_other_formats() -> None:
    with pytest.raises(SpecError, match="yaml"):
        load.dumps(Spec(), "yaml")


def test_parse_refuses_other_formats() -> None:
    assert "yaml" in refusal("", "yaml").message


# What is refused, and the place it names


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"mounts": [{"type": "tmpfs", "target": "/a"}, {}]}, "mounts[1].target"),
        ({"mounts": [{"source": "a", "target": "/b"}]}, "mounts[0].source"),
        ({"mounts": [{"source": "/a", "target": "b"}]}, "mounts[0].target"),
        ({"mounts": [{"source": "/a", "target": "/b/../c"}]}, "mounts[0].target"),
        ({"mounts": [{"source": "/a", "target": "/"}]}, "mounts[0].target"),
        ({"mounts": [{"source": "/a", "target": "/./"}]}, "mounts[0].target"),
        ({"limits": {"memory": -1}}, "limits.memory"),
        ({"limits": {"memory": "64X"}}, "limits.memory"),
        ({"limits": {"memory": 2**62}}, "limits.memory"),
        ({"limits": {"memory": True}}, "limits.memory"),
        ({"limits": {"cpus": 0}}, "limits.cpus"),
        ({"limits": {"pids": 1.5}}, "limits.pids"),
        ({"limits": None}, "limits"),
        ({"limits": []}, "limits"),
        ({"process": {"args": "sh"}}, "process.args"),
        ({"process": {"args": ["sh", "a\0b"]}}, "process.args[1]"),
        ({"process": {"args": ["\ud800"]}}, "process.args[0]"),
        ({"process": {"env": {"A": "x" * 2**17}}}, "process.env.A"),
        ({"process": {"env": {"A=B": "x"}}}, "process.env.A=B"),
        ({"process": {"env": {"A": 1}}}, "process.env.A"),
        ({"process": {"env": {"": "1"}}}, "process.env."),
        (
            {"process": {"rlimits": {"nofile": {"soft": 2, "hard": 1}}}},
            "process.rlimits.nofile.soft",
        ),
        ({"process": {"rlimits": {"nofiles": {"soft": 1, "hard": 1}}}}, "process.rlimits.nofiles"),
        ({"privileges": {"cap_add": ["CAP_NET_ADMIN", "CAP_ROOT"]}}, "privileges.cap_add[1]"),
        ({"isolate": ["pid"]}, "isolate[0]"),
        ({"network": {"mode": "bridge"}}, "network.mode"),
        ({"root": {"source": "bse"}}, "root.source"),
        ({"annotations": {"a\x1b[31m": "x"}}, r"annotations.a\x1b[31m"),
        ({"k" * 1000: 1}, "k" * 60 + "..."),
    ],
)
def test_a_bad_document_is_refused_at_its_place(document: dict[str, Any], path: str) -> None:
    assert refusal(json.dumps(document), "json").path == path


def test_a_mistyped_key_is_named_and_the_right_one_suggested() -> None:
    error = refusal('{"mounts": [{"sorce": "/a", "target": "/b"}]}')
    assert error.message == "mounts[0].sorce: unknown key"
    assert (error.hint or "").startswith("did you mean source? the keys here are: type, source,")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"hostname": "a", "hostname": "b"}', 'the key "hostname" stands there twice'),
        ('{"limits": {"pids": 1, "pids": 1}}', 'limits: the key "pids" stands there twice'),
        ('{"limits": {"cpus": NaN}}', "limits.cpus: NaN is not allowed"),
        ('{"limits": {"cpus": -Infinity}}', "limits.cpus: -Infinity is not allowed"),
        ('{"limits": {"cpus": 1e999}}', "limits.cpus: inf is not allowed"),
        ('{"limits": {"pids": %s}}' % ("9" * 5000), "limits.pids: a number of 5000 digits is not"),
        (
            '{"limits": {"cpus": 1.%s}}' % ("9" * 5000),
            "limits.cpus: a number of 5002 digits is not",
        ),
        ('{"a":\n  tru}', "line 2, column 3: not JSON"),
        ('{"a": "\n"}', "line 1, column 8: not JSON"),
        ("{} {}", "line 1, column 4: not JSON"),
        ("{" * 65, "line 1, column 65: is nested deeper than 64"),
        ('{"a":\n' + "[" * 100_000, "line 2, column 64: is nested deeper than 64"),
        ('{"a": ' + "[" * 63 + "]" * 63 + "}", "a: unknown key"),
        ('{"%s": "' % ("[" * 100), "line 1, column 106: not JSON: Unterminated string"),
    ],
)
def test_bad_json_is_refused_with_its_place(text: str, message: str) -> None:
    assert refusal(text, "json").message.startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[limits]\npids = 1\npids = 2", "end of document: not TOML: Cannot overwrite"),
        ("a = ", "end of document: not TOML"),
        ("a = 1\nb 2", "line 2, column 3: not TOML"),
        ("[limits]\ncpus = nan", "limits.cpus: nan is not allowed"),
        ("[limits]\ncpus = -inf", "limits.cpus: -inf is not allowed"),
        ("hostname = 1979-05-27T07:32:00Z", "hostname: a datetime is not allowed"),
        ("hostname = 'a\0b'", "line 1, column 14: not TOML"),
        ("hostname = 'a\x1b'", "line 1, column 14: not TOML"),
        ('hostname = "\\ud800"', "line 1, column 19: not TOML"),
        ("[limits]\npids = " + "9" * 5000, "line 2, column 8: a word of 5000 characters"),
        ("[limits]\npids = 0x" + "f" * 500, "limits.pids: a number of 2000 bits is not allowed"),
        ("a = " + "[" * 100_000, "line 1, column 69: is nested deeper than 64"),
        ("a = " + "{a = " * 1000, "line 1, column 325: is nested deeper than 64"),
        (".".join("a" * 100_000) + " = 1", "line 1, column 130: is nested deeper than 64"),
        ("[" + ".".join("a" * 64) + "]\n" + ".".join("b" * 60) + " = 1", "a.a.a.a"),
        ('a = """' + "[" * 100 + '"""', "a: unknown key"),
        ("a = '''" + "[" * 100 + "'''", "a: unknown key"),
        ("a = 'x' # " + "[" * 100, "a: unknown key"),
        ("a = '" + "[." * 100 + "'", "a: unknown key"),
        ('a = "\\"' + "[." * 100 + '"', "a: unknown key"),
    ],
)
def test_bad_toml_is_refused_with_its_place(text: str, message: str) -> None:
    assert refusal(text, "toml").message.startswith(message)


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b"hostname = '\xff'", "byte 12"),
        (b"\xef\xbb\xbf\xff", "byte 3"),
        ("hostname = 'a'".encode("utf-16"), "byte 0"),
        (b"\xc0\xaf", "byte 0"),
        (b"\xed\xa0\x80", "byte 0"),
        ("\udc80", "character 0"),
    ],
)
def test_what_is_not_utf8_is_refused_at_its_byte(data: str | bytes, path: str) -> None:
    assert refusal(data).path == path


@pytest.mark.parametrize("text", ["[]", "1", '"a"', "null", "true", "1.5"])
def test_a_document_that_is_no_table_is_refused(text: str) -> None:
    assert "where a table belongs" in refusal(text, "json").message


def test_a_large_document_is_refused() -> None:
    assert "1048576 bytes" in refusal("#" * (2**20 + 1)).message
    assert load.loads("#" * 2**20) == Spec()


# Nothing but a Spec or a SpecError, whatever comes

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)
_KEYS = st.sampled_from(
    [*Spec.FIELDS, "args", "env", "memory", "target", "\x1b[2J", "\n", "k" * 999]
)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A valid document in which one value, somewhere, is another."""
    document = json.loads(json.dumps(draw(strategies.documents())))
    node = document
    while isinstance(node, dict) and node and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(node)))
        if not isinstance(node[key], dict) or not node[key]:
            node[key] = draw(_JSON)
            break
        node = node[key]
    else:
        node[draw(_KEYS | st.text())] = draw(_JSON)
    return document


def only_refuses(document: Any, format: str | None = None) -> None:  # noqa: A002 - as load has it
    """Building or loading `document` gives a Spec or a SpecError with two decent lines."""
    lines = ["none"]
    try:
        if isinstance(document, (str, bytes)):
            assert isinstance(load.loads(document, format), Spec)
        else:
            assert isinstance(Spec.build(document, ""), Spec)
    except SpecError as error:
        lines = [error.message, error.hint or "none"]
    assert all(line.isprintable() and 0 < len(line) < 500 for line in lines)


@_QUICK
@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    only_refuses(data)
    only_refuses(data, "json")
    only_refuses(data, "toml")


@_QUICK
@given(st.text(alphabet="[]{}=.,\"'#\\\n a1-:_tn", max_size=120))
def test_random_syntax(text: str) -> None:
    only_refuses(text, "json")
    only_refuses(text, "toml")


@_QUICK
@given(st.dictionaries(_KEYS | st.text(max_size=9), _JSON, max_size=3))
def test_random_json_values(document: Any) -> None:
    only_refuses(json.dumps(document), "json")


@settings(_QUICK, max_examples=25)
@given(mutated())
def test_mutated_documents(document: Any) -> None:
    only_refuses(json.dumps(document), "json")


@_QUICK
@given(_JSON | st.dictionaries(_KEYS, _JSON))
def test_random_python_values(document: Any) -> None:
    only_refuses(document if not isinstance(document, str) else [document])


# Files


def test_the_suffix_says_the_format(tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_text("hostname = 'a'")
    (tmp_path / "spec.JSON").write_text('\n{"hostname": "a"}')
    (tmp_path / "spec.conf").write_text('\n{"hostname": "a"}')
    for name in ("spec.toml", "spec.JSON", "spec.conf"):
        assert load.load_file(str(tmp_path / name)).hostname == "a"
    (tmp_path / "wrong.toml").write_text('{"hostname": "a"}')
    with pytest.raises(SpecError, match="not TOML"):
        load.load_file(str(tmp_path / "wrong.toml"))


def test_a_dash_is_standard_input() -> None:
    program = "from isolate.spec import load; print(load.load_file('-').hostname)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=b'{"hostname": "a"}',
        stdout=subprocess.PIPE,
        check=True,
    )
    assert done.stdout == b"a\n"


def test_endless_standard_input_is_refused() -> None:
    program = "from isolate.spec import load; load.load_file('-')"
    with open("/dev/zero", "rb") as zeros:
        done = subprocess.run(
            [sys.executable, "-c", program], stdin=zeros, stderr=subprocess.PIPE, check=False
        )
    assert b"standard input has more than 1048576 bytes" in done.stderr


@pytest.mark.parametrize("kind", ["fifo", "directory", "device", "missing", "no-path", "forbidden"])
def test_what_is_no_readable_file_is_refused(kind: str, tmp_path: Path) -> None:
    path = str(tmp_path / "spec.toml")
    expected = "not a regular file"
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "directory":
            os.mkdir(path)
        case "device":
            path = "/dev/zero"
        case "missing":
            expected = "No such file"
        case "no-path":
            path, expected = "a\0b", "is no path"
        case "forbidden":
            path, expected = str(tmp_path / ("x" * 300)), "File name too long"
    with pytest.raises(SpecError, match=expected):
        load.load_file(path)


def test_a_huge_file_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "spec.toml"
    with path.open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(SpecError, match="more than 1048576 bytes"):
        load.load_file(str(path))


# Flags over a file


def test_merge_tables_lists_and_scalars() -> None:
    base = {
        "hostname": "a",
        "process": {"args": ["file"], "env": {"A": "1", "B": "2"}},
        "mounts": [{"type": "tmpfs", "target": "/a"}],
    }
    over = {
        "hostname": "b",
        "process": {"args": ["flag", "x"], "env": {"B": "3"}},
        "mounts": [{"type": "tmpfs", "target": "/b"}],
        "limits": {"pids": 3},
    }
    before = json.dumps([base, over])
    assert load.merge(base, over) == {
        "hostname": "b",
        "process": {"args": ["flag", "x"], "env": {"A": "1", "B": "3"}},
        "mounts": [{"type": "tmpfs", "target": "/a"}, {"type": "tmpfs", "target": "/b"}],
        "limits": {"pids": 3},
    }
    assert json.dumps([base, over]) == before


@_QUICK
@given(strategies.documents())
def test_merge_with_nothing_changes_nothing(document: dict[str, Any]) -> None:
    assert load.merge(document, {}) == document
    assert load.merge({}, document) == document


@_QUICK
@given(strategies.documents())
def test_flags_and_a_file_build_the_same_spec(document: dict[str, Any]) -> None:
    flags = {key: document[key] for key in list(document)[::2]}
    file = {key: value for key, value in document.items() if key not in flags}
    assert Spec.build(load.merge(file, flags), "") == Spec.build(document, "")


def test_merge_lets_the_checker_refuse_what_does_not_fit() -> None:
    merged = load.merge({"limits": [1], "mounts": "x"}, {"limits": {"pids": 1}, "mounts": [{}]})
    assert merged == {"limits": {"pids": 1}, "mounts": [{}]}


def test_reading_keeps_the_file_unchecked(tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_text("process.args = ['x']\nunknown = 1")
    document = load.read_document(str(tmp_path / "spec.toml"))
    assert document == {"process": {"args": ["x"]}, "unknown": 1}


def test_a_stream_of_text_is_decoded_like_a_file() -> None:
    assert load.parse(io.BytesIO(b"a = 1").getvalue()) == {"a": 1}
