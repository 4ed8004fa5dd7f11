"""A machine for classic BPF, as much of it as seccomp filters have: what the kernel answers."""

from __future__ import annotations

import struct

X86_64 = 0xC000003E
I386 = 0x40000003
X32 = 0x40000000  # a bit in the number


def answer(program: bytes, nr: int, *args: int, arch: int = X86_64) -> int:
    """The 32-bit action that the program returns for this system call."""
    padded = [arg & 2**64 - 1 for arg in (*args, 0, 0, 0, 0, 0, 0)[:6]]
    data = struct.pack("<IIQ6Q", nr & 2**32 - 1, arch, 0, *padded)
    code = list(struct.iter_unpack("<HBBI", program))
    at, accumulator = 0, 0
    while True:
        operation, if_true, if_false, k = code[at]
        at += 1
        match operation:
            case 0x20:
                accumulator = struct.unpack_from("<I", data, k)[0]
            case 0x54:
                accumulator &= k
            case 0x05:
                at += k
            case 0x15:
                at += if_true if accumulator == k else if_false
            case 0x25:
                at += if_true if accumulator > k else if_false
            case 0x35:
                at += if_true if accumulator >= k else if_false
            case 0x45:
                at += if_true if accumulator & k else if_false
            case 0x06:
                return int(k)
            case _:
                raise AssertionError(f"instruction {operation:#x} is not implemented")
