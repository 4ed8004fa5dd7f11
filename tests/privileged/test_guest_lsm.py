"""AppArmor profiles and SELinux labels, in a virtual machine whose kernel enforces them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import guest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.needs("root", "qemu-system-x86_64", "mkfs.ext4", "busybox"),
    pytest.mark.timeout(600),  # everything is emulated
]

# enforce_statfs=2 makes paths disconnected from the mount table; a chroot's lie below the host's.
PROFILE = """
profile isolate-test flags=(attach_disconnected) {
  file, capability, network, signal, unix, ptrace,
  deny /etc/passwd r,
  deny /**/etc/passwd r,
}
"""

_SIDS = (
    "kernel security unlabeled fs file file_labels init any_socket port netif netmsg node "
    "igmp_packet icmp_socket tcp_socket sysctl_modprobe sysctl sysctl_fs sysctl_kernel sysctl_net "
    "sysctl_net_unix sysctl_vm sysctl_dev kmod policy scmp_packet devnull"
).split()
_SYSTEM, JAILED = "system_u:system_r:system_t", "system_u:system_r:jail_t"
# The smallest policy that the kernel takes: all that it doesn't name is allowed, and of what it
# names, stream sockets are not for jail_t.
POLICY = f"""
class process
class unix_stream_socket
{"".join(f"sid {name}{chr(10)}" for name in _SIDS)}
class process {{ transition dyntransition }}
class unix_stream_socket {{ create }}
policycap nnp_nosuid_transition;
type system_t;
type jail_t;
role system_r;
role system_r types {{ system_t jail_t }};
allow system_t {{ system_t jail_t }} : process {{ transition dyntransition }};
allow jail_t jail_t : process {{ transition dyntransition }};
allow system_t system_t : unix_stream_socket create;
user system_u roles {{ system_r }};
{"".join(f"sid {name} {_SYSTEM}{chr(10)}" for name in _SIDS)}
genfscon proc / {_SYSTEM}
"""


_RECEIPT = (
    'echo "receipt of $name: '
    '$(tr -d \' \\n\' </disk/result | grep -o \'"feature":"privileges.lsm_label"[^}]*\')"'
)


def lines(answer: guest.Answer) -> dict[str, str]:
    """The lines `key: value` of what the guest printed."""
    rows = (line.split(": ", 1) for line in answer.output.splitlines() if ": " in line)
    return {key.strip(): value.strip() for key, value in rows}


@pytest.mark.needs("apparmor_parser", "runc", "crun")
def test_a_profile_of_apparmor_holds(guest_kernel: guest.Kernel, tmp_path: Path) -> None:
    (tmp_path / "profile").write_text(PROFILE)
    (tmp_path / "spec.toml").write_text('[privileges]\nlsm_label = "isolate-test"\n')
    answer = guest.run(
        f"""{guest.ENVIRONMENT}
mount -t securityfs securityfs /sys/kernel/security
apparmor_parser --skip-cache {tmp_path}/profile || exit 3
isolate="$python -m isolate"
spec="--spec {tmp_path}/spec.toml"
try() {{
    name=$1; shift
    $isolate run --result-json /disk/result "$@" -- sh -c "
        echo $name: \\$(cat /proc/self/attr/current) \\$(cat /etc/passwd 2>&1 | tail -n 1)"
    {_RECEIPT}
}}
for backend in namespaces chroot runc crun; do try $backend --backend=$backend $spec; done
try jail --backend=jail -o mac.label=isolate-test
$isolate run $spec --init -d --name one -- sleep 60
$isolate inspect one > /disk/result; name=init; {_RECEIPT}
echo "exec: $($isolate exec one cat /proc/self/attr/current)"
$isolate delete --force one
$isolate run --backend=jail -o mac.label=nowhere -- true 2>&1 | sed 's/^/none: /'
""",
        guest_kernel,
        tmp_path,
        timeout=560,
    )
    found = lines(answer)
    for name in ("namespaces", "chroot", "jail", "runc", "crun"):
        assert found.get(name, answer.output).startswith("isolate-test (enforce)"), name
        assert found[name].endswith("Permission denied"), name
        assert '"holds":true' in found[f"receipt of {name}"], name
    assert '"holds":true' in found["receipt of init"]
    assert found["exec"] == "isolate-test (enforce)"
    assert "AppArmor has no profile nowhere" in answer.output


@pytest.mark.needs("checkpolicy")
def test_a_label_of_selinux_holds(guest_kernel: guest.Kernel, tmp_path: Path) -> None:
    (tmp_path / "policy.conf").write_text(POLICY)
    (tmp_path / "spec.toml").write_text(f'[privileges]\nlsm_label = "{JAILED}"\n')
    answer = guest.run(
        f"""{guest.ENVIRONMENT}
mount -t selinuxfs selinuxfs /sys/fs/selinux
checkpolicy -c 33 -U allow -o /disk/policy {tmp_path}/policy.conf >/dev/null || exit 3
cat /disk/policy > /sys/fs/selinux/load || exit 4
echo 1 > /sys/fs/selinux/enforce
isolate="$python -m isolate"
code="import socket
print(open('/proc/self/attr/current').read().strip(chr(0)))
try: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
except PermissionError: print('refused')"
try() {{
    name=$1; shift
    echo "$name: $($isolate run --result-json /disk/result "$@" -- python3 -c "$code" 2>&1 |
        tr '\\n' ' ')"
    {_RECEIPT}
}}
try namespaces --spec {tmp_path}/spec.toml
try jail --backend=jail -o mac.label={JAILED}
try plain
$isolate run --backend=jail -o mac.label=system_u:system_r:nobody_t -- true 2>&1 | sed 's/^/none: /'
""",
        guest_kernel,
        tmp_path,
        timeout=560,
        boot="security=selinux selinux=1",
    )
    found = lines(answer)
    for name in ("namespaces", "jail"):
        assert found.get(name, answer.output) == f"{JAILED} refused", name
        assert '"holds":true' in found[f"receipt of {name}"], name
    assert found["plain"] == _SYSTEM
    assert "SELinux knows no label" in answer.output
