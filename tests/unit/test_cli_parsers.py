"""The fast parser of `isolate run` and typer's understand every command line alike."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolate.cli import options
from isolate.cli import run as hot
from isolate.cli.app import app, main
from isolate.cli.options import LIST, RUN_OPTIONS, SWITCH, UnrecognisedError, parse

_seen: dict[str, Any] = {}


@pytest.fixture(autouse=True, scope="module")
def _full_parser_tells() -> Any:
    """What typer understood, in place of a run."""
    from isolate.cli import verbs  # noqa: F401 - registers the verbs

    def keep(values: dict[str, Any]) -> int:
        _seen.clear()
        _seen.update(values)
        return 0

    patch = pytest.MonkeyPatch()
    patch.setattr(hot, "command", keep)
    yield
    patch.undo()


def typers(words: list[str]) -> dict[str, Any] | None:
    """The full parser's values; None where it refuses."""
    _seen.clear()
    try:
        status = app(["run", *words], prog_name="isolate", standalone_mode=False)
    except Exception:  # noqa: BLE001 - typer's private copy of click exports no usage error
        return None
    assert status == 0
    return dict(_seen)


def fasts(words: list[str]) -> dict[str, Any] | None:
    try:
        return parse(words)
    except UnrecognisedError:
        return None


# No word that another option's value could be mistaken for, but values that look like options.
VALUES = st.one_of(
    st.sampled_from(["x", "a=b", "1", "", "-", "--", "-x", "--memory", "a b", "\u00e4", "=", "-1"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
)
FLAGS = [(flag, option) for option in RUN_OPTIONS for flag in option.flags]


@st.composite
def option_words(draw: st.DrawFn) -> list[str]:
    flag, option = draw(st.sampled_from(FLAGS))
    if option.kind == SWITCH:
        return [draw(st.sampled_from([flag, option.negative or flag]))]
    value = draw(VALUES)
    shapes = [[flag, value], [f"{flag}={value}"] if flag.startswith("--") else [f"{flag}{value}x"]]
    return draw(st.sampled_from(shapes))


COMMANDS = st.lists(st.sampled_from(["true", "-c", "--", "--memory", "-it", "x y", ""]), max_size=4)


@given(st.lists(option_words(), max_size=6), st.booleans(), COMMANDS)
def test_both_parsers_agree(parts: list[list[str]], dashes: bool, command: list[str]) -> None:
    words = [word for part in parts for word in part]
    words += ["--", *command] if dashes else command
    fast, full = fasts(words), typers(words)
    if fast is not None:
        assert fast == full, words


CLUSTERS = "-i -t -it -ti -e -eA=1 -vx:/y A -- true -itv -m64M -m 64M -im5 --tty --no-stdin".split()


@given(st.lists(st.sampled_from(CLUSTERS), max_size=7))
def test_clusters_of_short_options(words: list[str]) -> None:
    fast = fasts(words)
    if fast is not None:
        assert fast == typers(words), words


@given(st.lists(st.text(max_size=6), max_size=6))
def test_no_command_line_is_a_traceback(words: list[str]) -> None:
    """Whatever is typed: understood, or left to the full parser."""
    fasts(words)


@pytest.mark.parametrize("option", RUN_OPTIONS, ids=lambda option: option.flags[0])
def test_each_option_in_each_spelling(option: options.Option) -> None:
    for flag in option.flags:
        if option.kind == SWITCH:
            assert fasts([flag, "true"]) == typers([flag, "true"]) == {
                option.dest: True, "args": ["true"]}  # fmt: skip
            continue
        value: Any = ["v"] if option.kind == LIST else "v"
        expected = {option.dest: value, "args": ["true"]}
        shapes = [[flag, "v"], [f"{flag}=v"] if flag.startswith("--") else [f"{flag}v"]]
        for shape in shapes:
            assert fasts([*shape, "true"]) == typers([*shape, "true"]) == expected


@pytest.mark.parametrize("option", RUN_OPTIONS, ids=lambda option: option.flags[0])
def test_the_last_value_wins_and_lists_grow(option: options.Option) -> None:
    if option.kind == SWITCH:
        return
    words = [option.flags[0], "1", option.flags[0], "2", "--", "true"]
    expected = ["1", "2"] if option.kind == LIST else "2"
    fast, full = fasts(words), typers(words)
    assert fast is not None
    assert fast == full
    assert fast[option.dest] == expected


def test_help_comes_from_the_same_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == 0
    text = capsys.readouterr().out
    assert [option.flags[0] for option in RUN_OPTIONS if option.flags[0] not in text] == []


@pytest.mark.parametrize("words", [["bogus"], ["run", "--bogus"], ["ps", "--bogus"], ["kill"]])
def test_a_wrong_command_line_is_two_lines(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == (125 if words[0] == "run" else 2)
    said = capsys.readouterr()
    assert said.out == ""
    first, second = said.err.splitlines()
    assert first.startswith("error: ")
    assert second.startswith("hint: ")
