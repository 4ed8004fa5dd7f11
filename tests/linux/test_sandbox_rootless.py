"""Sandboxes and pools of an ordinary user, with subordinate ids and with a single id."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support import needs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("userns")

SCRIPT = """
import sys
import isolate

root = f"dir:{sys.argv[1]}"
with isolate.Sandbox(rootfs=root) as box:
    script = "id -u; cat; mkdir -m 700 /own; echo made > /own/file"
    ran = box.exec(["sh", "-c", script], stdin=b"in")
    print(ran.stdout, box.read("/own/file"))
    box.write("/own/file", "written", mode=0o600)
    print(box.exec(["sh", "-c", "cat /own/file; stat -c ' %u:%g %a' /own/file"]).stdout)
    print(box.exec(["sleep", "100"], timeout=0.2).timed_out)
    print(box.exec(["sh", "-c", "cat /proc/1/environ || echo hidden"]).stdout)
    if len(sys.argv) > 2:  # there are more users than one
        box.exec(["sh", "-c", "mkdir -m 700 /theirs; chown 7:7 /theirs"]).check()
        box.write("/theirs/file", "x")
        print(box.listdir("/theirs"))
with isolate.Pool(size=2, rootfs=root) as pool:
    print([pool.run(["sh", "-c", "ls /tmp; echo > /tmp/used"]).stdout for _ in range(4)])
"""

SAID = """\
b'0\\nin' b'made\\n'
b'written 0:0 600\\n'
True
b'hidden\\n'
"""


@pytest.mark.parametrize("subids", [True, False])
def test_a_sandbox_without_rights(
    rootless_cmd: Isolate, plain_cmd: Isolate, busybox: Path, subids: bool
) -> None:
    if subids:
        needs.require("newuidmap")
    isolate = rootless_cmd if subids else plain_cmd
    assert isolate.account is not None
    words = [isolate.installation.python, "-P", "-c", SCRIPT, str(busybox)]
    done = subprocess.run(
        isolate.account.argv([*words, "more"] if subids else words, isolate.state.parent),
        env=isolate.environment,
        cwd=isolate.state.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    more = "['file']\n" if subids else ""
    assert (done.stdout, done.stderr) == (f"{SAID}{more}[b'', b'', b'', b'']\n", "")
