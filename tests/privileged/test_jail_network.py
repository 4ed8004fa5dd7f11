"""Jails of root: addresses of the host's stack, routing marks, the log, hooks as another user."""

from __future__ import annotations

import os
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from isolate.linux import lsm
from tests.support.jailed import inside

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("root", "cgroup2", "landlock")

OWN = "127.0.0.77"


def test_addresses_of_a_shared_stack(isolate_cmd: Isolate) -> None:
    """As in FreeBSD: any address and loopback mean the own one, IPv6 without one is off."""
    with socket.create_server(("127.0.0.1", 0)) as host, socket.create_server((OWN, 0)) as own:
        code = f"""
def bound(address):
    with socket.socket() as made:
        made.setsockopt(socket.IPPROTO_IP, 15, 1)
        made.bind((address, 0))
        found[address] = made.getsockname()[0]
for address in ("0.0.0.0", "127.0.0.1", "{OWN}", "192.0.2.9"):
    attempt("bind " + address, bound, address)
client = socket.create_connection(("{OWN}", {own.getsockname()[1]}))
found["source"] = client.getsockname()[0]
attempt("host", socket.create_connection, ("127.0.0.1", {host.getsockname()[1]}))
attempt("six", socket.socket, socket.AF_INET6)
"""
        found = inside(isolate_cmd, code, f"ip4.addr={OWN}")
    assert found == {
        "0.0.0.0": OWN,  # noqa: S104 - what was asked for
        "127.0.0.1": OWN,
        OWN: OWN,
        "bind 0.0.0.0": "done",
        "bind 127.0.0.1": "done",
        f"bind {OWN}": "done",
        "bind 192.0.2.9": "EPERM",
        "source": OWN,
        "host": "ECONNREFUSED",
        "six": "EAFNOSUPPORT",
    }


def test_abstract_sockets_of_the_host_are_out_of_reach(isolate_cmd: Isolate) -> None:
    name = f"isolate-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        code = f'attempt("x", socket.socket(socket.AF_UNIX).connect, "\\0{name}")'
        assert inside(isolate_cmd, code, "ip4=inherit", "ip6=inherit") == {"x": "EPERM"}


def test_five_parameters_at_once(isolate_cmd: Isolate) -> None:
    code = """
attempt("raw", socket.socket, socket.AF_INET, socket.SOCK_RAW, 1)
made = socket.create_server(("0.0.0.0", 0))
found["bound"] = made.getsockname()[0]
attempt("unshare", syscall, 272, 0x10000000)
attempt("clock", syscall, 227, 0, 0)
attempt("module", syscall, 175, 0, 0, 0)
found["mounts"] = open("/proc/self/mountinfo").read()
"""
    found = inside(
        isolate_cmd,
        code,
        "allow.raw_sockets=0",
        f"ip4.addr={OWN}",
        "children.max=0",
        "securelevel=3",
        "enforce_statfs=2",
        "allow.suser=1",
    )
    assert found == {
        "raw": "EPERM",
        "bound": OWN,
        "unshare": "EPERM",
        "clock": "EPERM",
        "module": "EPERM",
        "mounts": "",
    }


def test_a_fib_is_a_mark(isolate_cmd: Isolate) -> None:
    code = 'found["mark"] = socket.socket().getsockopt(socket.SOL_SOCKET, 36)'
    assert inside(isolate_cmd, code, "exec.fib=7", "ip4=inherit") == {"mark": 7}


def test_the_console_log_and_the_hooks_user(isolate_cmd: Isolate, tmp_path: Path) -> None:
    log = tmp_path / "console"
    done = isolate_cmd(
        "run",
        "--backend=jail",
        "-o",
        f"exec.consolelog={log}",
        "-o",
        "exec.system_user=nobody",
        "-o",
        "exec.prestart=id -un",
        "--",
        "echo",
        "inside",
        check=True,
    )
    assert done.stdout == ""
    assert log.read_text().split() == ["nobody", "inside"]
    assert log.stat().st_mode & 0o777 == 0o600


def test_the_console_log_is_no_link(isolate_cmd: Isolate, tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to(tmp_path / "target")
    option = f"exec.consolelog={tmp_path}/log"
    done = isolate_cmd("run", "--backend=jail", "-o", option, "--", "true")
    assert done.returncode == 125
    assert not (tmp_path / "target").exists()


@pytest.mark.needs("ip")
def test_a_link_moves_in(isolate_cmd: Isolate) -> None:
    name = f"isojt{os.getpid() % 10**6}"
    subprocess.run(
        ["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p"], check=True
    )
    try:
        code = 'found["links"] = [name for _index, name in socket.if_nameindex()]'
        found = inside(isolate_cmd, code, "vnet=1", f"vnet.interface={name}")
        assert name in found["links"]
    finally:
        subprocess.run(["ip", "link", "delete", f"{name}p"], check=False, capture_output=True)


RIGHTS = {"settime": 25, "adjtime": 25, "setaudit": 30, "extattr": 21}  # capability numbers


@pytest.mark.parametrize("name", RIGHTS)
def test_a_right_of_the_first_user_namespace(isolate_cmd: Isolate, name: str) -> None:
    option = f"allow.{name}=1"
    refused = isolate_cmd("run", "--backend=jail", "-o", option, "--", "true")
    assert refused.returncode == 125
    assert "--userns=host" in refused.stderr
    code = """
caps = [line.split()[1] for line in open("/proc/self/status") if line.startswith("CapBnd")][0]
found["caps"] = int(caps, 16)
"""
    assert inside(isolate_cmd, code, args=("--userns=host",)) == {"caps": 0}
    found = inside(isolate_cmd, code, option, args=("--userns=host",))
    assert found == {"caps": 1 << RIGHTS[name]}


@pytest.mark.needs("cgroup:cpuset")
def test_the_cpus_of_a_jail(isolate_cmd: Isolate) -> None:
    code = 'found["cpus"] = sorted(os.sched_getaffinity(0))'
    assert inside(isolate_cmd, code, "cpuset.id=0") == {"cpus": [0]}


def test_a_label_needs_a_module_that_knows_it(isolate_cmd: Isolate) -> None:
    done = isolate_cmd("run", "--backend=jail", "-o", "mac.label=x", "--", "true")
    assert done.returncode == 125
    wanted = "neither AppArmor nor SELinux" if lsm.active() is None else "has no profile x"
    assert wanted in done.stderr.replace("knows no label", "has no profile")


@pytest.mark.parametrize("word", ["socket.SOCK_STREAM", "socket.SOCK_DGRAM"])
def test_inherited_networks_reach_the_host(isolate_cmd: Isolate, word: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as host:
        code = f"""
made = socket.socket(socket.AF_INET, {word})
attempt("x", made.connect, ("127.0.0.1", {host.getsockname()[1]}))
"""
        assert inside(isolate_cmd, code, "ip4=inherit") == {"x": "done"}
