"""Finding the hierarchies: texts of /proc as several hosts have them."""

from __future__ import annotations

import pytest

from isolate.linux.cgroup.layout import Layout, discover, parse, parse_mounts

PURE_V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
PURE_V1 = """\
31 23 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
34 31 0:31 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio
35 31 0:32 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
"""
OF_PURE_V1 = """\
4:blkio:/
3:memory:/user.slice/a:b
2:cpu,cpuacct:/user.slice
1:name=systemd:/user.slice/session-1.scope
0::/user.slice/session-1.scope
"""
HYBRID = PURE_V1 + "36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"


def layout(mountinfo: str, membership: str, controllers: str = "cpu io memory pids") -> Layout:
    return parse(mountinfo, membership, lambda _mountpoint: controllers)


def directory(found: Layout, controller: str) -> str | None:
    hierarchy = found.find(controller)
    return hierarchy.directory if hierarchy else None


def test_pure_v2_under_systemd() -> None:
    found = layout(PURE_V2, "0::/user.slice/user-0.slice/session-3.scope\n")
    assert found.mode == "v2"
    assert found.unified is not None
    assert list(found.unified.ancestry()) == [
        "/sys/fs/cgroup/user.slice/user-0.slice/session-3.scope",
        "/sys/fs/cgroup/user.slice/user-0.slice",
        "/sys/fs/cgroup/user.slice",
        "/sys/fs/cgroup",
    ]
    assert found.find("memory") is found.unified
    assert found.find("devices") is None


def test_the_root_of_v2() -> None:
    found = layout(PURE_V2, "0::/\n")
    assert found.unified is not None
    assert list(found.unified.ancestry()) == ["/sys/fs/cgroup"]


def test_pure_v1_with_joined_controllers() -> None:
    found = layout(PURE_V1, OF_PURE_V1)
    assert found.mode == "v1"
    assert found.unified is None
    assert directory(found, "cpu") == "/sys/fs/cgroup/cpu,cpuacct/user.slice"
    assert directory(found, "memory") == "/sys/fs/cgroup/memory/user.slice/a:b"
    assert directory(found, "io") == "/sys/fs/cgroup/blkio"
    assert found.find("pids") is None


def test_hybrid_keeps_each_controller_where_it_lives() -> None:
    found = layout(HYBRID, OF_PURE_V1, "pids")
    assert found.mode == "hybrid"
    assert directory(found, "memory") == "/sys/fs/cgroup/memory/user.slice/a:b"
    assert directory(found, "pids") == "/sys/fs/cgroup/unified/user.slice/session-1.scope"


def test_hybrid_whose_v2_has_no_controller_still_has_v2() -> None:
    found = layout(HYBRID, OF_PURE_V1, "")
    assert found.unified is not None
    assert found.unified.controllers == frozenset()


def test_v2_is_in_the_membership_but_not_mounted() -> None:
    assert layout("", "0::/\n").mode is None


def test_nested_container_whose_mount_root_is_its_own_group() -> None:
    mounts = "40 31 0:30 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    own = layout(mounts, "3:memory:/docker/abc\n")
    assert directory(own, "memory") == "/sys/fs/cgroup/memory"
    below = layout(mounts, "3:memory:/docker/abc/inner\n")
    assert directory(below, "memory") == "/sys/fs/cgroup/memory/inner"
    beside = layout(mounts, "3:memory:/docker/abcd\n")
    assert beside.find("memory") is None


def test_the_mount_that_shows_most_is_taken() -> None:
    mounts = """\
40 31 0:30 /a/b /narrow rw - cgroup2 cgroup2 rw
41 31 0:30 / /wide rw - cgroup2 cgroup2 rw
"""
    found = layout(mounts, "0::/a/b/c\n").unified
    assert found is not None
    assert found.directory == "/wide/a/b/c"


@pytest.mark.parametrize(
    ("root", "cgroup", "expected"),
    [
        ("/", "/", "/sys/fs/cgroup"),  # cgroup namespace, mounted inside of it
        ("/..", "/../neighbour", "/sys/fs/cgroup/neighbour"),  # process outside of the namespace
        ("/..", "/", None),  # mounted one level above: our own name isn't known
        ("/", "/../neighbour", None),
    ],
)
def test_cgroup_namespaces(root: str, cgroup: str, expected: str | None) -> None:
    mounts = f"30 24 0:26 {root} /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    unified = layout(mounts, f"0::{cgroup}\n").unified
    assert (unified.directory if unified else None) == expected


def test_rootless_systemd_session() -> None:
    own = "/user.slice/user-1000.slice/user@1000.service/app.slice/job.scope"
    found = layout(PURE_V2, f"0::{own}\n").unified
    assert found is not None
    assert found.directory == f"/sys/fs/cgroup{own}"
    assert len(list(found.ancestry())) == 6


def test_escaped_mount_points() -> None:
    mounts = "30 24 0:26 / /my\\040groups\\134x rw - cgroup2 cgroup2 rw\n"
    assert [mount.path for mount in parse_mounts(mounts)] == ["/my groups\\x"]


def test_a_mount_over_another_hides_it() -> None:
    mounts = PURE_V2 + "50 24 0:50 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    assert layout(mounts, "0::/\n").hierarchies == ()


def test_optional_fields_of_any_number() -> None:
    line = "30 24 0:26 / /cg rw shared:1 master:2 propagate_from:3 - cgroup2 none rw\n"
    assert [mount.fstype for mount in parse_mounts(line)] == ["cgroup2"]


def test_without_a_controller() -> None:
    found = layout(HYBRID, OF_PURE_V1, "").without("io", "memory")
    assert found.find("io") is None
    assert found.find("memory") is None
    assert found.find("cpu") is not None
    assert found.unified is not None


def test_this_host() -> None:
    pids = discover().find("pids")
    if pids is not None:
        with open(f"{pids.directory}/cgroup.procs") as lines:
            assert lines.read() != ""
