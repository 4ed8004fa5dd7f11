"""Accounts read from directories of plain files; unmeasured is None."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isolate.linux.cgroup import Group

if TYPE_CHECKING:
    from pathlib import Path


def directory(path: Path, files: dict[str, str]) -> str:
    path.mkdir(parents=True)
    for name, content in files.items():
        (path / name).write_text(content)
    return str(path)


def test_v2(tmp_path: Path) -> None:
    path = directory(
        tmp_path / "isolate-a",
        {
            "cpu.stat": "usage_usec 3500000\nuser_usec 2500000\nsystem_usec 1000000\n",
            "memory.events": "low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\n",
            "memory.current": "4096\n",
            "memory.peak": "8192\n",
            "pids.current": "2\n",
            "pids.peak": "7\n",
            "io.stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=1 dbytes=0 dios=0\n"
            "8:16 \n254:0 rbytes=1 wbytes=2 rios=1 wios=1 dbytes=0 dios=0\n",
            "memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\n"
            "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
        },
    )
    found = Group({"v2:memory": path}).usage()
    assert (found.cpu_user_seconds, found.cpu_system_seconds) == (2.5, 1.0)
    assert (found.memory_bytes, found.memory_peak_bytes, found.oom_kills) == (4096, 8192, 1)
    assert (found.pids, found.pids_peak) == (2, 7)
    assert (found.io_read_bytes, found.io_write_bytes) == (11, 22)
    assert found.pressure == {"memory.some": 1.5, "memory.full": 0.0}


def test_v1_sums_oom_kills_of_groups_below(tmp_path: Path) -> None:
    path = directory(
        tmp_path / "isolate-a",
        {
            "cpuacct.stat": "user 250\nsystem 100\n",
            "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
            "memory.usage_in_bytes": "4096\n",
            "memory.max_usage_in_bytes": "8192\n",
            "pids.current": "2\n",
            "blkio.throttle.io_service_bytes_recursive": "8:0 Read 10\n8:0 Write 20\n"
            "8:0 Sync 30\n254:0 Read 1\nTotal 31\n",
        },
    )
    directory(
        tmp_path / "isolate-a" / "below",
        {"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"},
    )
    found = Group({"v1:memory": path}).usage()
    assert (found.cpu_user_seconds, found.cpu_system_seconds) == (2.5, 1.0)
    assert (found.memory_bytes, found.memory_peak_bytes, found.oom_kills) == (4096, 8192, 3)
    assert (found.pids, found.pids_peak) == (2, None)
    assert (found.io_read_bytes, found.io_write_bytes) == (11, 20)


def test_unmeasured_is_none(tmp_path: Path) -> None:
    for version in ("v1:cpu", "v2:"):
        path = directory(tmp_path / version / "isolate-a", {})
        found = Group({version: path}).usage()
        values = {name: getattr(found, name) for name in found.__slots__}
        assert values.pop("pressure") == {}
        assert set(values.values()) == {None}
