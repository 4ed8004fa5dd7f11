"""The default profile in the real kernel: what is refused, and that programs work under it."""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import signal
import sys
import termios
from typing import TYPE_CHECKING

import pytest

from isolate.linux import capabilities, prctl
from isolate.linux.seccomp import cache, load
from isolate.linux.seccomp import compile as compiler
from tests.support import filtered
from tests.support.filtered import raw

if TYPE_CHECKING:
    from collections.abc import Callable

CLONE_NEWUSER = 0x10000000
X32 = 0x40000000
SIGCHLD = 17


def number(name: str) -> int:
    lib = compiler.libseccomp()
    found: int = lib.resolve_syscall(lib.Arch.NATIVE, name)
    assert found >= 0
    return found


@pytest.fixture(scope="module")
def program() -> bytes:
    return cache.default(capabilities.DEFAULT, None).program


# Arguments that would do no harm if the call came through.
REFUSED: dict[str, tuple[int | bytes | None, ...]] = {
    "unshare": (CLONE_NEWUSER,),
    "setns": (0, 0),
    "mount": (b"none", b"/nowhere", b"tmpfs", 0, None),
    "umount2": (b"/nowhere", 0),
    "pivot_root": (b"/nowhere", b"/nowhere"),
    "fsopen": (b"tmpfs", 0),
    "fsmount": (-1, 0, 0),
    "fsconfig": (-1, 0, None, None, 0),
    "fspick": (-1, b"", 0),
    "move_mount": (-1, b"", -1, b"", 0),
    "open_tree": (-100, b"/", 1),
    "mount_setattr": (-1, b"", 0, None, 0),
    "io_uring_setup": (1, None),
    "io_uring_enter": (-1, 0, 0, 0, None, 0),
    "io_uring_register": (-1, 0, None, 0),
    "bpf": (0, None, 0),
    "perf_event_open": (None, 0, -1, -1, 0),
    "userfaultfd": (1,),
    "keyctl": (0, -3, 0),
    "add_key": (b"user", b"x", b"x", 1, -3),
    "request_key": (b"user", b"x", None, -3),
    "name_to_handle_at": (-100, b"/", None, None, 0),
    "open_by_handle_at": (-1, None, 0),
    "kexec_load": (0, 0, None, 0),
    "init_module": (None, 0, b""),
    "delete_module": (b"no_such_module", 0),
    "swapon": (b"/nowhere", 0),
    "reboot": (0, 0, 0, None),
    "acct": (b"/nowhere",),
    "quotactl": (0, None, 0, None),
    "clock_settime": (-1, None),
    "settimeofday": (None, None),
    "adjtimex": (None,),
    "process_vm_readv": (1, None, 0, None, 0, 0),
    "process_vm_writev": (1, None, 0, None, 0, 0),
    "kcmp": (1, 1, 0, 0, 0),
    "pidfd_getfd": (-1, 0, 0),
    "move_pages": (0, 0, None, None, None, 0),
    "fanotify_init": (0, 0),
    "syslog": (3, None, 0),
    "sethostname": (None, -1),
    "vhangup": (),
}


def test_refused_calls(program: bytes) -> None:
    numbers = {name: number(name) for name in REFUSED}

    def attempt() -> dict[str, int]:
        os.setsid()  # for vhangup: no terminal
        return {name: raw(numbers[name], *arguments) for name, arguments in REFUSED.items()}

    assert filtered.call(program, attempt) == dict.fromkeys(REFUSED, -errno.EPERM)


@pytest.mark.parametrize("name", ["clone3", "memfd_secret", 457, 458, 467, 470, 1000, 100_000])
def test_absent_calls(program: bytes, name: str | int) -> None:
    nr = number(name) if isinstance(name, str) else name
    assert filtered.call(program, lambda: raw(nr, None, 0)) == -errno.ENOSYS


@pytest.mark.parametrize("bit", [17, 25, 26, 27, 28, 29, 30])
def test_clone_makes_no_namespace(program: bytes, bit: int) -> None:
    clone = number("clone")

    def attempt() -> int:
        pid = raw(clone, 1 << bit | SIGCHLD, None, None, None, None)
        if pid == 0:
            os._exit(0)
        return pid

    assert filtered.call(program, attempt) == -errno.EPERM


@pytest.mark.parametrize("family", [3, 29, 38, 40])
@pytest.mark.parametrize("high", [0, 1 << 32])
def test_rare_sockets(program: bytes, family: int, high: int) -> None:
    socket = number("socket")
    assert filtered.call(program, lambda: raw(socket, family | high, 1, 0)) == -errno.EPERM
    assert filtered.call(program, lambda: raw(socket, 2 | high, 1, 0)) >= 0


@pytest.mark.parametrize("request_", [0x5412, 0x541C], ids=["TIOCSTI", "TIOCLINUX"])
@pytest.mark.parametrize("high", [0, 1 << 32, 0xFFFFFFFF00000000])
def test_terminal_input_cant_be_pushed(program: bytes, request_: int, high: int) -> None:
    ioctl = number("ioctl")

    def attempt() -> list[int]:
        os.setsid()
        _master, slave = os.openpty()
        raw(ioctl, slave, termios.TIOCSCTTY, 0)
        refused = raw(ioctl, slave, request_ | high, b"x")
        allowed = raw(ioctl, slave, termios.TIOCGPGRP | high, bytes(8))
        return [refused, allowed]

    assert filtered.call(program, attempt) == [-errno.EPERM, 0]


def test_a_child_can_be_traced(program: bytes) -> None:
    """ptrace(2) of own children, as debuggers need it."""
    ptrace = number("ptrace")

    def attempt() -> bool:
        child = os.fork()
        if child == 0:
            raw(ptrace, 0, 0, None, None)  # PTRACE_TRACEME
            os.kill(os.getpid(), signal.SIGSTOP)
            os._exit(0)
        stopped = os.WIFSTOPPED(os.waitpid(child, 0)[1])
        raw(ptrace, 7, child, None, None)  # PTRACE_CONT
        return stopped and os.waitpid(child, 0)[1] == 0

    assert filtered.call(program, attempt) is True


def test_the_kernel_says_so(program: bytes) -> None:
    def attempt() -> str:
        with open("/proc/self/status") as status:
            return next(line for line in status if line.startswith("Seccomp:"))

    assert filtered.call(program, attempt).split() == ["Seccomp:", "2"]
    assert filtered.call(program, prctl.get_seccomp) == prctl.SECCOMP_MODE_FILTER


def test_what_comes_before_execve_is_allowed(program: bytes) -> None:
    def attempt() -> None:
        prctl.set_name("container")
        prctl.set_dumpable(False)
        prctl.set_keepcaps(True)
        capabilities.capset(0, 0, 0)
        os.umask(0o22)
        os.setsid()
        os.chdir("/")
        os.closerange(100, 200)
        ids = os.getresuid()
        os.setresuid(*ids)
        reader, writer = os.pipe()
        os.write(writer, b"x")
        os.read(reader, 1)

    assert filtered.call(program, attempt) is None


THREADS = """
import asyncio, concurrent.futures, multiprocessing, os, socket, subprocess, threading
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    assert sum(pool.map(len, ["ab"] * 100)) == 200
assert subprocess.run(["cat"], input=b"x", capture_output=True).stdout == b"x"
assert subprocess.run("exit 3", shell=True).returncode == 3
async def main():
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    assert await reader.read() == b""
    writer.close()
    server.close()
    program = await asyncio.create_subprocess_exec("true")
    assert await program.wait() == 0
asyncio.run(main())
queue = multiprocessing.get_context("fork").SimpleQueue()
process = multiprocessing.get_context("fork").Process(target=queue.put, args=(7,))
process.start()
assert queue.get() == 7
process.join()
print("done")
"""


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["ls", "-l", "/"], "usr"),
        (["sh", "-c", "seq 100 | sort -n | tail -1 | tr 0 o; (exit 3); echo $?"], "1oo\n3\n"),
        (["sh", "-c", "d=$(mktemp -d) && touch $d/a && mv $d/a $d/b && rm -r $d && echo ok"], "ok"),
        ([sys.executable, "-I", "-c", THREADS], "done"),
    ],
    ids=["ls", "pipeline", "files", "python"],
)
@pytest.mark.parametrize("mask", [capabilities.DEFAULT, 0], ids=["default", "none"])
def test_programs_work(argv: list[str], expected: str, mask: int) -> None:
    status, output = filtered.run(cache.default(mask, None).program, argv)
    assert (status, expected in output) == (0, True), output


def test_a_docker_profile_with_arguments() -> None:
    getppid, personality = number("getppid"), number("personality")
    document = json.dumps(
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "archMap": [
                {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}
            ],
            "syscalls": [
                {"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5},
                {
                    "names": ["personality"],
                    "action": "SCMP_ACT_ERRNO",
                    "errnoRet": 6,
                    "args": [{"index": 0, "value": 7, "op": "SCMP_CMP_EQ"}],
                },
                {
                    "names": ["personality"],
                    "action": "SCMP_ACT_ERRNO",
                    "errnoRet": 7,
                    "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}],
                    "includes": {"caps": ["CAP_SYS_ADMIN"]},
                },
            ],
        }
    ).encode()
    made = cache.custom(document, capabilities.DEFAULT, None)

    def attempt() -> list[int]:
        return [
            raw(getppid),
            raw(personality, 7),
            raw(personality, 0xFFFFFFFF),
            raw(personality, 8),
        ]

    now = raw(personality, 0xFFFFFFFF)
    assert filtered.call(made.program, attempt) == [-5, -6, now, now]


def test_a_second_filter_only_takes_away(program: bytes) -> None:
    open_all = cache.custom(b'{"defaultAction": "SCMP_ACT_ALLOW"}', 0, None).program
    unshare = number("unshare")

    def attempt() -> int:
        load.load(open_all)
        return raw(unshare, CLONE_NEWUSER)

    assert filtered.call(program, attempt) == -errno.EPERM


@pytest.mark.parametrize("program_", [b"", b"1234567", bytes(8 * 4097)])
def test_what_is_no_program(program_: bytes) -> None:
    with pytest.raises(ValueError, match="BPF"):
        load.load(program_)


def test_a_program_that_the_kernel_refuses(program: bytes) -> None:
    number, message = filtered.call(program, lambda: _load_error(b"\xff" * 8))
    assert number == errno.EINVAL
    assert "the kernel refuses the program" in message


def test_without_rights_and_without_no_new_privs(program: bytes) -> None:
    def attempt() -> list[object]:
        capabilities.capset(0, 0, 0)
        return _load_error(program)

    number, message = filtered.call(b"", attempt)
    assert number == errno.EACCES
    assert "neither no_new_privs nor CAP_SYS_ADMIN" in message


def _load_error(program: bytes) -> list[object]:
    try:
        load.load(program)
    except OSError as error:
        return [error.errno, error.strerror]
    return [0, "loaded"]


if os.uname().machine == "x86_64":
    # push rbx; mov eax, edi; mov ebx, esi; mov ecx, edx; int 0x80; pop rbx; ret
    INT80 = bytes.fromhex("53 89f8 89f3 89d1 cd80 5b c3")

    _pages: list[mmap.mmap] = []  # unmapped with the child

    def int80() -> Callable[..., int]:
        """A function that makes a system call of the 32-bit ABI: number and two arguments."""
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(INT80)
        _pages.append(page)
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        return ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_uint] * 3)(address)

    def test_a_32_bit_call_kills(program: bytes) -> None:
        with pytest.raises(ChildProcessError) as caught:
            filtered.call(program, lambda: int80()(20, 0, 0))
        assert caught.value.args[0] == -signal.SIGSYS

    def test_32_bit_calls_where_they_are_allowed() -> None:
        program = cache.default(capabilities.DEFAULT, None, allow_32bit=True).program

        def attempt() -> list[int]:
            call = int80()
            return [
                call(20, 0, 0) - os.getpid(),
                call(310, CLONE_NEWUSER, 0),  # unshare
                call(120, CLONE_NEWUSER | SIGCHLD, 0),  # clone
                call(102, 1, 0),  # socketcall
                call(359, 40, 1),  # socket
                call(435, 0, 0),  # clone3
                call(425, 1, 0),  # io_uring_setup
            ]

        eperm, enosys = -errno.EPERM, -errno.ENOSYS
        expected = [0, eperm, eperm, enosys, eperm, enosys, eperm]
        assert filtered.call(program, attempt) == expected

    @pytest.mark.parametrize("nr", [0, 39, 520])
    def test_x32_calls_do_not_exist(program: bytes, nr: int) -> None:
        assert filtered.call(program, lambda: raw(nr | X32, -1, None, 0)) == -errno.ENOSYS
