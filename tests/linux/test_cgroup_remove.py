"""Garbage collection believes no path that it is given."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from isolate.linux.cgroup import CgroupError, discover, remove_paths
from isolate.linux.cgroup import remove as remove_module

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "isolate-x",
        "/sys/fs/cgroup/../../tmp/isolate-x",
        "/sys/fs/cgroup/./isolate-x",
        "/sys/fs/cgroup/isolate-x/",
        "/sys/fs/cgroup/isolate-x\0",
    ],
)
def test_paths_of_bad_form_are_refused(path: str) -> None:
    with pytest.raises(CgroupError, match="is not removed"):
        remove_paths([path])


def test_a_directory_that_is_no_cgroup_stays(tmp_path: Path) -> None:
    victim = tmp_path / "isolate-x"
    victim.mkdir()
    with pytest.raises(CgroupError, match="not below a cgroup mount"):
        remove_paths([str(victim)])
    assert victim.is_dir()


def test_a_path_through_a_link_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/sys/fs/cgroup")
    with pytest.raises(CgroupError, match="symbolic link"):
        remove_paths([str(link / "isolate-x")])


def test_nothing_is_touched_when_one_path_is_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched: list[str] = []
    monkeypatch.setattr(remove_module, "kill_all", lambda paths, _timeout: touched.extend(paths))
    hierarchies = discover().hierarchies
    good = [f"{hierarchy.directory}/isolate-never-made" for hierarchy in hierarchies]
    with pytest.raises(CgroupError):
        remove_paths([*good, str(tmp_path)])
    assert touched == []


def test_other_names_below_a_cgroup_mount_are_refused() -> None:
    for hierarchy in discover().hierarchies:
        with pytest.raises(CgroupError, match="doesn't begin with isolate-"):
            remove_paths([os.path.join(hierarchy.mountpoint, "system.slice")])


def test_what_is_gone_is_no_error() -> None:
    remove_paths(f"{hierarchy.directory}/isolate-gone" for hierarchy in discover().hierarchies)
