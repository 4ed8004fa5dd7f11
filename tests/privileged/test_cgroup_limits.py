"""Limits that the running kernel enforces, and reads back."""

from __future__ import annotations

import os

import pytest

from isolate.linux.cgroup import CgroupError, blockdev
from tests.support import needs
from tests.support.cgroup_groups import group, run

pytestmark = pytest.mark.needs("root")

MIB = 2**20
EAT = "data = bytearray(256 << 20)"
FORK = """
import os, time
made = 0
try:
    while made < 50:
        if os.fork() == 0:
            os.close(1)
            time.sleep(60)
        made += 1
except BlockingIOError:
    pass
print(made)
"""
TRY = """
import os
for path in ("/dev/null", "/dev/zero"):
    for flags in (os.O_RDONLY, os.O_RDWR):
        try:
            os.close(os.open(path, flags))
            print("yes", end=" ")
        except PermissionError:
            print("no", end=" ")
"""


def test_memory_kills_what_wants_more_and_counts_it() -> None:
    with group("host", "memory", "swap") as made:
        made.set_limits(memory=32 * MIB, swap=0)
        found = made.read_limits()
        assert (found["memory"].value, found["swap"].value) == (32 * MIB, 0)
        assert run(made, EAT)[0] == -9
        used = made.usage()
        assert used.oom_kills == 1
        assert used.memory_peak_bytes is None or MIB < used.memory_peak_bytes <= 32 * MIB


def test_memory_enough() -> None:
    with group("host", "memory") as made:
        made.set_limits(memory=1024 * MIB)
        assert run(made, EAT)[0] == 0
        assert made.usage().oom_kills == 0


def test_memory_can_be_raised_and_lowered_with_its_swap() -> None:
    with group("host", "memory", "swap") as made:
        for memory, swap in ((32, 16), (256, 16), (16, 0), (64, 64)):
            made.set_limits(memory=memory * MIB, swap=swap * MIB)
            found = made.read_limits()
            assert (found["memory"].value, found["swap"].value) == (memory * MIB, swap * MIB)
        made.set_limits(memory=128 * MIB)
        assert made.read_limits()["swap"].value == 64 * MIB


def test_pids() -> None:
    with group("host", "pids") as made:
        made.set_limits(pids=6)
        assert made.read_limits()["pids"].value == 6
        assert run(made, FORK) == (0, "5\n")
        used = made.usage()
        assert used.pids == 5
        assert used.pids_peak in (None, 6)


def test_cpu_quota_and_weight() -> None:
    with group("host", "cpu") as made:
        assert made.read_limits()["cpus"].value is None
        made.set_limits(cpus=0.29, cpu_weight=333)
        found = made.read_limits()
        assert (found["cpus"].value, found["cpu_weight"].value) == (0.29, 333)


def test_cpuset() -> None:
    first = str(min(os.sched_getaffinity(0)))
    with group("host", "cpuset") as made:
        made.set_limits(cpuset=first)
        assert made.read_limits()["cpuset"].value == first
        script = "import os; print(*os.sched_getaffinity(0))"
        assert run(made, script) == (0, f"{first}\n")


def test_cpus_that_do_not_exist() -> None:
    with group("host", "cpuset") as made, pytest.raises(CgroupError):
        made.set_limits(cpuset="4000")


def disk() -> str:
    """A block device that has a size."""
    for name in sorted(os.listdir("/sys/block")):
        with open(f"/sys/block/{name}/size") as size, open(f"/sys/block/{name}/dev") as numbers:
            if int(size.read()) and not name.startswith(("loop", "ram", "zram")):
                return numbers.read().strip()
    needs.require_that(False, "disk", "no block device here")
    raise AssertionError


def test_io() -> None:
    device = disk()
    with group("host", "io") as made:
        assert made.read_limits()["io"].value is None
        made.set_limits(io={device: {"rbps": MIB, "wiops": 77}})
        assert made.read_limits()["io"].value == {device: {"rbps": MIB, "wiops": 77}}
        made.set_limits(io={device: {"wbps": 2 * MIB}})
        assert made.read_limits()["io"].value == {
            device: {"rbps": MIB, "wbps": 2 * MIB, "wiops": 77}
        }


@pytest.mark.needs("filesystem:ext4")
def test_io_by_the_path_of_a_node(tmp_path: object) -> None:
    numbers = disk()
    major, minor = map(int, numbers.split(":"))
    node = f"{tmp_path}/node"
    os.mknod(node, 0o60600, os.makedev(major, minor))
    assert blockdev.resolve(node) == numbers


@pytest.mark.parametrize("kind", ["host", "v1", "ebpf"])
def test_devices(kind: str) -> None:
    with group(kind, "devices") as made:
        assert made.read_limits()["devices"].value is None
        assert run(made, TRY) == (0, "yes yes yes yes ")
        made.set_limits(devices=[("c", 1, 3, "rwm")])
        assert made.read_limits()["devices"].value == ("c 1:3 rwm",)
        assert run(made, TRY) == (0, "yes yes no no ")
        made.set_limits(devices=[("c", 1, 3, "rw"), ("c", 1, 5, "r")])
        assert made.read_limits()["devices"].value == ("c 1:3 rw", "c 1:5 r")
        assert run(made, TRY) == (0, "yes yes yes no ")


@pytest.mark.parametrize("kind", ["host", "v1", "ebpf"])
def test_device_nodes_are_not_made(kind: str, tmp_path: object) -> None:
    script = f"import os; os.mknod('{tmp_path}/node', 0o20600, os.makedev(1, 5))"
    with group(kind, "devices") as made:
        made.set_limits(devices=[("c", 1, 3, "rwm"), ("a", -1, -1, "rw")])
        assert run(made, script)[0] == 1
        assert not os.path.exists(f"{tmp_path}/node")
        made.set_limits(devices=[("a", -1, -1, "rwm")])
        assert run(made, script)[0] == 0


def test_a_limit_without_its_controller() -> None:
    with group("host") as made, pytest.raises(CgroupError, match="without the controller pids"):
        made.set_limits(pids=3)
