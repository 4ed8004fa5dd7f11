"""The words of `root.source`: what each means, and what the wrong ones are told."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolate.errors import RootfsError
from isolate.rootfs import prepare
from tests.support import archives

if TYPE_CHECKING:
    from pathlib import Path


def test_host_is_the_whole_tree() -> None:
    root = prepare("host")
    assert (root.kind, root.layers, root.cached) == ("host", ("/",), False)
    assert root.python is not None
    assert os.access(root.python, os.X_OK)


@pytest.mark.parametrize("source", ["dir:{}", "{}", "dir:{}/../tree"])
def test_a_directory_is_taken_as_it_is(tmp_path: Path, source: str) -> None:
    (tmp_path / "tree").mkdir()
    root = prepare(source.format(tmp_path / "tree"))
    assert root.source == f"dir:{tmp_path}/tree"
    assert (root.kind, root.layers, root.cached) == ("layers", (f"{tmp_path}/tree",), False)


@pytest.mark.parametrize("source", [".", "./", "dir:.", "dir:../here"])
def test_relative_paths_start_at_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert prepare(source).layers == (f"{tmp_path}/here",)


def test_a_link_to_a_directory_is_resolved_once(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "link").symlink_to("tree")
    assert prepare(f"dir:{tmp_path}/link").layers == (f"{tmp_path}/tree",)


def test_a_bare_path_of_a_file_is_a_tar(tmp_path: Path) -> None:
    path = archives.write(tmp_path / "a.tar", archives.file("f", b"x"))
    assert prepare(path).source == f"tar:{path}"


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        ("", "is not a root", "base, host"),
        ("basse", "is not a root", "base, host"),
        ("docker:alpine", "is not a root", "base, host"),
        ("Dir:/", "is not a root", "base, host"),
        ("dir:", "names no path", "base, host"),
        ("tar:", "names no path", "base, host"),
        ("/no/such/thing", "No such file", "exists"),
        ("./no-such-thing", "No such file", "working directory"),
        ("dir:/etc/passwd", "is not a directory", "tar:/etc/passwd"),
        ("tar:/etc", "is not a regular file", "dir:/etc"),
        ("tar:/dev/null", "is not a regular file", "base, host"),
        ("/dev/null", "is not a directory or a tar file", "base, host"),
        ("/etc/passwd/x", "Not a directory", "exists"),
        ("/a\0b", "is not a path", "base, host"),
    ],
)
def test_a_wrong_one_is_told_what_would_be_right(source: str, message: str, hint: str) -> None:
    with pytest.raises(RootfsError) as caught:
        prepare(source)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(RootfsError, match="not a regular file"):
        prepare(f"tar:{tmp_path}/fifo")


@given(st.text().filter(lambda text: text != "base"))
def test_any_text_gives_a_root_or_an_error(text: str) -> None:
    with contextlib.suppress(RootfsError):
        assert prepare(text).layers
