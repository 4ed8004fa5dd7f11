"""Where the state directory lies, and which ones are refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from isolate.errors import StateError
from isolate.state import root
from isolate.state.ids import check_id, is_id, new_id
from isolate.state.store import Store

if TYPE_CHECKING:
    from pathlib import Path


def test_the_argument_beats_the_variable() -> None:
    environ = {"ISOLATE_ROOT": "/b", "XDG_RUNTIME_DIR": "/c"}
    assert root.find("/a/../x", environ) == "/x"
    assert root.find(None, environ) == "/b"
    assert root.find("rel", {}) == f"{os.getcwd()}/rel"


@pytest.mark.parametrize(
    ("uid", "environ", "expected"),
    [
        (0, {"XDG_RUNTIME_DIR": "/c"}, "/run/isolate"),
        (0, {"ISOLATE_ROOT": ""}, "/run/isolate"),
        (7, {"XDG_RUNTIME_DIR": "/c/"}, "/c/isolate"),
        (7, {}, "/tmp/isolate-7"),
        (7, {"XDG_RUNTIME_DIR": ""}, "/tmp/isolate-7"),
        (7, {"XDG_RUNTIME_DIR": "relative"}, "/tmp/isolate-7"),
    ],
)
def test_the_default(
    monkeypatch: pytest.MonkeyPatch, uid: int, environ: dict[str, str], expected: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert root.find(None, environ) == expected


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(StateError):
        root.find(name, {})


def test_what_is_made_is_ours_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    before = os.umask(0)
    try:
        Store(str(path)).reserve("x").release()
    finally:
        os.umask(before)
    for directory in (path, path / "containers", path / "containers" / "x", path / "trash"):
        assert directory.stat().st_mode & 0o777 == 0o700
    for file in (path / "lock", path / "containers" / "x" / "lock"):
        assert file.stat().st_mode & 0o777 == 0o600


def test_looking_makes_nothing(tmp_path: Path) -> None:
    store = Store(f"{tmp_path}/none")
    assert store.list() == ()
    with pytest.raises(StateError):
        store.get("x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777])
def test_others_may_write(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "state"
    path.mkdir()
    path.chmod(mode)
    with pytest.raises(StateError, match="others may write") as caught:
        Store(str(path))
    assert "chmod 700" in str(caught.value.hint)


def test_a_link_or_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "file").write_text("")
    for name in ("link", "dangling", "file"):
        with pytest.raises(StateError) as caught:
            Store(f"{tmp_path}/{name}")
        assert caught.value.hint is not None
    assert list((tmp_path / "real").iterdir()) == []
    assert not (tmp_path / "nowhere").exists()


def test_a_link_on_the_way_is_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert Store(f"{tmp_path}/link/state").root == os.path.realpath(f"{tmp_path}/real/state")


def test_a_parent_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="can't"):
        Store(f"{tmp_path}/file/state").reserve("x")


@pytest.mark.parametrize("name", ["a", "A.b-c_d", "9", "x" * 64, "a.b.c"])
def test_ids(name: str) -> None:
    assert check_id(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "-a",
        "_a",
        ".a",
        "a..b",
        "a/b",
        "../../etc",
        "a b",
        "a\n",
        "a\x00",
        "é",
        "x" * 65,
        "٣",
        "a:b",
        "a\x1b[31m",
        "*",
    ],
)
def test_what_is_no_id(name: str, tmp_path: Path) -> None:
    assert not is_id(name)
    store = Store(f"{tmp_path}/state")
    with pytest.raises(StateError):
        store.reserve(name)
    with pytest.raises(StateError):
        store.entry(name)
    with pytest.raises(StateError) as caught:
        store.get(name)
    assert caught.value.message.isprintable()
    assert not any((tmp_path / "state" / "containers").iterdir())


def test_new_ids_differ() -> None:
    ids = {new_id() for _ in range(200)}
    assert len(ids) == 200
    assert all(is_id(name) for name in ids)
