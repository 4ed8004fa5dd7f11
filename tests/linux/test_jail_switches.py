"""What is left of jail(8)'s parameters, each tried from inside a jail of an ordinary user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import roots
from tests.support.detached import until
from tests.support.jailed import inside

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("userns", "landlock")

SUPER = ("allow.suser=1", "enforce_statfs=1")


def refused(isolate: Isolate, *options: str) -> str:
    """The error of a jail that can't be."""
    said = [word for option in options for word in ("-o", option)]
    done = isolate("run", "--backend=jail", *said, "--", "true")
    assert done.returncode == 125
    assert "hint:" in done.stderr
    return done.stderr


def test_an_own_network_has_addresses_of_both_families(rootless_cmd: Isolate) -> None:
    code = """
with socket.create_server(("2001:db8::7", 0), family=socket.AF_INET6) as server:
    client = socket.create_connection(server.getsockname()[:2])
    found["peer"] = client.getsockname()[0]
attempt("other", lambda: socket.create_server(("2001:db8::8", 0), family=socket.AF_INET6))
"""
    found = inside(rootless_cmd, code, "ip6.addr=2001:db8::7", "ip6.saddrsel=0")
    assert found == {"peer": "2001:db8::7", "other": "EADDRNOTAVAIL"}


def test_a_host_name_gives_addresses_beside_those_said(rootless_cmd: Isolate) -> None:
    code = """
for address in ("192.0.2.7", "192.0.2.8", "192.0.2.9"):
    attempt(address, lambda: socket.create_server((address, 0)))
"""
    options = ("ip_hostname=1", "host.hostname=192.0.2.8", "ip4.addr=192.0.2.7")
    assert inside(rootless_cmd, code, *options) == {
        "192.0.2.7": "done",
        "192.0.2.8": "done",
        "192.0.2.9": "EADDRNOTAVAIL",
    }


def test_a_name_without_addresses_is_told(rootless_cmd: Isolate) -> None:
    name = ("ip_hostname=1", "host.hostname=192.0.2.8")
    assert "no address of 192.0.2.8" in refused(rootless_cmd, *name, "ip4=disable", "ip6=disable")
    assert "host.hostname" in refused(rootless_cmd, "ip_hostname=1")


def test_the_devices_of_a_jail(rootless_cmd: Isolate) -> None:
    code = 'found["dev"] = sorted(os.listdir("/dev")) if os.path.isdir("/dev") else []'
    with_them = inside(rootless_cmd, code, "devfs_ruleset=4")["dev"]
    assert {"fd", "null", "random", "urandom", "zero"} <= set(with_them)
    assert not [name for name in with_them if name.startswith(("sd", "vd", "nvme", "mem", "kmsg"))]
    assert "null" not in inside(rootless_cmd, code, "mount.devfs=0")["dev"]
    assert "devfs_ruleset" in refused(rootless_cmd, "devfs_ruleset=5")
    assert "mount.fdescfs" in refused(rootless_cmd, "mount.fdescfs=0")


def test_without_proc(rootless_cmd: Isolate) -> None:
    code = 'found["proc"] = os.path.exists("/proc/self")'
    assert inside(rootless_cmd, code, "mount.procfs=0") == {"proc": False}
    assert inside(rootless_cmd, code, "mount.procfs=1") == {"proc": True}


def test_all_of_system_v(rootless_cmd: Isolate) -> None:
    code = """
attempt("msg", syscall, 68, 0, 0o1600)
attempt("sem", syscall, 64, 0, 1, 0o1600)
attempt("shm", syscall, 29, 0, 4096, 0o1600)
"""
    closed = dict.fromkeys(("msg", "sem", "shm"), "EPERM")
    assert inside(rootless_cmd, code, "allow.sysvipc=0") == closed
    assert inside(rootless_cmd, code, "allow.sysvipc=1") == dict.fromkeys(closed, "done")


KINDS = {
    "devfs": 'attempt("x", syscall, 165, b"none", b"/m", b"devtmpfs", 0, 0)',
    "fdescfs": 'attempt("x", syscall, 165, b"/proc/self/fd", b"/m", None, 4096, 0)',
    "nullfs": 'attempt("x", syscall, 165, b"/etc", b"/m", None, 4096, 0)',
    "procfs": 'attempt("x", syscall, 165, b"none", b"/m", b"proc", 0, 0)',
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_mounts(rootless_cmd: Isolate, kind: str) -> None:
    code = f'os.makedirs("/m", exist_ok=True); {KINDS[kind]}'
    assert inside(rootless_cmd, code, *SUPER, f"allow.mount.{kind}=0") == {"x": "EPERM"}
    opened = inside(rootless_cmd, code, *SUPER, "allow.mount=1", f"allow.mount.{kind}=1")
    # The kernel itself mounts no device filesystem, and no proc of others, for a user namespace.
    assert opened == {"x": "done"} or kind in ("devfs", "procfs")
    both = (*SUPER, "allow.mount=1", f"allow.mount.{kind}=0")
    assert "can't be off" in refused(rootless_cmd, *both)
    assert "allow.mount" in refused(rootless_cmd, *SUPER, f"allow.mount.{kind}=1")


def test_quotas_and_the_kernel_log(rootless_cmd: Isolate) -> None:
    quotas = 'attempt("x", syscall, 179, 0x80000100, None, 0, 0)'  # Q_SYNC of all
    assert inside(rootless_cmd, quotas, "allow.quotas=0") == {"x": "EPERM"}
    assert inside(rootless_cmd, quotas, "allow.quotas=1")["x"] != "EPERM"
    log = 'attempt("x", syscall, 103, 10, None, 0)'  # SYSLOG_ACTION_SIZE_BUFFER
    assert inside(rootless_cmd, log, "allow.read_msgbuf=0") == {"x": "EPERM"}
    with open("/proc/sys/kernel/dmesg_restrict") as file:
        restricted = file.read().strip() == "1"
    wanted = "EPERM" if restricted else "done"
    assert inside(rootless_cmd, log, "allow.read_msgbuf=1") == {"x": wanted}


def test_reserved_ports(rootless_cmd: Isolate) -> None:
    code = 'attempt("x", lambda: socket.create_server(("127.0.0.1", 80)))'
    assert inside(rootless_cmd, code, "allow.suser=1", "allow.reserved_ports=0")["x"] == "EACCES"
    assert inside(rootless_cmd, code, "allow.suser=1", "allow.reserved_ports=1")["x"] == "done"


@pytest.mark.parametrize(
    "option",
    (
        "allow.adjtime=1 allow.setaudit=1 allow.extattr=1 interface=lo mac.label=x cpuset.id=0 "
        "ip4.addr=lo|192.0.2.7 exec.system_user=nobody vnet.interface=lo"
    ).split(),
)
def test_what_needs_root_says_so(rootless_cmd: Isolate, option: str) -> None:
    assert "needs root" in refused(rootless_cmd, option)


def test_the_environment(rootless_cmd: Isolate) -> None:
    script = ("--", "sh", "-c", "echo ${USER-none} ${SHELL-none} ${SECRET-none}")
    outside = {"USER": "someone", "SHELL": "/bin/x", "SECRET": "s"}
    clean = rootless_cmd("run", "--backend=jail", *script, env=outside, check=True)
    assert clean.stdout == "none none none\n"
    words = ("run", "--backend=jail", "-o", "exec.clean=0", *script)
    assert rootless_cmd(*words, env=outside, check=True).stdout == "someone /bin/x none\n"


def test_whose_program_it_is(rootless_cmd: Isolate, busybox: Path) -> None:
    root = roots.copy(busybox, rootless_cmd.state.parent / "root")
    (root / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\ninside:x:77:78::/:/bin/sh\n")
    where = ("run", "--backend=jail", "--rootfs", f"dir:{root}")
    program = ("--", "sh", "-c", "id -u; id -g")
    done = rootless_cmd(*where, "-o", "exec.jail_user=inside", *program, check=True)
    assert done.stdout.split() == ["77", "78"]
    system = ("-o", "exec.system_jail_user=1")
    done = rootless_cmd(*where, "-o", "exec.jail_user=daemon", *system, *program, check=True)
    assert done.stdout.split() == ["1", "1"]
    done = rootless_cmd(*where, "-o", "exec.jail_user=inside", *system, *program)
    assert done.returncode == 125
    assert "no user" in done.stderr


def test_commands_end_in_time(rootless_cmd: Isolate) -> None:
    limit = ("-o", "exec.timeout=1")
    words = ["run", "--backend=jail", *limit, "-o", "exec.prestart=sleep 60", "--", "true"]
    done = rootless_cmd(*words)
    assert done.returncode == 125
    assert "not done after 1 seconds" in done.stderr
    words = ["run", "--backend=jail", *limit, "-o", "exec.start=sleep 60", "--", "echo", "never"]
    done = rootless_cmd(*words)
    assert (done.returncode, done.stdout) == (137, "")


def test_stop_waits_as_long_as_it_is_told(rootless_cmd: Isolate) -> None:
    log = rootless_cmd.state.parent / "console"
    script = "trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.1; done"
    words = ("run", "-d", "--backend=jail", "-o", f"exec.consolelog={log}")
    rootless_cmd(*words, "--name", "good", "--", "sh", "-c", script, check=True)
    deaf = script.replace("'echo bye; exit'", "''")
    patience = ("-o", "stop.timeout=1")
    rootless_cmd(*words, *patience, "--name", "deaf", "--", "sh", "-c", deaf, check=True)
    until(lambda: log.read_text().count("up") == 2)
    rootless_cmd("jail", "-r", "good", "deaf", check=True)
    assert log.read_text().split() == ["up", "up", "bye"]
    assert rootless_cmd("ps", "--json", check=True).stdout.strip() == "[]"


def test_a_file_of_mounts(rootless_cmd: Isolate) -> None:
    path = rootless_cmd.state.parent / "fstab"
    path.write_text(
        "# of the jail\ntmpfs /a\\040b tmpfs rw,size=1m 0 0\n/usr /host nullfs ro 0 0\n"
    )
    path.chmod(0o644)
    code = """
open("/a b/file", "w").close()
attempt("host", open, "/host/file", "w")
"""
    assert inside(rootless_cmd, code, f"mount.fstab={path}") == {"host": "EROFS"}


def test_what_is_only_stored(rootless_cmd: Isolate) -> None:
    stored = ("-o", "meta=of the web", "-o", "env=A=1")
    words = ("run", "-d", "--backend=jail", *stored, "--name", "one", "--", "sleep", "60")
    rootless_cmd(*words, check=True)
    try:
        assert rootless_cmd("jls", "-j", "one", "-n", "meta", "env", check=True).stdout == (
            "meta=of the web env=A=1\n"
        )
    finally:
        rootless_cmd("delete", "--force", "one")
