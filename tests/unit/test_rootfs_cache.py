"""The cache directory: where it is, whose it may be, how layers come, stay and go."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from isolate.errors import RootfsError
from isolate.rootfs import cache, prepare
from isolate.rootfs.gc import gc, prune
from tests.support import archives


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOLATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def layer(tmp_path: Path, name: str) -> str:
    return archives.write(tmp_path / name, archives.file(name, b"x"))


@pytest.mark.parametrize(
    ("environment", "uid", "expected"),
    [
        ({"ISOLATE_CACHE": "/x/y"}, 0, "/x/y"),
        ({"ISOLATE_CACHE": "/x/y"}, 1000, "/x/y"),
        ({"XDG_CACHE_HOME": "/xdg", "HOME": "/h"}, 0, "/var/cache/isolate"),
        ({"XDG_CACHE_HOME": "/xdg", "HOME": "/h"}, 1000, "/xdg/isolate"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, 1000, "/h/.cache/isolate"),
        ({"XDG_CACHE_HOME": "", "HOME": "/h"}, 1000, "/h/.cache/isolate"),
        ({"ISOLATE_CACHE": "", "HOME": "/h"}, 1000, "/h/.cache/isolate"),
    ],
)
def test_where_it_is(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], uid: int, expected: str
) -> None:
    monkeypatch.delenv("ISOLATE_CACHE")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert cache.location() == expected


def test_it_is_made_for_its_owner(own_cache: Path) -> None:
    before = os.umask(0)
    try:
        assert cache.directory() == str(own_cache)
    finally:
        os.umask(before)
    expected = 0o711 if os.geteuid() == 0 else 0o700
    for path in (own_cache, own_cache / "base", own_cache / "tar"):
        assert stat.S_IMODE(path.stat().st_mode) == expected
    assert stat.S_IMODE((own_cache / "partial").stat().st_mode) == 0o700


def test_one_that_others_could_write_to_is_refused(own_cache: Path) -> None:
    own_cache.mkdir()
    for mode in (0o777, 0o1777, 0o775, 0o702):
        own_cache.chmod(mode)
        with pytest.raises(RootfsError, match="writable by others") as caught:
            cache.directory()
        assert "chmod go-w" in (caught.value.hint or "")


def test_one_of_another_user_is_refused(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_cache.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(RootfsError, match="belongs to user"):
        cache.directory()


def test_a_file_is_refused(own_cache: Path) -> None:
    own_cache.touch()
    with pytest.raises(RootfsError, match="not a directory"):
        cache.directory()


def test_one_that_can_not_be_made_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOLATE_CACHE", "/proc/none/cache")
    with pytest.raises(RootfsError, match="can't be used") as caught:
        cache.directory()
    assert "ISOLATE_CACHE" in (caught.value.hint or "")


def test_a_cache_that_was_emptied_by_hand_works_again(tmp_path: Path, own_cache: Path) -> None:
    path = layer(tmp_path, "a")
    first = prepare(path).layers
    cache.remove_tree(str(own_cache / "tar"))
    (own_cache / "partial").rmdir()
    assert prepare(path).layers == first
    assert os.listdir(first[0]) == ["a"]


def test_what_is_not_published_leaves_nothing(own_cache: Path) -> None:
    def fail() -> None:
        with cache.Partial(cache.directory()) as partial:
            (Path(partial.root) / "half").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert os.listdir(own_cache / "partial") == []


def test_the_first_of_two_equal_layers_stays(own_cache: Path) -> None:
    paths = []
    for name in ("first", "second"):
        with cache.Partial(cache.directory()) as partial:
            (Path(partial.root) / name).touch()
            paths.append(partial.publish("tar", "key"))
    assert paths[0] == paths[1] == f"{own_cache}/tar/key/root"
    assert os.listdir(paths[0]) == ["first"]
    assert os.listdir(own_cache / "partial") == []


def test_a_living_maker_is_left_alone() -> None:
    directory = cache.directory()
    with cache.Partial(directory) as first, cache.Partial(directory) as second:
        assert gc() == []
        assert os.path.isdir(first.root)
        assert os.path.isdir(second.root)


def test_gc_removes_what_the_dead_left_and_keeps_layers(tmp_path: Path, own_cache: Path) -> None:
    root = prepare(layer(tmp_path, "a"))
    (own_cache / "partial/dead/root").mkdir(parents=True)
    (own_cache / "tar/gone.index").symlink_to("nowhere")
    (own_cache / "tar/x.index.0123").symlink_to("half-written")
    (own_cache / "base/old/root").mkdir(parents=True)
    (own_cache / "base/broken.index").write_bytes(b"\xff\x00")
    removed = [os.path.relpath(path, own_cache) for path in gc()]
    assert sorted(removed) == [
        "base/broken.index", "base/old", "partial/dead", "tar/gone.index", "tar/x.index.0123"
    ]  # fmt: skip
    assert os.path.isdir(root.layers[0])
    assert gc() == []


def test_prune_keeps_what_is_in_use(tmp_path: Path) -> None:
    used, unused = (prepare(layer(tmp_path, name)) for name in ("a", "b"))
    held = used.hold()
    try:
        prune()
        assert os.listdir(used.layers[0]) == ["a"]
        assert not os.path.exists(unused.layers[0])
        assert prepare(f"{tmp_path}/a").layers == used.layers
    finally:
        os.close(held)
    prune()
    assert not os.path.exists(used.layers[0])


def test_a_child_that_inherits_the_hold_keeps_the_layer(tmp_path: Path) -> None:
    """As a supervisor does after the process that started it is gone."""
    root = prepare(layer(tmp_path, "a"))
    held = root.hold()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(held)
    os.close(reader)
    prune()
    kept = os.path.isdir(root.layers[0])
    os.close(writer)
    os.waitpid(child, 0)
    assert kept
    prune()
    assert not os.path.isdir(root.layers[0])


def test_a_layer_that_is_gone_can_not_be_held(tmp_path: Path) -> None:
    root = prepare(layer(tmp_path, "a"))
    prune()
    with pytest.raises(RootfsError, match="went away"):
        root.hold()
    assert os.listdir(prepare(f"{tmp_path}/a").layers[0]) == ["a"]


def test_a_directory_of_the_user_is_held_without_a_lock(tmp_path: Path) -> None:
    held = prepare(str(tmp_path)).hold()
    assert not os.get_inheritable(held)
    assert os.readlink(f"/proc/self/fd/{held}") == str(tmp_path)
    os.close(held)


def test_removing_a_tree_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "outside/d").mkdir(parents=True)
    tree = tmp_path / "tree"
    (tree / "shut/d").mkdir(parents=True)
    (tree / "link").symlink_to("../outside")
    (tree / "shut/link").symlink_to("../../outside")
    os.mkfifo(tree / "fifo")
    (tree / "shut").chmod(0)
    cache.remove_tree(str(tree))
    assert os.listdir(tmp_path) == ["outside"]
    assert os.listdir(tmp_path / "outside") == ["d"]
