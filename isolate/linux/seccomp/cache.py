"""Compiled filters, cached in a directory of the caller's: on the hot path nothing is compiled.

A cached filter is used only if all that it was made from is the same: the parameters and the
whole text of the profile are in the file, as is the identity (device, inode, size, times) of
libseccomp, of pyseccomp and of this package's own files. And only if nobody else could have
written it: a regular file of our own effective user, writable by no other.
"""

from __future__ import annotations

import os
import stat
import struct

from isolate.linux.seccomp import sources
from isolate.linux.seccomp.load import INSTRUCTION, MAX_INSTRUCTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from isolate.linux.seccomp.policy import Filter, Policy

    Host = tuple[str, tuple[int, int]]  # machine, as uname(2) names it, and kernel version

MAX_BYTES = 4 << 20

_MAGIC = b"isolate seccomp 1"
_HEADER = struct.Struct("=17sxIIIII")  # magic; flags; lengths of the four parts that follow
_CHECKSUM = 8  # bytes at the end
_PRIME = (1 << 61) - 1


class Cached:
    """A compiled filter: the program and the flags for load(), and the names that were dropped.

    It has the attributes of policy.Filter, without the import.
    """

    __slots__ = ("dropped", "flags", "program")

    def __init__(self, program: bytes, flags: int, dropped: tuple[str, ...]) -> None:
        self.program = program
        self.flags = flags
        self.dropped = dropped


def default(capabilities: int, directory: str | None, *, allow_32bit: bool = False) -> Cached:
    """The filter of the default profile for this bounding set.

    `directory` None is no cache. A cache that can't be read or written is no error: the filter is
    compiled then. Raises OSError where libseccomp is missing.
    """
    machine, release = _host()
    abi = "32" if allow_32bit else "64"
    key = f"default {machine} {release} {capabilities:x} {abi}".encode()

    def policy() -> Policy:
        from isolate.linux.seccomp import default as profile

        return profile.policy(
            capabilities, machine=machine, kernel=kernel_version(release), allow_32bit=allow_32bit
        )

    return _cached(directory, f"default-{machine}-{capabilities:x}-{abi}", key, policy)


def custom(document: bytes, capabilities: int, directory: str | None) -> Cached:
    """The filter of a JSON profile, for this bounding set; `directory` as for default().

    Raises policy.ProfileError, a ValueError that names the place in the profile, and OSError
    where libseccomp is missing. What came from the cache has been valid before.
    """
    machine, release = _host()
    key = f"custom {machine} {release} {capabilities:x} ".encode() + document

    def policy() -> Policy:
        from isolate.linux.seccomp import profile

        host = profile.Host(capabilities, machine, kernel_version(release))
        return profile.read(document, host)

    return _cached(directory, f"custom-{_checksum(key).hex()}", key, policy)


def own(name: str, key: bytes, directory: str | None, policy: Callable[[Host], Policy]) -> Cached:
    """The filter of a policy that a caller makes itself; `directory` as for default().

    `name` is part of a file's name, `key` is everything that the policy depends on beside the host,
    the identity of the caller's own code included.
    """
    machine, release = _host()
    whole = b"own %s %s " % (machine.encode(), release.encode()) + key
    host = (machine, kernel_version(release))
    return _cached(directory, f"{name}-{_checksum(whole).hex()}", whole, lambda: policy(host))


def _host() -> tuple[str, str]:
    host = os.uname()
    return host.machine, host.release


def kernel_version(release: str) -> tuple[int, int]:
    """(6, 12) of 6.12.3-generic. Raises ValueError for what has no such start."""
    major, minor, *_ = release.split(".")
    digits = minor[: len(minor) - len(minor.lstrip("0123456789"))]
    return int(major), int(digits)


def _cached(directory: str | None, name: str, key: bytes, policy: Callable[[], Policy]) -> Cached:
    path = None if directory is None else f"{directory}/{name}.bpf"
    found = None if path is None else _read(path, key)
    if found is not None:
        return found
    from isolate.linux.seccomp import compile as compiler

    made = compiler.compile_policy(policy())
    inputs = compiler.inputs()
    if path is not None and inputs is not None:
        _write(path, key, inputs, made)
    return Cached(made.program, made.flags, made.dropped)


def _read(path: str, key: bytes) -> Cached | None:
    """What the file holds, if it is ours, whole, made for this key, and not outdated."""
    data = _read_own(path)
    if data is None or len(data) < _HEADER.size + _CHECKSUM:
        return None
    data, checksum = data[:-_CHECKSUM], data[-_CHECKSUM:]
    magic, flags, of_key, of_inputs, of_dropped, of_program = _HEADER.unpack_from(data)
    body = data[_HEADER.size :]
    if (
        magic != _MAGIC
        or checksum != _checksum(data)
        or len(body) != of_key + of_inputs + of_dropped + of_program
        or not 0 < of_program <= MAX_INSTRUCTIONS * INSTRUCTION
        or of_program % INSTRUCTION
        or body[:of_key] != key
    ):
        return None
    inputs = body[of_key : of_key + of_inputs]
    if not _unchanged(inputs):
        return None
    program = body[len(body) - of_program :]
    dropped = body[of_key + of_inputs : len(body) - of_program].decode()
    return Cached(program, flags, tuple(dropped.split()))


def _read_own(path: str) -> bytes | None:
    # A FIFO of someone else's must not block us, nor a link lead elsewhere.
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        about = os.fstat(fd)
        if (
            not stat.S_ISREG(about.st_mode)
            or about.st_uid != os.geteuid()
            or about.st_mode & 0o022
            or about.st_size > MAX_BYTES
        ):
            return None
        return os.read(fd, about.st_size)
    except OSError:
        return None
    finally:
        os.close(fd)


def _write(path: str, key: bytes, inputs: bytes, made: Filter) -> None:
    """Replace the file at once. A cache that can't be written costs time and nothing else."""
    dropped = " ".join(made.dropped).encode()
    parts = (key, inputs, dropped, made.program)
    data = _HEADER.pack(_MAGIC, made.flags, *map(len, parts)) + b"".join(parts)
    data += _checksum(data)
    if len(data) > MAX_BYTES:
        return
    temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(temporary, flags, 0o600)
        try:
            complete = os.write(fd, data) == len(data)
        finally:
            os.close(fd)
        if complete:
            os.rename(temporary, path)
        else:
            os.unlink(temporary)
    except OSError:
        _unlink(temporary)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return


def _unchanged(inputs: bytes) -> bool:
    parts = inputs.split(b"\0")
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return all(sources.identity(os.fsdecode(path)) == mark.decode() for path, mark in pairs)


def _checksum(data: bytes) -> bytes:
    """Against damage of the disk, not against attackers; no import is as cheap."""
    return (int.from_bytes(data, "little") % _PRIME).to_bytes(_CHECKSUM, "little")
