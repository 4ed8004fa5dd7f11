"""Classic BPF as bytes: joining programs into one, and the stub that answers ENOSYS.

libseccomp makes one program for each architecture and kind of rule. Here they become one program:
where a part has nothing to say it returns PASS, and that becomes a jump to the next part.
See the kernel's Documentation/networking/filter.rst and seccomp(2).
"""

from __future__ import annotations

import struct

from isolate.linux.seccomp.policy import ENOSYS, ERRNO, TRACE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PASS = TRACE | 0xFFFE  # a value that no profile may use

_FORMAT = struct.Struct("@HBBI")  # struct sock_filter
_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP = 0x05  # BPF_JMP | BPF_JA
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_GREATER = 0x25  # BPF_JMP | BPF_JGT | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_NR, _ARCH = 0, 4  # offsets in struct seccomp_data


def join(parts: Sequence[bytes]) -> bytes:
    """One program that runs the parts in turn, until one returns something else than PASS."""
    return b"".join(
        _FORMAT.pack(*instruction)
        for index, part in enumerate(parts)
        for instruction in _passing(part, last=index == len(parts) - 1)
    )


def _passing(part: bytes, *, last: bool) -> list[tuple[int, ...]]:
    instructions: list[tuple[int, ...]] = list(_FORMAT.iter_unpack(part))
    if last:
        return instructions
    return [
        (_JUMP, 0, 0, len(instructions) - index - 1) if is_pass(instruction) else instruction
        for index, instruction in enumerate(instructions)
    ]


def is_pass(instruction: tuple[int, ...]) -> bool:
    """Whether the instruction returns PASS."""
    return instruction[0] == _RETURN and instruction[3] == PASS


def has_pass(program: bytes) -> bool:
    """Whether PASS can come out of the program, which the kernel must never see."""
    return any(is_pass(instruction) for instruction in _FORMAT.iter_unpack(program))


def enosys_above(audit_arch: int, newest: int) -> bytes:
    """A part that answers ENOSYS to the architecture's calls above `newest`.

    Numbers are unsigned: -1 and, on x86-64, all of x32 (bit 30) are above.
    """
    instructions = (
        (_LOAD, 0, 0, _ARCH),
        (_JUMP_EQUAL, 0, 3, audit_arch),
        (_LOAD, 0, 0, _NR),
        (_JUMP_GREATER, 0, 1, newest),
        (_RETURN, 0, 0, ERRNO | ENOSYS),
        (_RETURN, 0, 0, PASS),
    )
    return b"".join(_FORMAT.pack(*instruction) for instruction in instructions)
