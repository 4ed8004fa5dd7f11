"""Device rules, and the eBPF program that stands for version 1's devices controller in version 2.

Sources: Documentation/admin-guide/cgroup-v1/devices.rst, cgroup-v2.rst "Device controller",
include/uapi/linux/bpf.h (struct bpf_cgroup_dev_ctx), Documentation/bpf/standardization.
"""

from __future__ import annotations

import errno
import os
import struct

from isolate.linux._libc import addressof, buffer, c_char_p, c_int, c_uint, syscall
from isolate.linux.cgroup.files import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Rule = tuple[str, int, int, str]
"""What is allowed: type (`a`, `b`, `c`), major and minor (-1: every), access (of `rwm`)."""

PROGRAM_NAME = b"isolate_devices"  # at most 15 bytes

_BITS = {"r": 2, "w": 4, "m": 1}  # BPF_DEVCG_ACC_*
_TYPES = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_*
_TYPE_OF = {number: letter for letter, number in _TYPES.items()}
_EVERY_ACCESS = 7
_LAST_MAJOR = (1 << 12) - 1
_LAST_MINOR = (1 << 20) - 1

# Code, registers (source << 4 | destination), jump, immediate.
_INSTRUCTION = struct.Struct("<BBhi")
_LDXW, _MOVX, _MOVK, _RSHK, _ANDK, _JNEK, _JNEX, _EXIT = (
    0x61,
    0xBF,
    0xB7,
    0x77,
    0x57,
    0x55,
    0x5D,
    0x95,
)
_RESULT, _CONTEXT, _TYPE, _ACCESS, _MAJOR, _MINOR, _SCRATCH = range(7)

_BPF_PROG_LOAD = 5
_BPF_PROG_ATTACH = 8
_BPF_PROG_DETACH = 9
_BPF_PROG_GET_FD_BY_ID = 13
_BPF_OBJ_GET_INFO_BY_FD = 15
_BPF_PROG_QUERY = 16
_PROG_TYPE_CGROUP_DEVICE = 15
_CGROUP_DEVICE = 6
_ALLOW_MULTI = 2
_MOST_PROGRAMS = 64  # BPF_CGROUP_MAX_PROGS
_INFO_BYTES = 80  # struct bpf_prog_info up to its name

_bpf = syscall("bpf", c_int, c_char_p, c_uint)

_Instruction = tuple[int, int, int, int]


def canonical(rules: Iterable[Rule]) -> list[Rule]:
    """The same rules sorted, one for each device, in types `b` and `c` only.

    Version 1 would read an `a` as "every device", whatever numbers stand beside it.
    Raises CgroupError for what is no rule.
    """
    merged: dict[tuple[str, int, int], int] = {}
    for rule in rules:
        _check(rule)
        kind, major, minor, access = rule
        bits = sum(_BITS[letter] for letter in set(access))
        for letter in "bc" if kind == "a" else kind:
            key = (letter, major, minor)
            merged[key] = merged.get(key, 0) | bits
    return [(*key, _letters(bits)) for key, bits in sorted(merged.items())]


def _check(rule: Rule) -> None:
    kind, major, minor, access = rule
    good = (
        kind in ("a", "b", "c")
        and -1 <= major <= _LAST_MAJOR
        and -1 <= minor <= _LAST_MINOR
        and access
        and set(access) <= set(_BITS)
    )
    if not good:
        raise CgroupError(errno.EINVAL, f"{rule!r} is no device rule")


def _letters(bits: int) -> str:
    return "".join(letter for letter, bit in _BITS.items() if bits & bit)


def text(rule: Rule) -> str:
    """A rule as version 1 reads and shows it: `c 1:3 rwm`."""
    kind, major, minor, access = rule
    shown = ("*" if number == -1 else str(number) for number in (major, minor))
    return f"{kind} {':'.join(shown)} {access}"


def assemble(rules: Iterable[Rule]) -> bytes:
    """The program: 1 (allow) for what a rule covers wholly, 0 for everything else."""
    code: list[_Instruction] = [
        (_LDXW, _CONTEXT << 4 | _TYPE, 0, 0),  # access_type: access in the upper half
        (_MOVX, _TYPE << 4 | _ACCESS, 0, 0),
        (_RSHK, _ACCESS, 0, 16),
        (_ANDK, _TYPE, 0, 0xFFFF),
        (_LDXW, _CONTEXT << 4 | _MAJOR, 4, 0),
        (_LDXW, _CONTEXT << 4 | _MINOR, 8, 0),
    ]
    for rule in canonical(rules):
        code.extend(_block(rule))
    code.extend(_verdict(0))
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in code)


def _block(rule: Rule) -> list[_Instruction]:
    """Leave with 1 if the rule covers the request, else go on behind the block."""
    kind, major, minor, access = rule
    bits = sum(_BITS[letter] for letter in access)
    code: list[_Instruction] = [(_JNEK, _TYPE, 0, _TYPES[kind])]
    if bits != _EVERY_ACCESS:
        code += [
            (_MOVX, _ACCESS << 4 | _SCRATCH, 0, 0),
            (_ANDK, _SCRATCH, 0, bits),
            (_JNEX, _ACCESS << 4 | _SCRATCH, 0, 0),
        ]
    if major != -1:
        code.append((_JNEK, _MAJOR, 0, major))
    if minor != -1:
        code.append((_JNEK, _MINOR, 0, minor))
    code += _verdict(1)
    end = len(code)
    return [
        (op, registers, end - at - 1 if op in (_JNEK, _JNEX) else offset, immediate)
        for at, (op, registers, offset, immediate) in enumerate(code)
    ]


def _verdict(value: int) -> list[_Instruction]:
    return [(_MOVK, _RESULT, 0, value), (_EXIT, 0, 0, 0)]


def disassemble(program: bytes) -> list[Rule] | None:
    """The rules of a program made by `assemble`; None when it is another program."""
    code = list(_INSTRUCTION.iter_unpack(program[: len(program) // 8 * 8]))
    starts = _blocks(code)
    rules = [_rule(code[start:end]) for start, end in starts]
    known = [rule for rule in rules if rule is not None]
    # Assembling again proves that nothing was overlooked.
    return known if assemble(known) == program else None


def _blocks(code: list[_Instruction]) -> Iterator[tuple[int, int]]:
    start = 6  # after the loads
    for at, instruction in enumerate(code):
        if instruction[0] == _EXIT and at + 1 < len(code):
            yield start, at + 1
            start = at + 1


def _rule(code: list[_Instruction]) -> Rule | None:
    tests = {registers: immediate for op, registers, _, immediate in code if op == _JNEK}
    masks = [immediate for op, _, _, immediate in code if op == _ANDK]
    kind = _TYPE_OF.get(tests.get(_TYPE, 0))
    if kind is None:
        return None
    access = _letters(masks[0] if masks else _EVERY_ACCESS)
    rule = (kind, tests.get(_MAJOR, -1), tests.get(_MINOR, -1), access)
    try:
        _check(rule)
    except CgroupError:
        return None
    return rule


def attach(directory: str, rules: Iterable[Rule]) -> None:
    """Allow these devices and no others in a version 2 group, instead of an earlier list.

    The new program is attached before the old ones go: while both are there, a device must pass
    both. Programs of groups above go on to hold. Raises CgroupError.
    """
    program = assemble(rules)
    try:
        group = _open(directory)
        try:
            before = [number for number in _query(group) if _is_ours(number)]
            loaded = _load(program)
            try:
                _attribute(_BPF_PROG_ATTACH, "=5I", group, loaded, _CGROUP_DEVICE, _ALLOW_MULTI, 0)
            finally:
                os.close(loaded)
            for number in before:
                _detach(group, number)
        finally:
            os.close(group)
    except CgroupError:
        raise
    except OSError as error:
        raise CgroupError(
            error.errno, f"no device program for {directory}: {_explain(error)}", directory
        ) from None


def attached(directory: str) -> tuple[str, ...] | None:
    """What the programs attached to a version 2 group allow, as `text` shows it, read back from
    the instructions that the kernel holds; None when there is no program. Raises OSError.

    A program that is not of our making is shown as `bpf program NUMBER`.
    """
    group = _open(directory)
    try:
        numbers = _query(group)
    finally:
        os.close(group)
    if not numbers:
        return None
    shown: list[str] = []
    for number in numbers:
        rules = disassemble(_instructions(number))
        shown += [f"bpf program {number}"] if rules is None else [text(rule) for rule in rules]
    return tuple(sorted(shown))


def obstacle(directory: str) -> str | None:
    """Why no device program can be attached to groups below; None when it can. Changes nothing."""
    try:
        group = _open(directory)
        try:
            _query(group)
            os.close(_load(assemble(())))
        finally:
            os.close(group)
    except OSError as error:
        return f"eBPF device programs: {_explain(error)}"
    return None


def _explain(error: OSError) -> str:
    if error.errno == errno.EPERM:
        return "they need CAP_BPF and CAP_NET_ADMIN in the first user namespace"
    if error.errno in (errno.ENOSYS, errno.EINVAL):
        return f"this kernel has no BPF_CGROUP_DEVICE ({error.strerror})"
    return str(error.strerror)


def _open(directory: str) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _attribute(command: int, layout: str, *values: object) -> tuple[int, bytes]:
    """bpf(2) with a union bpf_attr of that layout: its result, and the union as it came back."""
    size = struct.calcsize(layout)
    data = buffer(struct.pack(layout, *values), size)
    return _bpf(command, data, size), data.raw


def _load(program: bytes) -> int:
    instructions = buffer(program, len(program))
    permit = buffer(b"Apache-2.0")
    return _attribute(
        _BPF_PROG_LOAD,
        "=IIQQIIQII16s",
        _PROG_TYPE_CGROUP_DEVICE,
        len(program) // 8,
        addressof(instructions),
        addressof(permit),
        0,
        0,
        0,
        0,
        0,
        PROGRAM_NAME,
    )[0]


def _query(group: int) -> list[int]:
    """The numbers of the programs attached to the group itself."""
    numbers = buffer(4 * _MOST_PROGRAMS)
    place, room = addressof(numbers), _MOST_PROGRAMS
    _, answer = _attribute(_BPF_PROG_QUERY, "=4IQ2I", group, _CGROUP_DEVICE, 0, 0, place, room, 0)
    count = struct.unpack_from("=I", answer, 24)[0]
    return list(struct.unpack_from(f"={count}I", numbers.raw))


def _program(number: int) -> int:
    return _attribute(_BPF_PROG_GET_FD_BY_ID, "=3I", number, 0, 0)[0]


def _info(program: int, instructions: int = 0, room: int = 0) -> tuple[int, bytes]:
    """Of bpf_prog_info the length of the instructions and the program's name."""
    info = buffer(_INFO_BYTES)
    struct.pack_into("=I", info, 20, room)
    struct.pack_into("=Q", info, 32, instructions)
    _attribute(_BPF_OBJ_GET_INFO_BY_FD, "=IIQ", program, _INFO_BYTES, addressof(info))
    return struct.unpack_from("=I", info.raw, 20)[0], info.raw[64:80].rstrip(b"\0")


def _instructions(number: int) -> bytes:
    program = _program(number)
    try:
        length, _ = _info(program)
        code = buffer(max(length, 8))
        _info(program, addressof(code), length)
        return code.raw[:length]
    finally:
        os.close(program)


def _is_ours(number: int) -> bool:
    program = _program(number)
    try:
        return _info(program)[1] == PROGRAM_NAME
    finally:
        os.close(program)


def _detach(group: int, number: int) -> None:
    program = _program(number)
    try:
        _attribute(_BPF_PROG_DETACH, "=4I", group, program, _CGROUP_DEVICE, 0)
    finally:
        os.close(program)
