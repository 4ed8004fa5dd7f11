"""LXC's configuration: no value of a spec becomes a key, and none is changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolate_lxc.config import Config

# What a spec's texts may hold: no NUL, no lone surrogates.
TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"))


def parsed(text: str) -> list[tuple[str, str]]:
    """The rows of a file as LXC reads them: blanks at the ends go, then one pair of quotes."""
    rows = [line.partition("=") for line in text.split("\n") if line.strip()]
    return [(key.strip(), stripped(value)) for key, _, value in rows]


def stripped(value: str) -> str:
    value = value.strip()
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def test_plain_values_stand_in_the_file_in_their_order() -> None:
    config = Config()
    config.add("lxc.uts.name", "box")
    config.add("lxc.no_new_privs", 1)
    assert config.text() == "lxc.uts.name = box\nlxc.no_new_privs = 1\n"
    assert config.defines() == []


@pytest.mark.parametrize("value", ["A=b\nlxc.cap.keep = all", "A=\r", "A=\x7f", "A=b\x0bc"])
def test_a_value_that_no_line_can_hold_goes_to_the_command_line(value: str) -> None:
    config = Config()
    config.add("lxc.environment", value)
    assert config.text() == ""
    assert config.defines() == ["--define", f"lxc.environment={value}"] or config.defines() == [
        "--define",
        f'lxc.environment="{value}"',
    ]


@pytest.mark.parametrize("value", ["A=b  ", '"A=b"', "'A=b'", "  A=b", '"'])
def test_what_lxc_would_strip_is_quoted(value: str) -> None:
    config = Config()
    config.add("lxc.environment", value)
    assert parsed(config.text()) == [("lxc.environment", value)]


@given(TEXTS)
def test_every_value_arrives_and_is_one_row(value: str) -> None:
    config = Config()
    config.add("lxc.environment", f"A={value}")
    lines = config.text().split("\n")
    defines = config.defines()
    if defines:
        assert lines == [""]
        key, _, told = defines[1].partition("=")
        assert (key, stripped(told) if told[:1] == '"' else told) == (
            "lxc.environment",
            f"A={value}",
        )
    else:
        assert len(lines) == 2
        assert parsed(lines[0]) == [("lxc.environment", f"A={value}")]


def test_paths_of_mounts_are_fields_of_fstab() -> None:
    config = Config()
    config.add_mount("/run/x", "/a b\tc\\d\ne", "none", "rbind", "create=dir")
    assert config.text() == (
        "lxc.mount.entry = /run/x a\\040b\\011c\\134d\\012e none rbind,create=dir 0 0\n"
    )


def test_a_path_that_getmntent_would_cut_is_refused() -> None:
    config = Config()
    with pytest.raises(ValueError, match="too long"):
        config.add_mount("/run/x", "/" + "a" * 4000, "none", "rbind")
