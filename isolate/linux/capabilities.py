"""Capabilities: the five sets of a process, and the order in which a container's first sets them.

A set is an int whose bit N is the capability of number N. See capabilities(7).
"""

from __future__ import annotations

import os
import struct

from isolate.linux import prctl
from isolate.linux._libc import c_char_p, c_uint, c_void_p, function
from isolate.linux.names import CAPABILITIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_VERSION_3 = 0x20080522  # _LINUX_CAPABILITY_VERSION_3: two words of 32 bits for each set
_AMBIENT_IS_SET, _AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 1, 2, 4
_EINVAL = 22
_WORD = 0xFFFFFFFF
_LIMIT = 64  # bits in the kernel's set

_NUMBERS = {name: number for number, name in enumerate(CAPABILITIES)}

_capget = function("capget", c_char_p, c_void_p)
_capset = function("capset", c_char_p, c_char_p)


def to_mask(names: Iterable[str]) -> int:
    """The set of these names (`CAP_CHOWN`). Raises ValueError for an unknown name."""
    mask = 0
    for name in names:
        number = _NUMBERS.get(name)
        if number is None:
            raise ValueError(f"{name!a} is not a capability of capabilities(7)")
        mask |= 1 << number
    return mask


def to_names(mask: int) -> tuple[str, ...]:
    """The names in this set, by number; `CAP_63` for one that has no name here."""
    return tuple(_name(number) for number in range(mask.bit_length()) if mask >> number & 1)


def _name(number: int) -> str:
    return CAPABILITIES[number] if number < len(CAPABILITIES) else f"CAP_{number}"


# What Docker, containerd and podman's oldest users expect (moby, oci/caps/defaults.go).
DEFAULT = to_mask(
    f"CAP_{name}"
    for name in (
        "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP "
        "NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE"
    ).split()
)


class Sets:
    """The five capability sets of a thread."""

    __slots__ = ("ambient", "bounding", "effective", "inheritable", "permitted")

    def __init__(
        self, effective: int, permitted: int, inheritable: int, bounding: int, ambient: int
    ) -> None:
        self.effective = effective
        self.permitted = permitted
        self.inheritable = inheritable
        self.bounding = bounding
        self.ambient = ambient

    def _values(self) -> tuple[int, ...]:
        return (self.effective, self.permitted, self.inheritable, self.bounding, self.ambient)

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if isinstance(other, Sets) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return "Sets({:#x}, {:#x}, {:#x}, {:#x}, {:#x})".format(*self._values())


_last_cap: int | None = None


def last_cap() -> int:
    """The highest capability number of the running kernel.

    Asked from the kernel itself and not from /proc/sys/kernel/cap_last_cap, which a container's
    first process may not see, or see a forgery of.
    """
    global _last_cap  # noqa: PLW0603 - read once, without functools (see the hot path)
    if _last_cap is None:
        number = len(CAPABILITIES) - 1
        while number and not _exists(number):
            number -= 1
        while number < _LIMIT - 1 and _exists(number + 1):
            number += 1
        _last_cap = number
    return _last_cap


def _exists(number: int) -> bool:
    try:
        prctl.prctl(prctl.PR_CAPBSET_READ, number)
    except OSError as error:
        if error.errno != _EINVAL:
            raise
        return False
    return True


def full() -> int:
    """Every capability that the running kernel knows."""
    return (1 << (last_cap() + 1)) - 1


def read(pid: int | str = "self") -> Sets:
    """The sets of a process, from /proc/PID/status (proc_pid_status(5))."""
    fd = os.open(f"/proc/{pid}/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.read(fd, 1 << 16)
    finally:
        os.close(fd)
    return parse(text)


def parse(status: bytes) -> Sets:
    """The sets in the text of a /proc/PID/status. Raises ValueError where one is missing."""
    found = {}
    for line in status.splitlines():
        key, _, value = line.partition(b":")
        if key in (b"CapEff", b"CapPrm", b"CapInh", b"CapBnd", b"CapAmb"):
            found[key] = int(value, 16)
    if len(found) != 5:
        raise ValueError("this is not the text of a /proc/PID/status: capability sets are missing")
    return Sets(
        found[b"CapEff"], found[b"CapPrm"], found[b"CapInh"], found[b"CapBnd"], found[b"CapAmb"]
    )


def capget(pid: int = 0) -> tuple[int, int, int]:
    """The effective, permitted and inheritable sets of a thread; 0 is the caller. See capget(2)."""
    data = (c_uint * 6)()
    _capget(struct.pack("=Ii", _VERSION_3, pid), data)
    low, high = data[:3], data[3:]
    return (low[0] | high[0] << 32, low[1] | high[1] << 32, low[2] | high[2] << 32)


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set three sets of the calling thread. EPERM: the rules of capset(2) forbid it."""
    wanted = (effective, permitted, inheritable)
    if any(mask < 0 or mask >> _LIMIT for mask in wanted):
        raise ValueError("a capability set has 64 bits")
    words = [mask >> shift & _WORD for shift in (0, 32) for mask in wanted]
    _capset(struct.pack("=Ii", _VERSION_3, 0), struct.pack("=6I", *words))


def bounding() -> int:
    """The calling thread's bounding set."""
    return sum(1 << n for n in range(last_cap() + 1) if prctl.prctl(prctl.PR_CAPBSET_READ, n))


def drop_bounding(keep_mask: int) -> None:
    """Drop everything but `keep_mask` from the bounding set.

    Needs CAP_SETPCAP where there is something to drop; raises EPERM without it.
    """
    for number in range(last_cap() + 1):
        if not keep_mask >> number & 1 and prctl.prctl(prctl.PR_CAPBSET_READ, number):
            prctl.prctl(prctl.PR_CAPBSET_DROP, number)


def clear_ambient() -> None:
    """Empty the ambient set."""
    prctl.prctl(prctl.PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)


def raise_ambient(mask: int) -> None:
    """Add to the ambient set. EPERM for what is not both permitted and inheritable."""
    for number in range(mask.bit_length()):
        if mask >> number & 1:
            prctl.prctl(prctl.PR_CAP_AMBIENT, _AMBIENT_RAISE, number)


def ambient() -> int:
    """The calling thread's ambient set."""
    asked = range(last_cap() + 1)
    return sum(1 << n for n in asked if prctl.prctl(prctl.PR_CAP_AMBIENT, _AMBIENT_IS_SET, n))


def set_sets(sets: Sets) -> None:
    """Make the calling thread's five sets these; lowers the bounding set, can't raise it.

    Raises OSError (EPERM) for what the kernel's rules forbid, ValueError where `ambient` is not
    within both `permitted` and `inheritable`.
    """
    if sets.ambient & ~(sets.permitted & sets.inheritable):
        raise ValueError("ambient capabilities must be permitted and inheritable")
    drop_bounding(sets.bounding)
    clear_ambient()
    capset(sets.effective, sets.permitted, sets.inheritable)
    raise_ambient(sets.ambient)


def available(mask: int) -> int:
    """What of `mask` the caller can give: what its permitted and bounding sets hold.

    A container engine is often confined itself; runc drops what it can't give, with a warning.
    The caller here decides, for apply() raises EPERM rather than give less in silence.
    """
    return mask & capget()[1] & bounding()


def before_setuid(mask: int) -> None:
    """The half of apply() that needs the old user's rights; setresgid and setresuid(2) follow.

    The bounding set goes first, while CAP_SETPCAP is effective, and keepcaps(PR_SET_KEEPCAPS)
    carries the permitted set over the change of user.
    """
    clear_ambient()
    drop_bounding(mask)
    prctl.set_keepcaps(True)


def after_setuid(mask: int, *, ambient: int = 0) -> None:
    """The half of apply() that follows setresuid(2): the sets that execve(2) will see.

    A user other than 0 keeps nothing over execve(2) but ambient capabilities. Engines give such
    a user none, even when capabilities were asked for (moby since CVE-2022-24769; runc raises
    what the OCI document lists and nothing else), so that only a file with capabilities gives
    them back. `ambient` is for a caller whose user asked for it; it must be within `mask`, and
    makes these capabilities inheritable too, which the kernel wants.
    """
    if ambient & ~mask:
        raise ValueError("ambient capabilities must be within the mask")
    capset(mask, mask, ambient)
    raise_ambient(ambient)
    prctl.set_keepcaps(False)


def apply(mask: int, *, ambient: int = 0) -> None:
    """Make effective, permitted and bounding sets `mask`, inheritable and ambient ones empty.

    Never leave capabilities inheritable: a file with inheritable ones would give them to any user
    inside (CVE-2022-29162, CVE-2022-24769). For a change of user in between, call the halves
    before_setuid() and after_setuid(). Raises OSError (EPERM) where `mask` holds what the caller
    has not: see available(). Bits that the kernel doesn't know are refused as well.
    """
    before_setuid(mask)
    after_setuid(mask, ambient=ambient)
