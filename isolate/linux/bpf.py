"""bpf(2): eBPF instructions as bytes, and programs attached to version 2 cgroups.

Sources: bpf(2), include/uapi/linux/bpf.h, Documentation/bpf/standardization/instruction-set.rst.
"""

from __future__ import annotations

import errno
import os
import struct

from isolate.linux._libc import addressof, buffer, c_char_p, c_int, c_uint, syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

Instruction = tuple[int, int, int, int]
"""Code, registers (source << 4 | destination), jump, immediate."""

INSTRUCTION = struct.Struct("<BBhi")
# Load a word from, store one to memory (a register's, a constant); move; add, shift, mask; jump if
# (not) equal, in 64 or 32 bits; call the kernel; leave. Constants are sign-extended to 64 bits.
LDXW, STXW, STW, MOVX, MOVK, ADDK, RSHK, ANDK = 0x61, 0x63, 0x62, 0xBF, 0xB7, 0x07, 0x77, 0x57
JNEK, JNEX, JNEK32, CALL, EXIT = 0x55, 0x5D, 0x56, 0x85, 0x95
JUMPS = (JNEK, JNEX, JNEK32)

PROG_TYPE_CGROUP_SOCK = 9
PROG_TYPE_CGROUP_DEVICE = 15
PROG_TYPE_CGROUP_SOCK_ADDR = 18

CGROUP_INET_SOCK_CREATE = 2
CGROUP_DEVICE = 6
CGROUP_INET4_BIND, CGROUP_INET6_BIND = 8, 9
CGROUP_INET4_CONNECT, CGROUP_INET6_CONNECT = 10, 11
CGROUP_UDP4_SENDMSG, CGROUP_UDP6_SENDMSG = 14, 15

_PROG_LOAD = 5
_PROG_ATTACH = 8
_PROG_DETACH = 9
_PROG_GET_FD_BY_ID = 13
_OBJ_GET_INFO_BY_FD = 15
_PROG_QUERY = 16
_ALLOW_MULTI = 2
_MOST_PROGRAMS = 64  # BPF_CGROUP_MAX_PROGS
_INFO_BYTES = 80  # struct bpf_prog_info up to its name

_bpf = syscall("bpf", c_int, c_char_p, c_uint)


def pack(code: Iterable[Instruction]) -> bytes:
    """Instructions as the kernel reads them. Immediates are signed: wrap with `signed`."""
    return b"".join(INSTRUCTION.pack(*instruction) for instruction in code)


def signed(value: int) -> int:
    """32 bits as the signed number that an instruction's immediate is."""
    return value - (1 << 32) if value >= 1 << 31 else value


def verdict(value: int) -> list[Instruction]:
    """Leave the program with `value`."""
    return [(MOVK, 0, 0, value), (EXIT, 0, 0, 0)]


def skip_block(code: list[Instruction]) -> list[Instruction]:
    """Point every jump of a block behind its end."""
    end = len(code)
    return [
        (op, registers, end - at - 1 if op in JUMPS else offset, immediate)
        for at, (op, registers, offset, immediate) in enumerate(code)
    ]


def load(kind: int, program: bytes, name: bytes, attach_type: int = 0) -> int:
    """A descriptor of a loaded program. `name` has at most 15 bytes. Raises OSError."""
    instructions = buffer(program, len(program))
    permit = buffer(b"Apache-2.0")
    return _attribute(
        _PROG_LOAD,
        "=IIQQIIQII16sII",
        kind,
        len(program) // 8,
        addressof(instructions),
        addressof(permit),
        0,
        0,
        0,
        0,
        0,
        name,
        0,
        attach_type,
    )[0]


def open_group(directory: str) -> int:
    """A descriptor of a cgroup's directory, as attaching wants it."""
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def attach(group: int, program: int, attach_type: int) -> None:
    """Attach to a group beside what is there, and below what groups above have."""
    _attribute(_PROG_ATTACH, "=5I", group, program, attach_type, _ALLOW_MULTI, 0)


def detach(group: int, number: int, attach_type: int) -> None:
    """Detach a program by its number."""
    program = _program(number)
    try:
        _attribute(_PROG_DETACH, "=4I", group, program, attach_type, 0)
    finally:
        os.close(program)


def query(group: int, attach_type: int) -> list[int]:
    """The numbers of the programs attached to the group itself."""
    numbers = buffer(4 * _MOST_PROGRAMS)
    place, room = addressof(numbers), _MOST_PROGRAMS
    _, answer = _attribute(_PROG_QUERY, "=4IQ2I", group, attach_type, 0, 0, place, room, 0)
    count = struct.unpack_from("=I", answer, 24)[0]
    return list(struct.unpack_from(f"={count}I", numbers.raw))


def instructions(number: int) -> bytes:
    """The instructions that the kernel holds of a program."""
    program = _program(number)
    try:
        length, _ = _info(program)
        code = buffer(max(length, 8))
        _info(program, addressof(code), length)
        return code.raw[:length]
    finally:
        os.close(program)


def name_of(number: int) -> bytes:
    """The name that a program was loaded under."""
    program = _program(number)
    try:
        return _info(program)[1]
    finally:
        os.close(program)


def explain(error: OSError, what: str) -> str:
    """Why a program of cgroups can't be had, in words; `what` is the kernel's name of its kind."""
    if error.errno == errno.EPERM:
        return "they need CAP_BPF and CAP_NET_ADMIN in the first user namespace"
    if error.errno in (errno.ENOSYS, errno.EINVAL):
        return f"this kernel has no {what} ({error.strerror})"
    return str(error.strerror)


def _attribute(command: int, layout: str, *values: object) -> tuple[int, bytes]:
    """bpf(2) with a union bpf_attr of that layout: its result, and the union as it came back."""
    size = struct.calcsize(layout)
    data = buffer(struct.pack(layout, *values), size)
    return _bpf(command, data, size), data.raw


def _program(number: int) -> int:
    return _attribute(_PROG_GET_FD_BY_ID, "=3I", number, 0, 0)[0]


def _info(program: int, place: int = 0, room: int = 0) -> tuple[int, bytes]:
    """Of bpf_prog_info the length of the instructions and the program's name."""
    info = buffer(_INFO_BYTES)
    struct.pack_into("=I", info, 20, room)
    struct.pack_into("=Q", info, 32, place)
    _attribute(_OBJ_GET_INFO_BY_FD, "=IIQ", program, _INFO_BYTES, addressof(info))
    return struct.unpack_from("=I", info.raw, 20)[0], info.raw[64:80].rstrip(b"\0")
