"""Root's further programs in a jail that nothing but its first process holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("root", "landlock", "busybox")


def test_a_persistent_jail_can_be_entered(isolate_cmd: Isolate, busybox: Path) -> None:
    conf = isolate_cmd.state.parent / "jail.conf"
    conf.write_text(f"keep {{ path = {busybox}; persist; }}\n")
    isolate_cmd("jail", "-f", str(conf), "-c", "keep", check=True)
    try:
        script = "cat /proc/self/mountinfo; grep CapBnd /proc/self/status; mknod /null c 1 3"
        done = isolate_cmd("jexec", "keep", "--", "sh", "-c", script)
        assert done.stdout == f"CapBnd:\t{0:016x}\n"
        assert done.returncode != 0
        assert "mknod" in done.stderr
    finally:
        isolate_cmd("jail", "-r", "keep", check=True)
    assert isolate_cmd("ps", "--json").stdout.strip() == "[]"
