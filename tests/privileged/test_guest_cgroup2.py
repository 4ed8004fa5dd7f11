"""Pure cgroup version 2 and an older kernel, in a virtual machine: what this host can't show."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support import guest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.needs("root", "qemu-system-x86_64", "mkfs.ext4", "busybox"),
    pytest.mark.timeout(600),  # everything is emulated
]


def test_limits_hold_under_version_2(guest_kernel: guest.Kernel, tmp_path: Path) -> None:
    """The tests of the cgroup package, as they are, where version 2 has every controller.

    What tests of the host have in its /tmp has no owner that lives in the guest: its own session
    would sweep it away, and the file server run out of descriptors.
    """
    tests = "tests/privileged/test_cgroup_group.py tests/privileged/test_cgroup_limits.py"
    answer = guest.run(
        f"{guest.ENVIRONMENT}\nmount --bind /disk/tmp /tmp\nISOLATE_REQUIRE=all,-cgroup_v1 "
        f"$python -m pytest -q -p no:cacheprovider --timeout=300 {tests}",
        guest_kernel,
        tmp_path,
        timeout=560,
    )
    assert answer.status == 0, answer.output[-4000:]
    assert " passed" in answer.output


@pytest.fixture(scope="module")
def told(guest_kernel: guest.Kernel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What whole runs print in one guest, by the word before the colon: of a container as it is,
    and of one by mount(2), with the newer calls hidden."""
    answer = guest.run(
        f"""{guest.ENVIRONMENT}
new="$python -m isolate run --rootfs base --memory 64M --pids 32"
$new -- sh -c 'echo "inside: $(id -u) $(cat /proc/self/cgroup) $(cat /sys/fs/cgroup/memory.max)"'
$new --result-json /disk/result -- python3 -c 'bytearray(10**9)'
echo "status: $?"
echo "result: $(tr -d '\\n' < /disk/result)"
old="$python tests/support/old_kernel.py --release $python -m isolate run --memory 64M"
mkdir /disk/volume; mount -t tmpfs none /disk/volume
script='echo "old: $(id -u) $(touch /x && echo layer) $(touch /v/x 2>/dev/null || echo ro)"'
$old --result-json /disk/result -v /disk/volume:/v:ro -- sh -c "$script"
echo "old result: $(tr -d '\\n' < /disk/result)"
echo "old host's: $($old --userns=host -- sh -c 'touch /x; id -u; ls -d /x' | xargs)"
echo "left: $(find /sys/fs/cgroup -name 'isolate-*') $(grep -c /disk/state /proc/self/mountinfo)"
""",
        guest_kernel,
        tmp_path_factory.mktemp("guest"),
        timeout=400,
    )
    lines = dict(line.split(": ", 1) for line in answer.output.splitlines() if ": " in line)
    assert "left" in lines, answer.output[-4000:]
    return lines


def test_a_container_under_version_2_on_an_older_kernel(told: dict[str, str]) -> None:
    """Cgroup view, memory limit, OOM, and no trace after it."""
    assert told["inside"].split() == ["0", "0::/", str(64 << 20)]
    assert told["status"] == "137"
    result = json.loads(told["result"])
    assert result["oom_killed"] is True
    assert all(row["holds"] for row in result["receipt"])
    assert told["left"].split() == ["0"]


def test_a_container_by_mount(told: dict[str, str]) -> None:
    """With a user namespace and without. The kernel is younger than the calls that are hidden, so
    this isn't all that an old kernel would show."""
    assert told["old"].split() == ["0", "layer", "ro"]
    assert all(row["holds"] for row in json.loads(told["old result"])["receipt"])
    assert told["old host's"].split() == ["0", "/x"]
    assert told["left"].split() == ["0"]


def test_probes_of_what_this_hosts_kernel_lacks(guest_kernel: guest.Kernel, tmp_path: Path) -> None:
    """Modules, and labels of AppArmor: this host's own kernel has neither."""
    answer = guest.run(
        f"""{guest.ENVIRONMENT}
mount -t securityfs securityfs /sys/kernel/security; export TMPDIR=/disk
probe() {{ echo "$1 $2: $($python -m isolate probe --backend=$1 --only=$2 --json | tr -d '\n')"; }}
probe chroot syscall.module
probe namespaces syscall.module
probe chroot priv.lsm
""",
        guest_kernel,
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
