"""The runner of documentation pages: what it reads from a page, and what it lets pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.pages import Command, File, Shell, matches, run, steps

if TYPE_CHECKING:
    from pathlib import Path

PAGE = """\
# A page

```toml title="a.toml"
key = 1
```

```console
$ cat a.toml
key = 1
$ echo one \\
> two
one ...
```

```sh
rm -rf /
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def _shell(directory: Path) -> Shell:
    return Shell(["bash", "--norc"], {"PATH": "/usr/bin:/bin"}, directory)


def test_steps_are_files_and_commands_in_order(page: Path) -> None:
    assert steps(page) == [
        File("a.toml", "key = 1\n", 4),
        Command("cat a.toml", "key = 1\n", 8),
        Command("echo one \\\ntwo", "one ...\n", 10),
    ]


@pytest.mark.parametrize("text", ["```console\n$ true\n", "```console\noutput\n$ true\n```\n"])
def test_damaged_pages_are_errors(tmp_path: Path, text: str) -> None:
    (tmp_path / "page.md").write_text(text)
    with pytest.raises(ValueError, match=r"line|no end"):
        steps(tmp_path / "page.md")


@pytest.mark.parametrize(
    ("promised", "actual"),
    [
        ("", ""),
        ("a\n", "a\n"),
        ("a\n", "a"),
        ("a ... c\n", "a b c\n"),
        ("...\nc\n", "a\nb\nc\n"),
        ("a\n...\n", "a\n"),
        ("NAME   AGE\n", "NAME       AGE  \n"),
    ],
)
def test_outputs_that_are_as_promised(promised: str, actual: str) -> None:
    assert matches(promised, actual)


@pytest.mark.parametrize(
    ("promised", "actual"),
    [
        ("", "a\n"),
        ("a\n", ""),
        ("a\n", "a\nb\n"),
        ("a ... c\n", "a b\nc\n"),
        ("a.b\n", "axb\n"),
        ("  a\n", "a\n"),
        ("a b\n", "a  b\n"),
    ],
)
def test_outputs_that_are_not(promised: str, actual: str) -> None:
    assert not matches(promised, actual)


def test_a_right_page_passes(page: Path, tmp_path: Path) -> None:
    with _shell(tmp_path) as shell:
        assert run(page, shell, tmp_path) == []


def test_a_wrong_output_is_named_with_its_line(page: Path, tmp_path: Path) -> None:
    page.write_text(PAGE.replace("key = 1\n$", "key = 2\n$"))
    with _shell(tmp_path) as shell:
        wrong = run(page, shell, tmp_path)
    assert len(wrong) == 1
    assert wrong[0].startswith("page.md:8: $ cat a.toml\npromised:\nkey = 2\n")


def test_variables_statuses_and_errors_last(tmp_path: Path) -> None:
    with _shell(tmp_path) as shell:
        assert shell.run("x=5; false") == ""
        assert shell.run("echo $? $x") == "1 5\n"
        assert shell.run("echo error >&2; printf out") == "error\nout"
        assert shell.run("cat") == ""


def test_a_command_that_ends_the_shell_is_an_error(tmp_path: Path) -> None:
    with _shell(tmp_path) as shell, pytest.raises(TimeoutError, match="ended the shell"):
        shell.run("exit 3")
