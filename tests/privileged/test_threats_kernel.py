"""Attempts on the kernel from inside: system calls, sysctls, devices, terminals, limits."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from isolate.spec import defaults
from tests.privileged.test_run_status import result_of
from tests.support import roots
from tests.support.probes import MACHINE_CODE, probe

if TYPE_CHECKING:
    from tests.support.command import Isolate

pytestmark = pytest.mark.needs("root")


def answer(isolate: Isolate, code: str, *options: str) -> list[str]:
    """What a probe prints, line by line."""
    done = isolate("run", *options, "--", *probe(code))
    assert "error:" not in done.stderr, done.stderr
    return done.stdout.splitlines()


KERNEL_FILES = [
    "/proc/sysrq-trigger",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hotplug",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/fs/binfmt_misc/register",
    "/proc/irq/default_smp_affinity",
    "/proc/self/oom_score_adj",
    "/sys/kernel/uevent_helper",
    "/sys/power/state",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/module/kernel/parameters/panic",
    "/sys/fs/cgroup/release_agent",
    "/proc/sys/kernel/hostname",
]


@pytest.mark.parametrize(
    "options",
    [[], ["--cap-add=SYS_ADMIN", "--seccomp=unconfined"], ["--network=host"], ["--userns=host"]],
    ids=str,
)
def test_kernel_files_are_not_writable(isolate_cmd: Isolate, options: list[str]) -> None:
    code = f"for path in {KERNEL_FILES!r}: print(path, refused(os.open, path, os.O_WRONLY))"
    allowed = {line for line in answer(isolate_cmd, code, *options) if line.endswith("ALLOWED")}
    assert allowed <= {"/proc/self/oom_score_adj ALLOWED"}


def test_masked_files_tell_nothing(isolate_cmd: Isolate) -> None:
    code = """
for path in "kcore keys kallsyms timer_list kmsg interrupts".split():
    try: print(len(open("/proc/" + path, "rb").read(64)))
    except OSError: print(0)
for path in "/proc/acpi /proc/scsi /sys/firmware /sys/kernel/debug /sys/kernel/security".split():
    print(len(os.listdir(path)) if os.path.isdir(path) else 0)
"""
    assert set(answer(isolate_cmd, code)) == {"0"}


SYSCALLS = {
    "mount": (165, "b'x', b'/tmp', b'tmpfs', 0, 0"),
    "umount2": (166, "b'/proc', 2"),
    "pivot_root": (155, "b'/', b'/'"),
    "unshare of a user namespace": (272, "0x10000000"),
    "setns": (308, "0, 0"),
    "clone of a user namespace": (56, "0x10000011, 0, 0, 0, 0"),
    "open_tree": (428, "-100, b'/', 1"),
    "fsopen": (430, "b'tmpfs', 0"),
    "move_mount": (429, "-1, b'', -1, b'', 0"),
    "bpf": (321, "0, 0, 0"),
    "perf_event_open": (298, "0, 0, 0, 0, 0"),
    "userfaultfd": (323, "0"),
    "io_uring_setup": (425, "1, 0"),
    "kexec_load": (246, "0, 0, 0, 0"),
    "init_module": (175, "0, 0, 0"),
    "finit_module": (313, "-1, 0, 0"),
    "reboot": (169, "0, 0, 0, 0"),
    "swapon": (167, "b'/x', 0"),
    "settimeofday": (164, "b'\\0' * 16, 0"),
    "clock_settime": (227, "0, b'\\0' * 16"),
    "keyctl": (250, "0, -3, 0"),
    "add_key": (248, "b'user', b'x', b'x', 1, -3"),
    "request_key": (249, "b'user', b'x', 0, 0"),
    "open_by_handle_at": (304, "-100, b'\\0' * 64, 0"),
    "acct": (163, "b'/x'"),
    "quotactl": (179, "0, 0, 0, 0"),
    "iopl": (172, "3"),
    "ioperm": (173, "0, 1, 1"),
    "syslog": (103, "3, 0, 0"),
    "process_vm_readv of pid 1": (310, "1, 0, 0, 0, 0, 1"),
    "fanotify_init": (300, "0, 0"),
    "lookup_dcookie": (212, "0, 0, 0"),
}


def test_system_calls_that_are_not_for_containers(isolate_cmd: Isolate) -> None:
    code = "\n".join(
        f"print({name!r}, syscall({number}, {arguments}), sep='=', flush=True)"
        for name, (number, arguments) in SYSCALLS.items()
    )
    said = dict(line.split("=") for line in answer(isolate_cmd, code))
    assert said.keys() == SYSCALLS.keys()
    refusals = {"-1", "-13", "-38"}  # EPERM, EACCES, ENOSYS
    assert {name: number for name, number in said.items() if number not in refusals} == {}


def test_clone3_looks_absent(isolate_cmd: Isolate) -> None:
    """Its flags lie behind a pointer, where a filter can't see: ENOSYS, so that libc falls back."""
    assert answer(isolate_cmd, "print(syscall(435, b'\\0' * 88, 88))") == ["-38"]


@pytest.mark.parametrize("entry", ["int80", "x32"])
def test_other_doors_to_the_kernel(isolate_cmd: Isolate, entry: str) -> None:
    """A 32-bit number means another call; killed or refused, and never getpid's answer."""
    code = MACHINE_CODE + f"print(run_code({entry}))"
    done = isolate_cmd("run", "--", *probe(code))
    assert done.returncode != 0 or int(done.stdout) < 0


@pytest.mark.parametrize("request_", ["0x5412", "0x100005412", "0x541c"])
def test_terminal_input_is_not_pushed(isolate_cmd: Isolate, request_: str) -> None:
    """TIOCSTI, with a bit above the 32 that the kernel looks at, and TIOCLINUX."""
    code = f"""
master, peer = os.openpty()
print(syscall(16, peer, {request_}, ctypes.c_char_p(b"x")), syscall(16, 0, {request_}, b"x"))"""
    for options in ([], ["--tty"], ["--privileged", "--seccomp=default"]):
        said = answer(isolate_cmd, code, *options)[-1].split()
        assert said[0] in ("-1", "-25"), said


def test_devices_can_not_be_made_or_opened(isolate_cmd: Isolate) -> None:
    code = """
block, char = 0o060666, 0o020666
for kind, major, minor in ((block, 8, 0), (block, 254, 0), (char, 1, 1), (char, 10, 232)):
    try:
        os.mknod("/tmp/node", kind, os.makedev(major, minor))
        print(refused(os.open, "/tmp/node", os.O_RDWR))
        os.unlink("/tmp/node")
    except OSError as error: print(errno.errorcode[error.errno])
for name in ("kvm", "fuse", "net/tun", "mem", "kmsg", "loop-control"):
    print(refused(os.open, "/dev/" + name, os.O_RDWR))"""
    for options in ([], ["--userns=host"], ["--userns=host", "--tmpfs=/tmp"]):
        said = answer(isolate_cmd, code, *options)
        assert "ALLOWED" not in said, (options, said)


def test_keyrings_are_not_the_callers(isolate_cmd: Isolate) -> None:
    """Even where a profile allows keyctl: the session keyring is a new one."""
    ask = "print(syscall(250, 0, -3, 0))"
    (inside,) = answer(isolate_cmd, ask, "--seccomp=unconfined")
    (other,) = answer(isolate_cmd, ask, "--seccomp=unconfined")
    assert int(inside) > 0
    assert inside != other


def test_abstract_sockets_of_the_host(isolate_cmd: Isolate) -> None:
    name = f"\0isolate-canary-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(name)
        listening.listen()
        code = f"s = socket.socket(socket.AF_UNIX); print(refused(s.connect, {name!r}))"
        assert answer(isolate_cmd, code) == ["ECONNREFUSED"]


def named_sockets() -> set[str]:
    """The sockets of the host that have a name, abstract or not, as links of /proc/PID/fd."""
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return {f"socket:[{row[6]}]" for row in rows if len(row) > 7}


def test_the_runtime_itself_listens_nowhere(isolate_cmd: Isolate, busybox: Path) -> None:
    with isolate_cmd.popen("run", f"--rootfs={busybox}", "--", "cat") as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(b"x")
        running.stdin.flush()
        assert running.stdout.read(1) == b"x"
        open_files = {os.readlink(path) for path in Path(f"/proc/{running.pid}/fd").iterdir()}
        assert len(open_files) > 3
        assert open_files & named_sockets() == set()
        running.communicate()
    with socket.socket(socket.AF_UNIX) as canary:
        canary.bind(f"\0isolate-canary-{os.getpid()}")
        assert os.readlink(f"/proc/self/fd/{canary.fileno()}") in named_sockets()


SYSCTLS = {
    "kernel.core_pattern": "|/x",
    "kernel/core_pattern": "|/x",
    "kernel.modprobe": "/x",
    "vm.overcommit_memory": "1",
    "kernel.shm_rmid_forced+kernel.core_pattern": "1",
    "kernel.shmmax\nkernel.core_pattern": "1",
    "net.ipv4.ip_forward\0": "1",
    "net/../kernel/core_pattern": "x",
    "net.ipv4.conf.all.forwarding ": "1",
}


@pytest.mark.parametrize("name", SYSCTLS)
def test_sysctls_of_the_host_are_refused(isolate_cmd: Isolate, busybox: Path, name: str) -> None:
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    spec = {"sysctl": {name: SYSCTLS[name]}, "process": {"args": ["true"]}}
    done = isolate_cmd("run", f"--rootfs={busybox}", "--spec=-", text=json.dumps(spec))
    assert done.returncode == 125
    assert done.stderr.startswith("error: sysctl")
    assert "Traceback" not in done.stderr
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


def test_a_sysctl_of_its_own(isolate_cmd: Isolate, busybox: Path) -> None:
    names = {"net.ipv4.ip_unprivileged_port_start": "42", "kernel.shmmni": "77"}
    before = Path("/proc/sys/kernel/shmmni").read_text()
    script = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shmmni"
    spec = {"sysctl": names, "process": {"args": ["sh", "-c", script]}}
    done = isolate_cmd("run", f"--rootfs={busybox}", "--spec=-", text=json.dumps(spec))
    assert done.stdout.split() == ["42", "77"], done.stderr
    assert Path("/proc/sys/kernel/shmmni").read_text() == before


# --- floods -------------------------------------------------------------------------------------


@pytest.mark.needs("cgroup:pids")
@pytest.mark.parametrize("options", [["--init"], []], ids=str)
def test_a_fork_bomb_ends_at_the_deadline(
    isolate_cmd: Isolate, busybox: Path, options: list[str]
) -> None:
    bomb = "b() { b | b & b; }; b 2>/dev/null & exec sleep 1000"
    result = result_of(
        isolate_cmd,
        *("--pids=64", "--timeout=1", *options, f"--rootfs={busybox}", "--", "sh", "-c", bomb),
        status=124,
    )
    assert result["pids_peak"] is None or result["pids_peak"] <= 64


def test_a_fork_bomb_in_a_chroot_ends_too(isolate_cmd: Isolate, busybox: Path) -> None:
    """No pid namespace there, and no limit but the freezer's certainty; kept small by rlimit."""
    bomb = (
        "i=0; while [ $i -lt 60 ]; do (while :; do (sleep 0.001 &); done) & i=$((i+1)); done; wait"
    )
    words = ["-b", "chroot", "--timeout=0.5", f"--rootfs={busybox}", "--", "sh", "-c", bomb]
    assert result_of(isolate_cmd, *words, status=124)["timed_out"]


@pytest.mark.needs("cgroup:memory")
def test_a_memory_bomb_that_forks(isolate_cmd: Isolate) -> None:
    code = "for _ in range(8): os.fork()\nx = [bytearray(2**20) for _ in range(10**4)]"
    result = result_of(
        isolate_cmd, "--memory=48M", "--memory-swap=0", "--timeout=20", "--", *probe(code),
        status=137,
    )  # fmt: skip
    assert result["oom_killed"] is True
    assert result["timed_out"] is False


def test_descriptors_run_out_inside_only(isolate_cmd: Isolate) -> None:
    code = """
held = []
try:
    while True: held.append(os.open("/dev/null", os.O_RDONLY))
except OSError as error: print(errno.errorcode[error.errno], len(held) < 300)"""
    assert answer(isolate_cmd, code, "--rlimit=nofile=256") == ["EMFILE True"]


def test_dev_and_shm_are_bounded(isolate_cmd: Isolate, busybox: Path) -> None:
    script = """
    dd if=/dev/zero of=/dev/fill bs=64k 2>/dev/null; stat -c %s /dev/fill
    stat -f -c "%b %S" /dev/shm"""
    done = isolate_cmd("run", f"--rootfs={busybox}", "--", "sh", "-c", script, check=True)
    dev, blocks, size = map(int, done.stdout.split())
    assert 0 < dev <= defaults.DEV_BYTES
    assert blocks * size == defaults.SHM_BYTES


# --- hostile accounts ----------------------------------------------------------------------------

PASSWD = {
    "overflow": "x:x:4294967296:0::/:/bin/sh",
    "overflow to 1": "x:x:4294967297:0::/:/bin/sh",
    "minus one": "x:x:-1:-1::/:/bin/sh",
    "the kernel's no id": "x:x:4294967295:0::/:/bin/sh",
    "words": "x:x:root:0::/:/bin/sh",
    "empty": "x:x::::/:/bin/sh",
    "unicode digits": "x:x:\u0660:0::/:/bin/sh",
    "outside the map": "x:x:70000:0::/:/bin/sh",
}


@pytest.mark.parametrize("kind", PASSWD)
@pytest.mark.parametrize("backend", ["namespaces", "chroot"])
def test_a_hostile_passwd(
    isolate_cmd: Isolate, busybox: Path, tmp_path: Path, kind: str, backend: str
) -> None:
    root = roots.copy(busybox, tmp_path / "root")
    (root / "etc" / "passwd").write_text(PASSWD[kind] + "\n")
    words = ["run", "-b", backend, f"--rootfs=dir:{root}", "--user=x", "--", "id", "-u"]
    done = isolate_cmd(*words)
    if kind == "outside the map" and backend == "chroot":
        assert done.stdout == "70000\n"
        return
    assert done.returncode == 125, done.stdout
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("target", ["/dev/zero", "/proc/kmsg", "/loop", "a fifo", "a directory"])
def test_passwd_is_something_else(
    isolate_cmd: Isolate, busybox: Path, tmp_path: Path, target: str
) -> None:
    """Read with a bound, without waiting, and inside the root."""
    root = roots.copy(busybox, tmp_path / "root")
    passwd = root / "etc" / "passwd"
    if target == "a fifo":
        os.mkfifo(passwd)
    elif target == "a directory":
        passwd.mkdir()
    else:
        passwd.symlink_to(target)
        if target == "/loop":
            (root / "loop").symlink_to("/loop")
    words = ["run", f"--rootfs=dir:{root}"]
    who = ("--", "grep", "^Uid", "/proc/self/status")
    done = isolate_cmd(*words, "--user=7", *who, timeout=20)
    assert done.stdout.split() == ["Uid:", "7", "7", "7", "7"], done.stderr
    named = isolate_cmd(*words, "--user=x", "--", "id", "-u", timeout=20)
    assert named.returncode == 125
    assert "Traceback" not in named.stderr


@pytest.mark.parametrize(
    "name",
    ["../../etc", "/etc", ".", "..", "a/b", "a\nb", "", "-x", "a" * 65, "\u00e4", "a b", "*"],
)
def test_container_ids_are_no_paths(isolate_cmd: Isolate, busybox: Path, name: str) -> None:
    home = isolate_cmd.state.parent
    before = set(home.iterdir())
    done = isolate_cmd("run", f"--name={name}", f"--rootfs={busybox}", "--", "true")
    assert done.returncode == 125
    assert done.stderr.startswith("error: ")
    assert set(home.iterdir()) == before
    assert [path for path in isolate_cmd.state.glob("*/*") if path.is_dir()] == []
    for verb in ("inspect", "kill", "delete"):
        said = isolate_cmd(verb, "--", name)
        assert said.returncode != 0
        assert "Traceback" not in said.stderr


HOSTILE_TEXTS = ["\0", "a\nb", "\x1b[31m", "x" * 2**20, "\udcff"]


@pytest.mark.parametrize("number", range(len(HOSTILE_TEXTS)))
@pytest.mark.parametrize("place", ["env", "annotations", "hostname", "args", "cwd", "hooks"])
def test_hostile_texts_in_a_spec(
    isolate_cmd: Isolate, busybox: Path, place: str, number: int
) -> None:
    """Refused with the place in the document, or passed on as they are; never a traceback."""
    text = HOSTILE_TEXTS[number]
    process: dict[str, object] = {"args": ["true"]}
    spec: dict[str, object] = {"process": process}
    if place == "env":
        process["env"] = {"NAME": text}
    elif place == "args":
        process["args"] = ["true", text]
    elif place == "cwd":
        process["cwd"] = f"/{text}"
    elif place == "annotations":
        spec["annotations"] = {"key": text}
    elif place == "hooks":
        spec["hooks"] = {"poststart": [{"path": f"/{text}"}]}
    else:
        spec["hostname"] = text
    done = isolate_cmd("run", f"--rootfs={busybox}", "--spec=-", text=json.dumps(spec))
    assert done.returncode in (0, 125, 126), done.stderr[:500]
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    assert len(done.stderr) < 4096
    if text == "\0":
        assert done.returncode == 125
        assert place in done.stderr
