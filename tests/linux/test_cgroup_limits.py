"""What is written to which file, and how it is read back: directories of plain files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from isolate.linux.cgroup import CgroupError, Group, blockdev, devices, group, v1, v2
from isolate.linux.cgroup.knobs import cpu_list, quota

if TYPE_CHECKING:
    from pathlib import Path

FOUND = ("c 1:3 rw",)
UNLIMITED = "9223372036854771712\n"


def fake(directory: Path, **files: str) -> str:
    """A group's directory; `a__b` stands for the file `a.b`."""
    directory.mkdir(exist_ok=True)
    for name, content in files.items():
        (directory / name.replace("__", ".")).write_text(content)
    return str(directory)


@pytest.fixture(autouse=True)
def _program(monkeypatch: pytest.MonkeyPatch) -> None:
    """No directory of plain files has a device program."""
    monkeypatch.setattr(devices, "attached", lambda _directory: FOUND)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every write, as (file's name, text), instead of doing it."""
    log: list[tuple[str, str]] = []

    def record(path: str, text: str) -> None:
        log.append((path.rpartition("/")[2], text))

    for module in (v1, v2, group):
        monkeypatch.setattr(module, "write", record)
    monkeypatch.setattr(blockdev, "resolve", lambda device: device)
    return log


def v2_of(tmp_path: Path) -> Group:
    path = fake(tmp_path / "isolate-a", memory__swap__max="max\n", cpuset__cpus__effective="0-1\n")
    return Group({"v2:cpu,cpuset,io,memory,pids": path})


def test_v2_writes(tmp_path: Path, written: list[tuple[str, str]]) -> None:
    io = {"8:0": {"wbps": 5, "rbps": 4}, "8:16": {"wiops": 7, "riops": 6}}
    v2_of(tmp_path).set_limits(
        memory=67108864, swap=0, cpus=1.5, cpu_weight=50, cpuset="0-3", pids=32, io=io
    )
    assert written == [
        ("memory.max", "67108864"),
        ("memory.swap.max", "0"),
        ("cpu.max", "150000 100000"),
        ("cpu.weight", "50"),
        ("cpuset.cpus", "0-3"),
        ("pids.max", "32"),
        ("io.max", "8:0 rbps=4 wbps=5"),
        ("io.max", "8:16 riops=6 wiops=7"),
    ]


def test_v2_writes_land_in_the_files(tmp_path: Path) -> None:
    path = fake(tmp_path / "isolate-a", memory__max="", pids__max="", cpu__max="")
    Group({"v2:cpu,memory,pids": path}).set_limits(memory=4096, pids=3, cpus=0.01)
    contents = {file.name: file.read_text() for file in (tmp_path / "isolate-a").iterdir()}
    assert contents == {"memory.max": "4096", "pids.max": "3", "cpu.max": "1000 100000"}


def test_nothing_asked_nothing_written(tmp_path: Path, written: list[tuple[str, str]]) -> None:
    v2_of(tmp_path).set_limits()
    assert written == []


def test_v2_cpus_that_cannot_be_had(tmp_path: Path, written: list[tuple[str, str]]) -> None:
    with pytest.raises(CgroupError, match="CPUs 7 can't be had here"):
        v2_of(tmp_path).set_limits(cpuset="7")
    assert written == [("cpuset.cpus", "7")]


def test_v2_without_swap_accounting(tmp_path: Path) -> None:
    made = Group({"v2:memory": fake(tmp_path / "isolate-a", memory__max="max\n")})
    with pytest.raises(CgroupError, match="swap accounting is absent"):
        made.set_limits(memory=4096, swap=0)
    assert (tmp_path / "isolate-a" / "memory.max").read_text() == "max\n"


def test_v2_reads_back(tmp_path: Path) -> None:
    path = fake(
        tmp_path / "isolate-a",
        memory__max="67108864\n",
        memory__swap__max="max\n",
        cpu__max="50000 100000\n",
        cpu__weight="50\n",
        pids__max="max\n",
        io__max="8:0 rbps=max wbps=5 riops=max wiops=9\n",
        cpuset__cpus__effective="0-1\n",
    )
    found = Group({"v2:cpu,cpuset,io,memory,pids": path}).read_limits()
    assert {name: reading.value for name, reading in found.items()} == {
        "memory": 67108864,
        "swap": None,
        "cpus": 0.5,
        "cpu_weight": 50,
        "cpuset": "0-1",
        "pids": None,
        "io": {"8:0": {"wbps": 5, "wiops": 9}},
        "devices": FOUND,
    }
    assert found["memory"].file == f"{path}/memory.max"


def test_v2_reads_no_limit(tmp_path: Path) -> None:
    path = fake(tmp_path / "isolate-a", cpu__max="max 100000\n", cpu__weight="100\n", io__max="")
    found = Group({"v2:cpu,io": path}).read_limits()
    assert (found["cpus"].value, found["io"].value) == (None, None)


V1_KEYS = ("blkio", "cpu", "cpuset", "memory", "pids")


def v1_of(tmp_path: Path, *, limit: str = UNLIMITED, both: str | None = UNLIMITED) -> Group:
    path = fake(tmp_path / "isolate-a", memory__limit_in_bytes=limit, cpu__cfs_period_us="100000\n")
    if both is not None:
        fake(tmp_path / "isolate-a", memory__memsw__limit_in_bytes=both)
    return Group({f"v1:{key}": path for key in V1_KEYS})


def test_v1_writes(tmp_path: Path, written: list[tuple[str, str]]) -> None:
    io = {"8:0": {"rbps": 4, "wbps": 5, "riops": 6, "wiops": 7}}
    v1_of(tmp_path).set_limits(
        memory=4096, swap=8192, cpus=2 / 3, cpu_weight=100, cpuset="0,1", pids=32, io=io
    )
    assert written == [
        ("memory.limit_in_bytes", "4096"),
        ("memory.memsw.limit_in_bytes", "12288"),
        ("cpu.cfs_quota_us", "66666"),
        ("cpu.shares", "1024"),
        ("cpuset.cpus", "0,1"),
        ("pids.max", "32"),
        ("blkio.throttle.read_bps_device", "8:0 4"),
        ("blkio.throttle.write_bps_device", "8:0 5"),
        ("blkio.throttle.read_iops_device", "8:0 6"),
        ("blkio.throttle.write_iops_device", "8:0 7"),
    ]


def test_v1_raises_memory_and_swap_together(tmp_path: Path, written: list[tuple[str, str]]) -> None:
    v1_of(tmp_path, limit="4096\n", both="8192\n").set_limits(memory=16384)
    assert written == [
        ("memory.memsw.limit_in_bytes", "20480"),
        ("memory.limit_in_bytes", "16384"),
        ("memory.memsw.limit_in_bytes", "20480"),
    ]


def test_v1_swap_alone_keeps_the_memory(tmp_path: Path, written: list[tuple[str, str]]) -> None:
    v1_of(tmp_path, limit="4096\n").set_limits(swap=0)
    assert written[-1] == ("memory.memsw.limit_in_bytes", "4096")


def test_v1_swap_needs_memory(tmp_path: Path) -> None:
    with pytest.raises(CgroupError, match="needs a memory limit beside it"):
        v1_of(tmp_path).set_limits(swap=0)


def test_v1_without_swap_accounting(tmp_path: Path) -> None:
    with pytest.raises(CgroupError, match="swap accounting is absent"):
        v1_of(tmp_path, both=None).set_limits(memory=4096, swap=0)


def test_v1_accounts_for_groups_below_on_old_kernels(
    tmp_path: Path, written: list[tuple[str, str]]
) -> None:
    made = v1_of(tmp_path)
    fake(tmp_path / "isolate-a", memory__use_hierarchy="0\n")
    made.set_limits(memory=4096)
    assert written[0] == ("memory.use_hierarchy", "1")


def test_v1_reads_back(tmp_path: Path) -> None:
    made = v1_of(tmp_path, limit="4096\n", both="12288\n")
    rates = dict.fromkeys(("read_bps", "write_bps", "read_iops", "write_iops"), "")
    fake(
        tmp_path / "isolate-a",
        cpu__cfs_quota_us="-1\n",
        cpu__shares="1024\n",
        cpuset__effective_cpus="0-1\n",
        pids__max="5\n",
        **{f"blkio__throttle__{name}_device": text for name, text in rates.items()},
    )
    (tmp_path / "isolate-a" / "blkio.throttle.write_bps_device").write_text("8:0 5\n8:16 6\n")
    found = {name: reading.value for name, reading in made.read_limits().items()}
    assert found == {
        "memory": 4096,
        "swap": 8192,
        "cpus": None,
        "cpu_weight": 100,
        "cpuset": "0-1",
        "pids": 5,
        "io": {"8:0": {"wbps": 5}, "8:16": {"wbps": 6}},
    }


def test_a_controller_that_the_group_lacks(tmp_path: Path) -> None:
    made = Group({"v2:pids": fake(tmp_path / "isolate-a")})
    with pytest.raises(CgroupError, match="made without the controller memory"):
        made.set_limits(memory=4096)


@pytest.mark.parametrize("rates", [{}, {"rbps": 1, "speed": 2}])
def test_bounds_that_are_none(tmp_path: Path, rates: dict[str, int]) -> None:
    with pytest.raises(CgroupError, match="bounds on 8:0"):
        v2_of(tmp_path).set_limits(io={"8:0": rates})


def test_a_refusal_names_the_file_and_the_text(tmp_path: Path) -> None:
    made = Group({"v2:pids": fake(tmp_path / "isolate-a")})
    with pytest.raises(CgroupError, match=r"refused '3' in .*/isolate-a/pids\.max: No such file"):
        made.set_limits(pids=3)


def test_weights_and_shares_meet_at_both_ends_and_the_middle() -> None:
    assert [v1.shares(weight) for weight in (1, 100, 10000)] == [2, 1024, 262144]
    assert [v1.weight_of(value) for value in (0, 2, 1024, 262144)] == [1, 1, 100, 10000]


def test_every_weight_survives_version_1() -> None:
    assert [v1.weight_of(v1.shares(weight)) for weight in range(1, 10001)] == list(range(1, 10001))


def test_quota_is_never_more_than_asked() -> None:
    assert [quota(cpus) for cpus in (0.01, 0.29, 1 / 3, 2 / 3, 4096)] == [
        1000,
        29000,
        33333,
        66666,
        409600000,
    ]


def test_cpu_lists() -> None:
    assert cpu_list("0-2,5\n") == {0, 1, 2, 5}
    assert cpu_list("\n") == set()
    with pytest.raises(CgroupError, match="is not a list of CPUs"):
        cpu_list("0-x")


def test_devices_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for device in (str(tmp_path / "file"), "/dev/null"):
        with pytest.raises(CgroupError, match="is not a block device"):
            blockdev.resolve(device)
    for device in (str(tmp_path / "none"), "4095:77", "with\0nul"):
        with pytest.raises(CgroupError):
            blockdev.resolve(device)


def test_a_partition_stands_for_its_disk(tmp_path: Path) -> None:
    disk = tmp_path / "devices" / "sda"
    (disk / "sda1").mkdir(parents=True)
    (disk / "dev").write_text("8:0\n")
    (disk / "sda1" / "partition").write_text("1\n")
    links = tmp_path / "block"
    links.mkdir()
    (links / "8:0").symlink_to(disk)
    (links / "8:1").symlink_to(disk / "sda1")
    assert blockdev.resolve("8:1", sysfs=str(links)) == "8:0"
    assert blockdev.resolve("8:0", sysfs=str(links)) == "8:0"
