"""`isolate plugin new`: names that can be a package, and everything else refused in one line."""

from __future__ import annotations

import ast
import tomllib
from typing import TYPE_CHECKING

import pytest

from isolate.cli.scaffold import Names, write
from isolate.errors import IsolateError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "package", "distribution", "class_name"),
    [
        ("box", "isolate_box", "isolate-backend-box", "BoxBackend"),
        ("my-box", "isolate_my_box", "isolate-backend-my-box", "MyBoxBackend"),
        ("my_box2", "isolate_my_box2", "isolate-backend-my-box2", "MyBox2Backend"),
        ("class", "isolate_class", "isolate-backend-class", "ClassBackend"),
    ],
)
def test_what_a_name_makes(name: str, package: str, distribution: str, class_name: str) -> None:
    names = Names(name)
    assert (names.package, names.distribution, names.class_name) == (
        package,
        distribution,
        class_name,
    )


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "-x", "x-", "_x", "x_", "x--y", "X", "1x", "x y", "x\ny", "x\0", "x.y", "../x"),
        *("x/y", "x;y", "$(x)", '"x"', "ü", "x٣", "x" * 41),
    ],
)
def test_hostile_names_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(IsolateError, match="is no name for a backend") as caught:
        write(name, str(tmp_path / "made"))
    assert caught.value.message.isprintable()
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["namespaces", "crun"])
def test_a_backends_name_is_taken(name: str, tmp_path: Path) -> None:
    with pytest.raises(IsolateError, match=f"isolate-runtime has a backend {name} already"):
        write(name, str(tmp_path / "made"))


def test_a_packages_name_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`a-b` is another name than `a_b`, and the same package."""
    (tmp_path / "isolate_a_b").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(IsolateError, match="package isolate_a_b is installed already"):
        Names("a-b")


def test_a_directory_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(IsolateError, match="is not empty"):
        write("box", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    with pytest.raises(IsolateError, match="File exists"):
        write("box", str(tmp_path / "mine"))


def test_no_mark_is_left_in_what_is_written(tmp_path: Path) -> None:
    target, files = write("my-box", str(tmp_path / "made"))
    assert "isolate_my_box/backend.py" in files
    assert ".gitignore" in files
    for file in files:
        text = (tmp_path / "made" / file).read_text()
        assert not [word for word in text.split() if word.count("@") > 1], file
        if file.endswith(".py"):
            ast.parse(text)
    project = tomllib.loads((tmp_path / "made" / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["isolate_runtime"] == {
        "my-box": "isolate_my_box.plugin"
    }
    assert target == str(tmp_path / "made")
