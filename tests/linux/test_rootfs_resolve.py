"""Paths that are resolved, and targets that are made, strictly inside a hostile root."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest

from isolate.linux import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# A link in the middle of a path is no directory, at its end it is one link too many.
NO_LINKS = f"{os.strerror(errno.ELOOP)}|{os.strerror(errno.ENOTDIR)}"

_libc = ctypes.CDLL(None)
_RENAME_EXCHANGE = 2  # renameat2(2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    made = tmp_path / "root"
    (made / "etc").mkdir(parents=True)
    (made / "etc/passwd").write_text("inside")
    return made


@pytest.fixture
def root_fd(root: Path) -> Iterator[int]:
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture(params=["openat2", "without openat2"])
def _either_kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_args: object) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    if request.param != "openat2":
        monkeypatch.setattr(resolve, "_openat2", missing)


def place(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def read(root_fd: int, path: str) -> str:
    descriptor = resolve.open_in_root(root_fd, path, os.O_RDONLY)
    with open(descriptor) as file:
        return file.read()


@pytest.mark.usefixtures("_either_kernel")
class TestOnEitherKernel:
    def test_a_plain_file_is_opened(self, root_fd: int) -> None:
        assert read(root_fd, "/etc/passwd") == "inside"

    @pytest.mark.parametrize("path", ["a/b/c", "/a/b/c", "a//b/./c", "etc/new"])
    @pytest.mark.parametrize("directory", [True, False])
    def test_a_missing_target_is_made(
        self, root: Path, root_fd: int, path: str, directory: bool
    ) -> None:
        made = place(resolve.make_target(root_fd, path, directory=directory))
        assert made == os.path.normpath(f"{root}/{path.lstrip('/')}")
        assert os.path.isdir(made) == directory

    def test_an_existing_target_is_left_as_it_is(self, root: Path, root_fd: int) -> None:
        assert place(resolve.make_target(root_fd, "etc/passwd", directory=False))
        assert (root / "etc/passwd").read_text() == "inside"

    @pytest.mark.parametrize(
        ("path", "directory", "number"),
        [("etc", False, errno.EISDIR), ("etc/passwd", True, errno.ENOTDIR)],
    )
    def test_the_wrong_kind_is_refused(
        self, root_fd: int, path: str, directory: bool, number: int
    ) -> None:
        with pytest.raises(OSError, match=os.strerror(number)):
            resolve.make_target(root_fd, path, directory=directory)

    @pytest.mark.parametrize("path", ["new/../../outside/x", "a/../b"])
    def test_upwards_below_what_is_missing_is_refused(
        self, root: Path, root_fd: int, path: str
    ) -> None:
        with pytest.raises(OSError, match=r"\.\."):
            resolve.make_target(root_fd, path, directory=True)
        assert os.listdir(root.parent / "outside") == []

    @pytest.mark.parametrize("target", ["../outside", "{outside}", "../../../../{outside}"])
    def test_nothing_is_made_outside_through_a_link(
        self, root: Path, root_fd: int, target: str
    ) -> None:
        outside = root.parent / "outside"
        (root / "link").symlink_to(target.format(outside=outside))
        for path in ("link/x", "link/x/y", "link"):
            try:
                where = place(resolve.make_target(root_fd, path, directory=True))
            except OSError:
                continue
            assert where.startswith(f"{root}/")
        assert os.listdir(outside) == []

    def test_a_loop_of_links_ends(self, root: Path, root_fd: int) -> None:
        (root / "a").symlink_to("b")
        (root / "b").symlink_to("a")
        with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
            resolve.make_target(root_fd, "a", directory=True)

    def test_links_of_procfs_are_refused(self, root: Path, root_fd: int) -> None:
        """An open directory of the host must not become reachable by its number."""
        outside = os.open(root.parent / "outside", os.O_PATH)
        proc = os.open("/proc/self", os.O_PATH)
        try:
            with pytest.raises(OSError, match=NO_LINKS):
                resolve.make_target(proc, f"fd/{outside}/made", directory=True)
        finally:
            os.close(outside)
            os.close(proc)
        assert os.listdir(root.parent / "outside") == []


def test_links_are_followed_inside(root: Path, root_fd: int) -> None:
    (root / "absolute").symlink_to("/etc")
    (root / "etc/up").symlink_to("../../../../etc/passwd")
    assert read(root_fd, "absolute/passwd") == "inside"
    assert read(root_fd, "etc/up") == "inside"


def test_a_dangling_link_leads_to_where_the_target_is_made(root: Path, root_fd: int) -> None:
    """As /etc/resolv.conf does on many systems."""
    (root / "etc/resolv.conf").symlink_to("../run/resolve/stub.conf")
    made = place(resolve.make_target(root_fd, "/etc/resolv.conf", directory=False))
    assert made == f"{root}/run/resolve/stub.conf"


def test_without_openat2_every_link_is_refused(
    root: Path, root_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_args: object) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(resolve, "_openat2", missing)
    (root / "link").symlink_to("etc")
    (root / "etc/last").symlink_to("passwd")
    for path, flags in [
        ("link/passwd", os.O_RDONLY),
        ("etc/last", os.O_RDONLY),
        ("etc/last", os.O_PATH),
    ]:
        with pytest.raises(OSError, match=NO_LINKS):
            resolve.open_in_root(root_fd, path, flags)


def test_a_link_that_is_swapped_meanwhile_never_leads_out(root: Path, root_fd: int) -> None:
    """The race of CVE-2021-30465: a directory and a link to the host change places."""
    outside = root.parent / "outside"
    (root / "real").mkdir()
    (root / "link").symlink_to(outside)
    done = threading.Event()

    def swap() -> None:
        paths = os.fsencode(root / "real"), os.fsencode(root / "link")
        while not done.is_set():
            assert _libc.renameat2(-100, paths[0], -100, paths[1], _RENAME_EXCHANGE) == 0

    swapper = threading.Thread(target=swap)
    swapper.start()
    made = 0
    try:
        for number in range(300):
            try:
                target = resolve.make_target(root_fd, f"real/{number}/x", directory=True)
            except OSError:
                continue
            assert place(target).startswith(f"{root}/")
            made += 1
    finally:
        done.set()
        swapper.join()
    assert made
    assert os.listdir(outside) == []
