"""A jail of an ordinary user holds what its parameters say: attempts from inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.jailed import inside

if TYPE_CHECKING:
    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("userns", "landlock")

RAW = """
attempt("raw4", socket.socket, socket.AF_INET, socket.SOCK_RAW, 1)
attempt("raw6", socket.socket, socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 58)
attempt("ping", socket.socket, socket.AF_INET, socket.SOCK_DGRAM, 1)
attempt("packet", socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0)
attempt("tcp", socket.socket, socket.AF_INET, socket.SOCK_STREAM, 0)
attempt("netlink", socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, 0)
"""


def test_raw_sockets_off(rootless_cmd: Isolate) -> None:
    assert inside(rootless_cmd, RAW, "allow.raw_sockets=0") == {
        "raw4": "EPERM",
        "raw6": "EPERM",
        "ping": "EPERM",
        "packet": "EPERM",
        "tcp": "done",
        "netlink": "done",
    }


def test_raw_sockets_on(rootless_cmd: Isolate) -> None:
    found = inside(rootless_cmd, RAW, "allow.raw_sockets=1")
    assert found | {"ping": ""} == dict.fromkeys(found, "done") | {"ping": ""}


CHILDREN = """
ME = os.getpid()
CLONE = {"user": 0x10000000, "mount": 0x20000, "pid": 0x20000000, "net": 0x40000000}
for name, flag in CLONE.items():
    attempt("unshare " + name, syscall, 272, flag)
    attempt("clone " + name, syscall, 56, flag | 17, 0, 0, 0, 0)
attempt("clone3", syscall, 435, 0, 0)
attempt("setns", syscall, 308, os.open("/proc/self/ns/net", os.O_RDONLY), 0)
attempt("fork", os.fork)
if os.getpid() != ME:
    os._exit(0)
"""


@pytest.mark.parametrize("options", [(), ("children.max=0",), ("allow.suser=1",)])
def test_no_children(rootless_cmd: Isolate, options: tuple[str, ...]) -> None:
    found = inside(rootless_cmd, CHILDREN, *options)
    assert found.pop("clone3") == "ENOSYS"
    assert found.pop("fork") == "done"
    assert set(found.values()) == {"EPERM"}


def test_the_kernel_counts_children(rootless_cmd: Isolate) -> None:
    code = """
def nested(depth):
    child = os.fork()
    if child == 0:
        try:
            syscall(272, 0x10000000)
        except OSError as error:
            os._exit(error.errno)
        if depth > 1:
            os._exit(nested(depth - 1))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
found["one"] = nested(1)
found["two"] = errno.errorcode.get(nested(2), "done")
"""
    found = inside(rootless_cmd, code, "children.max=1", "enforce_statfs=1")
    assert found == {"one": 0, "two": "ENOSPC"}


LEVEL = """
open("/f", "w").close()
flags = os.open("/f", os.O_RDONLY)
attempt("chattr", fcntl.ioctl, flags, 0x40086602, struct.pack("l", 0x10))
attempt("module", syscall, 175, 0, 0, 0)
attempt("iopl", syscall, 172, 3)
attempt("clock", syscall, 227, 0, 0)
attempt("adjtimex", syscall, 159, 0)
attempt("mknod", os.mknod, "/disk", 0o60600, os.makedev(8, 0))
link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
link.send(struct.pack("=IHHII", 32, 16, 5, 1, 0) + struct.pack("=BxHiII", 0, 0, 1, 0, 1))
code = struct.unpack_from("=i", link.recv(4096), 16)[0]
found["lo down"] = errno.errorcode.get(-code, "done")
found["bounding"] = [l.split()[1] for l in open("/proc/self/status") if l.startswith("CapBnd")][0]
"""


def test_securelevel_3(rootless_cmd: Isolate) -> None:
    found = inside(rootless_cmd, LEVEL, "securelevel=3", "allow.suser=1", "allow.routing=1")
    bounding = int(found.pop("bounding"), 16)
    for number in (9, 12, 16, 17, 25):  # LINUX_IMMUTABLE NET_ADMIN SYS_MODULE SYS_RAWIO SYS_TIME
        assert not bounding >> number & 1
    assert set(found.values()) <= {"EPERM", "EACCES"}


def test_below_securelevel_3_links_may_be_changed(rootless_cmd: Isolate) -> None:
    found = inside(rootless_cmd, LEVEL, "securelevel=2", "allow.suser=1", "allow.routing=1")
    assert found["lo down"] == "done"
    assert found["clock"] == "EPERM"


MOUNTS = """
for name in ("mountinfo", "mounts", "mountstats"):
    found[name] = open("/proc/self/" + name).read()
    found["of 1 " + name] = open("/proc/1/" + name).read()
attempt("statmount", syscall, 457, 0, 0, 0, 0)
attempt("listmount", syscall, 458, 0, 0, 0, 0)
"""


@pytest.mark.parametrize("options", [(), ("enforce_statfs=2",), ("allow.suser=1",)])
def test_enforce_statfs_2_hides_every_mount(
    rootless_cmd: Isolate, options: tuple[str, ...]
) -> None:
    found = inside(rootless_cmd, MOUNTS, *options)
    assert found.pop("statmount") == "ENOSYS"
    assert found.pop("listmount") == "ENOSYS"
    assert set(found.values()) == {""}


def test_enforce_statfs_1_shows_the_own_ones(rootless_cmd: Isolate) -> None:
    found = inside(rootless_cmd, MOUNTS, "enforce_statfs=1")
    points = [line.split()[4] for line in found["mountinfo"].splitlines()]
    assert points.count("/") == 1
    assert "/proc" in points
    assert found["statmount"] == "ENOSYS"


def test_an_own_network_has_the_addresses(rootless_cmd: Isolate) -> None:
    code = """
server = socket.create_server(("192.0.2.7", 0))
client = socket.create_connection(server.getsockname())
found["peer"] = client.getsockname()[0]
attempt("other", socket.create_server, ("192.0.2.8", 0))
"""
    found = inside(rootless_cmd, code, "ip4.addr=192.0.2.7")
    assert found == {"peer": "192.0.2.7", "other": "EADDRNOTAVAIL"}


def test_a_disabled_family(rootless_cmd: Isolate) -> None:
    code = """
attempt("4", socket.socket, socket.AF_INET)
attempt("6", socket.socket, socket.AF_INET6)
"""
    assert inside(rootless_cmd, code, "ip6=disable") == {"4": "done", "6": "EAFNOSUPPORT"}


SWITCHES = {
    "allow.mlock": 'attempt("x", syscall, 151, 0)',
    "sysvmsg": 'attempt("x", syscall, 68, 0, 0o1600)',
    "sysvsem": 'attempt("x", syscall, 64, 0, 1, 0o1600)',
    "sysvshm": 'attempt("x", syscall, 29, 0, 4096, 0o1600)',
    "allow.unprivileged_proc_debug": 'attempt("x", syscall, 101, 0, 0, 0, 0)',
    "allow.socket_af": 'attempt("x", socket.socket, 38, socket.SOCK_SEQPACKET, 0)',
    "allow.chflags": (
        'open("/f", "w").close(); f = os.open("/f", os.O_RDONLY); '
        'attempt("x", fcntl.ioctl, f, 0x40086602, struct.pack("l", 0x40))'
    ),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_each_switch_holds_and_opens(rootless_cmd: Isolate, name: str) -> None:
    off, on = ("disable", "new") if name.startswith("sysv") else ("0", "1")
    assert inside(rootless_cmd, SWITCHES[name], f"{name}={off}")["x"] == "EPERM"
    assert inside(rootless_cmd, SWITCHES[name], f"{name}={on}")["x"] != "EPERM"


def test_the_host_name_needs_the_super_user(rootless_cmd: Isolate) -> None:
    code = 'attempt("x", socket.sethostname, "other")'
    assert inside(rootless_cmd, code) == {"x": "EPERM"}
    assert inside(rootless_cmd, code, "allow.suser=1") == {"x": "done"}
    both = ("allow.suser=1", "allow.set_hostname=0")
    assert inside(rootless_cmd, code, *both) == {"x": "EPERM"}


def test_mounting(rootless_cmd: Isolate) -> None:
    code = """
os.makedirs("/m", exist_ok=True)
attempt("old", syscall, 165, b"none", b"/m", b"tmpfs", 0, 0)
attempt("new", syscall, 430, b"tmpfs", 1)
"""
    closed = ("allow.suser=1", "enforce_statfs=1")
    assert inside(rootless_cmd, code, *closed) == {"old": "EPERM", "new": "EPERM"}
    opened = (*closed, "allow.mount=1", "allow.mount.tmpfs=1")
    assert inside(rootless_cmd, code, *opened) == {"old": "done", "new": "done"}


def test_landlock_is_a_second_fence(rootless_cmd: Isolate) -> None:
    """What no other layer refuses: a fifo is made, a device node is EACCES by Landlock."""
    code = """
attempt("fifo", os.mknod, "/fifo", 0o10600)
attempt("device", os.mknod, "/null", 0o20600, os.makedev(1, 3))
"""
    found = inside(rootless_cmd, code, "allow.suser=1")
    assert found["fifo"] == "done"
    assert found["device"] in ("EACCES", "EPERM")


def test_names_and_numbers(rootless_cmd: Isolate) -> None:
    code = """
found["uname"] = os.uname().nodename
found["domain"] = open("/proc/sys/kernel/domainname").read().strip()
found["machine"] = open("/etc/machine-id").read()
found["hostid"] = open("/etc/hostid", "rb").read().hex()
attempt("write", open, "/etc/hostid", "wb")
"""
    found = inside(
        rootless_cmd,
        code,
        "host.hostname=web.example",
        "host.domainname=nis.example",
        "host.hostuuid=00112233-4455-6677-8899-aabbccddeeff",
        "host.hostid=258",
    )
    assert found.pop("write") in ("EROFS", "EACCES")
    assert found == {
        "uname": "web.example",
        "domain": "nis.example",
        "machine": "00112233445566778899aabbccddeeff\n",
        "hostid": "02010000",
    }


def test_without_any_right(rootless_cmd: Isolate) -> None:
    code = """
for line in open("/proc/self/status"):
    name, _, value = line.partition(":")
    if name.startswith("Cap") or name in ("NoNewPrivs", "Seccomp"):
        found[name] = int(value, 16)
"""
    found = inside(rootless_cmd, code)
    assert found.pop("NoNewPrivs") == 1
    assert found.pop("Seccomp") == 2
    assert set(found.values()) == {0}


def test_mounts_of_the_jail(rootless_cmd: Isolate) -> None:
    code = """
open("/scratch/f", "w").close()
attempt("host", open, "/host/f", "w")
found["seen"] = os.path.isdir("/host/bin")
"""
    found = inside(
        rootless_cmd,
        code,
        "mount=tmpfs /scratch tmpfs rw,size=1m 0 0",
        args=("--mount", "type=bind,source=/usr,target=/host,readonly"),
    )
    assert found == {"host": "EROFS", "seen": True}


def test_start_and_stop_run_inside_and_hooks_outside(rootless_cmd: Isolate) -> None:
    points = ("prepare", "prestart", "created", "poststart", "prestop", "poststop", "release")
    options = [word for point in points for word in ("-o", f"exec.{point}=echo {point}")]
    done = rootless_cmd(
        "run",
        "--backend=jail",
        *options,
        "-o",
        "exec.start=echo start",
        "-o",
        "exec.stop=echo stop",
        "--",
        "sh",
        "-c",
        "echo program; exit 3",
    )
    assert done.returncode == 3
    order = done.stdout.split()
    assert order[:3] == ["prepare", "prestart", "created"]
    assert order[-2:] == ["poststop", "release"]
    assert [word for word in order if word in ("start", "program", "stop")] == [
        "start",
        "program",
        "stop",
    ]


def test_a_failing_hook_aborts(rootless_cmd: Isolate) -> None:
    done = rootless_cmd(
        "run",
        "--backend=jail",
        "-o",
        "exec.prestart=exit 4",
        "-o",
        "exec.created=echo made",
        "--",
        "echo",
        "program",
    )
    assert done.returncode == 125
    assert "exec.prestart failed" in done.stderr
    assert done.stdout == ""


REFUSED: dict[str, tuple[str, ...]] = {
    "did you mean allow.raw_sockets": ("allow.raw_socket=1",),
    "don't have it": ("osrelease=14.0",),
    "is read only": ("dying=1",),
    "not allowed": ("securelevel=9",),
    "contradicts": ("ip4=disable", "ip4.addr=10.0.0.1"),
    "needs enforce_statfs": ("allow.mount=1", "allow.suser=1"),
    "takes away CAP_NET_ADMIN": ("securelevel=3",),
    "first user namespace": ("allow.settime=1",),
    "needs root": ("exec.fib=1",),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_is_refused(rootless_cmd: Isolate, words: str) -> None:
    options = [word for option in REFUSED[words] for word in ("-o", option)]
    extra = ["--cap-add", "NET_ADMIN"] if "CAP_NET_ADMIN" in words else []
    done = rootless_cmd("run", "--backend=jail", *options, *extra, "--", "true")
    assert done.returncode == 125
    if words == "first user namespace":
        words = "needs root"
    assert words in done.stderr
    assert "hint:" in done.stderr
