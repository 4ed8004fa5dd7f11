"""Trees that hostile programs made are deleted, and nothing besides."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest

from isolate.state import tree

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["openat2", "by hand"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "by hand":

        def missing(*_args: object) -> int:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

        monkeypatch.setattr(tree, "openat2", missing)


pytestmark = pytest.mark.usefixtures("_way")


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").write_text("")
    top = tmp_path / "top"
    (top / "sub").mkdir(parents=True)
    (top / "sub" / "link").symlink_to(outside)
    (top / "up").symlink_to("..")
    os.mkfifo(top / "fifo")
    tree.remove_tree(str(top))
    assert not top.exists()
    assert (outside / "keep").exists()


def test_a_link_itself_a_file_and_nothing(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    (tmp_path / "link").symlink_to("keep")
    (tmp_path / "file").write_text("")
    for name in ("link", "file", "missing", "missing/deeper"):
        tree.remove_tree(f"{tmp_path}/{name}")
    assert [path.name for path in tmp_path.iterdir()] == ["keep"]


def test_a_tree_deeper_than_any_stack_or_path(tmp_path: Path) -> None:
    top = str(tmp_path / "top")
    os.mkdir(top)
    here = os.open(top, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d" * 100, dir_fd=here)
        below = os.open("d" * 100, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    tree.remove_tree(top)
    assert not os.path.lexists(top)


def test_more_names_than_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "_BATCH", 7)
    top = tmp_path / "top"
    (top / "sub").mkdir(parents=True)
    for number in range(40):
        (top / f"{number}").write_text("")
        (top / "sub" / f"{number}").mkdir()
    tree.remove_tree(str(top))
    assert not top.exists()


def test_directories_without_permissions(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "a" / "b" / "c").mkdir(parents=True)
    for path in (top / "a" / "b", top / "a", top):
        path.chmod(0)
    tree.remove_tree(str(top))
    assert not top.exists()


def test_the_way_below_a_base_has_no_links(tmp_path: Path) -> None:
    (tmp_path / "base" / "sub").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "base" / "link").symlink_to("../outside")
    for relative in ("link/x", "sub/../x", "../x/y", "link/../x"):
        with pytest.raises(OSError):  # noqa: PT011 - ELOOP, ENOTDIR or EXDEV
            os.close(tree.open_parent(f"{tmp_path}/base", relative)[0])
    for relative, parent in (("sub/x", "sub"), ("x", "")):
        descriptor, name = tree.open_parent(f"{tmp_path}/base", relative)
        assert name == "x"
        assert os.readlink(f"/proc/self/fd/{descriptor}") == f"{tmp_path}/base/{parent}".rstrip("/")
        os.close(descriptor)


def test_two_at_once(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / "top" / f"{number}" / "x").mkdir(parents=True)
        (tmp_path / "top" / f"{number}" / "file").write_text("")
    failures: list[BaseException] = []

    def work() -> None:
        try:
            tree.remove_tree(f"{tmp_path}/top")
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(tmp_path.iterdir()) == []
