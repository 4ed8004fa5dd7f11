"""The host gives isolate too little of something: a clear error, and nothing half made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import command, leaks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("root")

_SMALL = """
mount -t tmpfs -o "$1,mode=700" none "$2"; place=$2; shift 2
"$@"; status=$?
find "$place/containers" "$place/ranges" "$place/trash" -mindepth 1 2>/dev/null >&2
exit $status
"""


def ends_well(isolate: Isolate, busybox: Path) -> bool:
    """Whether it works; where it doesn't, an error and a remedy say so and nothing else."""
    done = isolate("run", f"--rootfs={busybox}", "--", "echo", "works")
    if done.returncode == 0:
        assert (done.stdout, done.stderr) == ("works\n", "")
        return True
    lines = done.stderr.splitlines()
    assert done.returncode == 125, done.stderr
    assert [line.split(":")[0] for line in lines] == ["error", "hint"], done.stderr
    return False


def with_limit(isolate: Isolate, busybox: Path, limit: str) -> bool:
    before = leaks.Snapshot()
    isolate.under = ("prlimit", limit)
    works = ends_well(isolate, busybox)
    isolate.under = ()
    isolate("gc", check=True)  # who has no descriptors can't clean up either
    assert command.leftovers(isolate.state) == []
    assert leaks.settled(before) == []
    return works


def on_a_small_disk(isolate: Isolate, busybox: Path, options: str) -> bool:
    words = ("unshare", "--mount", "sh", "-c", _SMALL, "sh", options, str(isolate.state))
    isolate.under = words
    return ends_well(isolate, busybox)


@pytest.mark.parametrize("unit", ["nr_inodes={}", "size={}k"])
def test_a_full_disk(isolate_cmd: Isolate, busybox: Path, unit: str) -> None:
    """From nothing to enough; what is left in the state directory would be on stderr."""
    sizes = (4, 6, 8, 10, 12, 14, 16, 18, 24, 32, 64)
    works = [on_a_small_disk(isolate_cmd, busybox, unit.format(size)) for size in sizes]
    assert works[0] is False
    assert works[-1] is True
    assert works == sorted(works)


def test_a_read_only_state_directory(isolate_cmd: Isolate, busybox: Path) -> None:
    assert on_a_small_disk(isolate_cmd, busybox, "ro") is False


def test_too_few_descriptors(isolate_cmd: Isolate, busybox: Path) -> None:
    isolate_cmd("run", f"--rootfs={busybox}", "--", "true", check=True)  # the filter is compiled
    works = [with_limit(isolate_cmd, busybox, f"--nofile={n}") for n in (*range(5, 24), 40)]
    assert works[0] is False
    assert works[-1] is True


def test_too_little_memory(isolate_cmd: Isolate, busybox: Path) -> None:
    isolate_cmd("run", f"--rootfs={busybox}", "--", "true", check=True)
    found = [with_limit(isolate_cmd, busybox, f"--as={size << 20}") for size in (28, 30, 32, 256)]
    assert found[-1] is True


@pytest.mark.parametrize("size", [0, 1, 100, 400, 1000])
def test_too_small_files(isolate_cmd: Isolate, busybox: Path, size: int) -> None:
    isolate_cmd("run", f"--rootfs={busybox}", "--", "true", check=True)
    assert with_limit(isolate_cmd, busybox, f"--fsize={size}") is False
