"""Pure cgroup version 2 and an older kernel, in a virtual machine: what this host can't show."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from tests.support import guest, session

pytestmark = [
    pytest.mark.needs("root", "qemu-system-x86_64", "mkfs.ext4", "busybox"),
    pytest.mark.timeout(600),  # everything is emulated
]

_CHECKOUT = Path(__file__).parents[2]
_ENVIRONMENT = f"""
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root PYTHONDONTWRITEBYTECODE=1 LANG=C.UTF-8
export ISOLATE_CACHE=/disk/cache ISOLATE_ROOT=/disk/state
mkdir -p /disk/cache
cd {shlex.quote(str(_CHECKOUT))}
python={shlex.quote(sys.executable)}
"""


@pytest.fixture(scope="module")
def kernel() -> guest.Kernel:
    """The distribution's kernel for virtual machines."""
    return guest.Kernel(session.directory() / "kernel")


def test_limits_hold_under_version_2(kernel: guest.Kernel, tmp_path: Path) -> None:
    """The tests of the cgroup package, as they are, where version 2 has every controller."""
    tests = "tests/privileged/test_cgroup_group.py tests/privileged/test_cgroup_limits.py"
    answer = guest.run(
        f"{_ENVIRONMENT}\nISOLATE_REQUIRE=all,-cgroup_v1 $python -m pytest -q -p no:cacheprovider "
        f"--timeout=300 {tests}",
        kernel,
        tmp_path,
        timeout=560,
    )
    assert answer.status == 0, answer.output[-4000:]
    assert " passed" in answer.output


def test_a_container_under_version_2_on_an_older_kernel(
    kernel: guest.Kernel, tmp_path: Path
) -> None:
    """A whole run: cgroup view, memory limit, OOM, and no trace after it."""
    answer = guest.run(
        f"""{_ENVIRONMENT}
run="$python -m isolate run --rootfs base --memory 64M --pids 32"
$run -- sh -c 'echo "inside: $(id -u) $(cat /proc/self/cgroup) $(cat /sys/fs/cgroup/memory.max)"'
$run --result-json /disk/result -- python3 -c 'bytearray(10**9)'
echo "status: $?"
echo "result: $(tr -d '\\n' < /disk/result)"
echo "left: $(find /sys/fs/cgroup -name 'isolate-*') $(grep -c /disk/state /proc/self/mountinfo)"
""",
        kernel,
        tmp_path,
        timeout=300,
    )
    lines = dict(line.split(": ", 1) for line in answer.output.splitlines() if ": " in line)
    assert lines.get("inside", answer.output).split() == ["0", "0::/", str(64 << 20)]
    assert lines["status"] == "137"
    result = json.loads(lines["result"])
    assert result["oom_killed"] is True
    assert all(row["holds"] for row in result["receipt"])
    assert lines["left"].split() == ["0"]


def test_probes_of_what_this_hosts_kernel_lacks(kernel: guest.Kernel, tmp_path: Path) -> None:
    """Modules, and labels of AppArmor: this host's own kernel has neither."""
    answer = guest.run(
        f"""{_ENVIRONMENT}
mount -t securityfs securityfs /sys/kernel/security; export TMPDIR=/disk
probe() {{ echo "$1 $2: $($python -m isolate probe --backend=$1 --only=$2 --json | tr -d '\n')"; }}
probe chroot syscall.module
probe namespaces syscall.module
probe chroot priv.lsm
""",
        kernel,
        tmp_path,
        timeout=300,
    )
    lines = dict(line.split(": ", 1) for line in answer.output.splitlines() if "]" in line)
    rows = {name: json.loads(text)[0] for name, text in lines.items() if text.startswith("[")}
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "chroot syscall.module": "exposed",
        "namespaces syscall.module": "isolated",
        "chroot priv.lsm": "exposed",
    }, answer.output[-3000:]
    assert "unconfined" in rows["chroot priv.lsm"]["evidence"]
