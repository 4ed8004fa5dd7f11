"""mountinfo: made-up lines, and those of this process."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolate.linux import mountinfo

TEXT = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:27 / /mnt/a\040b\011c\134040\043 ro,nosuid - tmpfs none\040x rw,size=4k
31 30 0:27 /sub /mnt/a\040b\011c\134040\043/in rw master:2 propagate_from:1 - tmpfs none rw
32 22 0:4 net:[4026532000] /run/netns/x rw - nsfs nsfs rw
33 22 0:28 / /mnt/ab rw - tmpfs t rw
34 22 0:29 / /mnt/ab rw - tmpfs over rw
"""
MOUNTS = mountinfo.parse(TEXT)
ODD = "/mnt/a b\tc\\040#"


def test_a_line_is_parsed_with_its_escapes() -> None:
    mount = MOUNTS[1]
    assert (mount.mount_id, mount.parent_id, mount.device) == (30, 22, "0:27")
    assert mount.mount_point == ODD
    assert mount.options == ("ro", "nosuid")
    assert mount.propagation == ()
    assert (mount.fs_type, mount.source) == ("tmpfs", "none x")
    assert mount.super_options == ("rw", "size=4k")
    assert MOUNTS[2].propagation == ("master:2", "propagate_from:1")
    assert MOUNTS[3].root == "net:[4026532000]"


def test_below_is_by_components() -> None:
    assert mountinfo.mounts_below(ODD, MOUNTS) == MOUNTS[1:3]
    assert mountinfo.mounts_below("/mnt/a", MOUNTS) == []
    assert mountinfo.mounts_below("/", MOUNTS) == MOUNTS
    assert mountinfo.mounts_below("/mnt/", MOUNTS) == [MOUNTS[1], MOUNTS[2], *MOUNTS[4:]]


def test_the_topmost_mount_wins() -> None:
    top = mountinfo.mount_at("/mnt/ab", MOUNTS)
    assert top is not None
    assert top.source == "over"
    assert mountinfo.mount_at("/mnt", MOUNTS) is None
    holding = mountinfo.mount_of("/mnt/ab/c", MOUNTS)
    assert holding is not None
    assert holding.source == "over"
    assert mountinfo.mount_of("/mnt/abc", MOUNTS) is MOUNTS[0]


def test_filesystems() -> None:
    assert mountinfo.filesystems(["nsfs"], MOUNTS) == [MOUNTS[3]]


@pytest.mark.parametrize(
    "line", ["", "x", "1 2 3:4 / / rw", "1 2 3:4 / / rw - ext4", "a b c d e f - g h i"]
)
def test_what_is_no_line(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - int() words its own
        mountinfo.Mount(line)


@given(st.text(st.characters(min_codepoint=1, max_codepoint=255)))
def test_unescape_undoes_the_kernel(name: str) -> None:
    # fs/proc_namespace.c escapes with the set " \t\n\\#"
    escaped = "".join(f"\\{ord(char):03o}" if char in " \t\n\\#" else char for char in name)
    assert mountinfo.unescape(escaped) == name


def test_our_own_mounts() -> None:
    mounts = mountinfo.read()
    root = mountinfo.mount_of("/")
    assert root is not None
    assert root.mount_point == "/"
    proc = mountinfo.mount_at("/proc")
    assert proc is not None
    assert proc.fs_type == "proc"
    assert [mount.mount_id for mount in mounts] == [
        mount.mount_id for mount in mountinfo.read(os.getpid())
    ]
