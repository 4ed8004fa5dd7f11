"""The addresses that sockets of a cgroup may use on a network stack that it shares with others.

eBPF programs at bind(2), connect(2) and sendmsg(2) hold a version 2 group to a list of addresses,
with the rewriting that FreeBSD's jails have: "any address" and loopback mean the first of the list,
and so does the source of what is sent from an unbound socket. Sources: include/uapi/linux/bpf.h
(struct bpf_sock_addr, struct bpf_sock, bpf_bind), jail(8) ip4.addr.

A socket that listens or receives without having been bound is given a free port on every address
by the kernel, which no program sees.
"""

from __future__ import annotations

import errno
import os
import struct

from isolate.linux import bpf
from isolate.linux.bpf import ADDK, ANDK, CALL, JNEK32, LDXW, MOVK, MOVX, STW, STXW
from isolate.linux.cgroup.files import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from isolate.linux.bpf import Instruction

Words = tuple[int, ...]
"""An address as the words in which programs see it: one, or four of IPv6, in network order."""

PROGRAM_NAME = b"isolate_addr"
_MARK_NAME = b"isolate_mark"
_KIND = "BPF_CGROUP_SOCK_ADDR"

_DESTINATION = {1: 4, 4: 8}  # user_ip4, user_ip6
_SOURCE = {1: 40, 4: 44}  # msg_src_ip4, msg_src_ip6
_FAMILY = {1: 2, 4: 10}
_SOCKADDR = {1: 16, 4: 28}
_LOOPBACK6 = (0, 0, 0, 1 << 24)  # ::1
_HELPER_BIND = 64  # bpf_bind
_MARK = 16  # of struct bpf_sock
_SCRATCH, _CONTEXT, _STACK = 8, 6, 10

_HOOKS = {
    1: (bpf.CGROUP_INET4_BIND, bpf.CGROUP_INET4_CONNECT, bpf.CGROUP_UDP4_SENDMSG),
    4: (bpf.CGROUP_INET6_BIND, bpf.CGROUP_INET6_CONNECT, bpf.CGROUP_UDP6_SENDMSG),
}


def words(packed: bytes) -> Words:
    """The words of an address as inet_pton(3) packs it."""
    return struct.unpack(f"={len(packed) // 4}I", packed)


def restrict(directory: str, addresses: Sequence[bytes], *, spare: Collection[int] = ()) -> None:
    """Hold a version 2 group to these packed addresses, the first of each family its primary.

    A family of which there is none is refused, but for those in `spare` (the bytes of their
    addresses, 4 and 16), which are left alone. Raises CgroupError.
    """
    for size, hooks in _HOOKS.items():
        if 4 * size in spare:
            continue
        own = [words(address) for address in addresses if len(address) == 4 * size]
        programs = (_bind(own, size), _connect(own, size), _sendmsg(own, size))
        for hook, program in zip(hooks, programs, strict=True):
            _attach(directory, bpf.PROG_TYPE_CGROUP_SOCK_ADDR, hook, program, PROGRAM_NAME)


def mark(directory: str, value: int) -> None:
    """Give every socket that the group will make a routing mark (ip-rule(8) fwmark).

    Raises CgroupError.
    """
    code = [
        (MOVK, _SCRATCH, 0, bpf.signed(value)),
        (STXW, _SCRATCH << 4 | 1, _MARK, 0),
        *bpf.verdict(1),
    ]
    hook = bpf.CGROUP_INET_SOCK_CREATE
    _attach(directory, bpf.PROG_TYPE_CGROUP_SOCK, hook, bpf.pack(code), _MARK_NAME)


def restricted(directory: str, *, spare: Collection[int] = ()) -> bool:
    """Whether programs of `restrict` are attached to the group at every hook. Raises OSError."""
    wanted = [hook for size, hooks in _HOOKS.items() if 4 * size not in spare for hook in hooks]
    group = bpf.open_group(directory)
    try:
        return all(
            any(bpf.name_of(number) == PROGRAM_NAME for number in bpf.query(group, hook))
            for hook in wanted
        )
    finally:
        os.close(group)


def obstacle(directory: str) -> str | None:
    """Why groups below can't be held to addresses; None when they can. Changes nothing."""
    try:
        group = bpf.open_group(directory)
        try:
            bpf.query(group, bpf.CGROUP_INET4_BIND)
            program = _bind([], 1)
            hook = bpf.CGROUP_INET4_BIND
            os.close(bpf.load(bpf.PROG_TYPE_CGROUP_SOCK_ADDR, program, PROGRAM_NAME, hook))
        finally:
            os.close(group)
    except OSError as error:
        return f"eBPF programs for addresses: {bpf.explain(error, _KIND)}"
    return None


def _attach(directory: str, kind: int, hook: int, program: bytes, name: bytes) -> None:
    try:
        group = bpf.open_group(directory)
        try:
            loaded = bpf.load(kind, program, name, hook)
            try:
                bpf.attach(group, loaded, hook)
            finally:
                os.close(loaded)
        finally:
            os.close(group)
    except OSError as error:
        raise CgroupError(
            error.errno or errno.EPERM,
            f"no address program for {directory}: {bpf.explain(error, _KIND)}",
            directory,
        ) from None


def _bind(own: Sequence[Words], size: int) -> bytes:
    """The address that is bound must be one of our own, or mean "any"."""
    code = _start()
    if own:
        code += _rewrite_local(own[0], _DESTINATION[size], size)
    return bpf.pack([*code, *_allow_if_own(own, _DESTINATION[size]), *bpf.verdict(0)])


def _connect(own: Sequence[Words], size: int) -> bytes:
    """Bind the source first: the route would choose another. EINVAL: it is bound already, and the
    program above has seen that."""
    if not own:
        return bpf.pack([*_start(), *bpf.verdict(0)])
    code = [*_start(), *_rewrite_local(own[0], _DESTINATION[size], size)]
    if size == 4:
        code += _refuse_mapped()
    code += _call_bind(own[0], size)
    for allowed in (0, -errno.EINVAL):
        code += bpf.skip_block([(JNEK32, 0, 0, allowed), *bpf.verdict(1)])
    return bpf.pack([*code, *bpf.verdict(0)])


def _sendmsg(own: Sequence[Words], size: int) -> bytes:
    """The source of a datagram from an unconnected socket."""
    code = _start()
    if own:
        code += _rewrite_local(own[0], _DESTINATION[size], size)
        code += _replace(own[0], (0,) * size, _SOURCE[size])
    return bpf.pack([*code, *_allow_if_own(own, _SOURCE[size]), *bpf.verdict(0)])


def _start() -> list[Instruction]:
    return [(MOVX, 1 << 4 | _CONTEXT, 0, 0)]


def _rewrite_local(primary: Words, place: int, size: int) -> list[Instruction]:
    """Any address, and loopback, become the primary one."""
    code = _replace(primary, (0,) * size, place)
    if size == 4:
        return code + _replace(primary, _LOOPBACK6, place)
    loopback: list[Instruction] = [
        _load(place),
        (ANDK, _SCRATCH, 0, 0xFF),  # the first octet
        (JNEK32, _SCRATCH, 0, 127),
        *_store(primary, place),
    ]
    return code + bpf.skip_block(loopback)


def _replace(primary: Words, wanted: Words, place: int) -> list[Instruction]:
    """Where the address is `wanted`, put the primary one there."""
    return bpf.skip_block([*_unless(wanted, place), *_store(primary, place)])


def _allow_if_own(own: Sequence[Words], place: int) -> list[Instruction]:
    code: list[Instruction] = []
    for address in own:
        code += bpf.skip_block([*_unless(address, place), *bpf.verdict(1)])
    return code


def _unless(address: Words, place: int) -> list[Instruction]:
    """Skip the block where another address stands there."""
    code: list[Instruction] = []
    for at, word in enumerate(address):
        code += [_load(place + 4 * at), (JNEK32, _SCRATCH, 0, bpf.signed(word))]
    return code


def _load(place: int) -> Instruction:
    return (LDXW, _CONTEXT << 4 | _SCRATCH, place, 0)


def _store(address: Words, place: int) -> list[Instruction]:
    code: list[Instruction] = []
    for at, word in enumerate(address):
        code += [
            (MOVK, _SCRATCH, 0, bpf.signed(word)),
            (STXW, _SCRATCH << 4 | _CONTEXT, place + 4 * at, 0),
        ]
    return code


def _refuse_mapped() -> list[Instruction]:
    """No ::ffff:a.b.c.d: the kernel would go on as IPv4, past the program for that."""
    place = _DESTINATION[4]
    mapped = (0, 0, struct.unpack("=I", b"\0\0\xff\xff")[0])
    return bpf.skip_block([*_unless(mapped, place), *bpf.verdict(0)])


def _call_bind(address: Words, size: int) -> list[Instruction]:
    """bpf_bind(context, a struct sockaddr_in or sockaddr_in6 on the stack, its size)."""
    length = _SOCKADDR[size]
    start = -32
    head = (_FAMILY[size],) if size == 1 else (_FAMILY[size], 0)  # port 0, flow label 0
    content = (*head, *address)
    filled = [*content, *(0 for _ in range(length // 4 - len(content)))]
    return [
        *((STW, _STACK, start + 4 * at, bpf.signed(word)) for at, word in enumerate(filled)),
        (MOVX, _CONTEXT << 4 | 1, 0, 0),
        (MOVX, _STACK << 4 | 2, 0, 0),
        (ADDK, 2, 0, start),
        (MOVK, 3, 0, length),
        (CALL, 0, 0, _HELPER_BIND),
    ]
