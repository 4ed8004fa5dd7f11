"""Attempts on rights: to raise them, and to use what a careless launcher has left behind."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_OTHER = 1  # a user that is nearly everywhere, and that isn't us
_LEVELS = 40  # more than any path is deep

# A program that waits: pause(2), or ppoll(2) without an end where there is no such call. An ELF
# header with one segment, and the code.
_CODE = {
    "x86_64": (62, "b822000000 0f05 ebf7"),
    "aarch64": (183, "000080d2 010080d2 020080d2 030080d2 280980d2 010000d4 faffff17"),
}


def exec_set_uid(directories: list[str], token: str) -> Iterator[str]:
    """Hold a program that waits, executed from a set-uid file of another user's."""
    path = _set_uid_file(directories)
    pid = os.fork()
    if pid == 0:
        signal.alarm(5)
        with contextlib.suppress(OSError):
            os.execv(path, [token])
        os._exit(1)
    try:
        _await(pid, token)
    finally:
        os.unlink(path)
    try:
        yield path
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _set_uid_file(directories: list[str]) -> str:
    """Written to the first directory that takes it. Raises the last refusal."""
    refusal = OSError(errno.EPERM, "no directory honours a set-uid file")
    for directory in directories:
        path = os.path.join(directory, "isolate-set-uid")
        try:
            if os.statvfs(directory).f_flag & (os.ST_NOSUID | os.ST_NOEXEC):
                continue
            _write_set_uid(path)
        except OSError as error:
            refusal = error
        else:
            return path
    raise refusal


def _write_set_uid(path: str) -> None:
    with open(path, "wb") as file:
        file.write(_waiting_program())
    try:
        os.chown(path, _OTHER, -1)
        os.chmod(path, 0o4755)  # noqa: S103 - that is the attempt
    except OSError:
        os.unlink(path)
        raise


def _waiting_program() -> bytes:
    machine, code = _CODE[os.uname().machine]
    text = bytes.fromhex(code)
    base, header = 0x400000, 64 + 56
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    elf = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, base + header, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    size = header + len(text)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x10000)
    return ident + elf + segment + text


def _await(pid: int, token: str) -> None:
    """Wait until the child is that program; a second is enough."""
    for _ in range(100):
        if _command_line(str(pid)) == token.encode() + b"\0":
            return
        time.sleep(0.01)


def new_file(directories: list[str], token: str) -> Iterator[str]:
    """Hold a new file that bears the token in its name, already removed."""
    refusal = OSError(errno.EROFS, "no directory takes a file")
    for directory in directories:
        path = os.path.join(directory, f"{token}-new")
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        except OSError as error:
            refusal = error
            continue
        os.unlink(path)
        yield f"{path}, {descriptor}"
        return
    raise refusal


def leaked() -> dict[str, str]:
    """What `token` says in the directories that descriptors lead to, by their numbers."""
    found = {}
    for number in range(3, 1024):
        with contextlib.suppress(OSError):
            found[str(number)] = _read("token", number)
    return found


def climbed(path: str) -> str:
    """The file at `path` of the host, from the working directory: in it, or by `..` from there."""
    for place in ("token", *(f"{'../' * level}{path.lstrip('/')}" for level in range(_LEVELS))):
        with contextlib.suppress(OSError):
            return _read(place, None)
    raise OSError(errno.ENOENT, f"nothing on the way from {_cwd()}")


def _cwd() -> str:
    try:
        return os.getcwd()
    except OSError as error:
        return str(error)


def _read(path: str, directory: int | None) -> str:
    descriptor = os.open(path, os.O_RDONLY, dir_fd=directory)
    try:
        return os.read(descriptor, 256).decode(errors="replace")
    finally:
        os.close(descriptor)


def environments(token: str) -> list[str]:
    """The processes in whose environment the token stands; `self` is this one."""
    found = ["self"] if token in os.environ.values() else []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else []:
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                found += [name] if token.encode() in file.read() else []
    return found


def watch_executables(token: str) -> list[dict[str, object]]:
    """Of each process that appears until one with the token in its command line has come and gone:
    its executable, whether it opens for writing (that it is busy means so), and its identity."""
    known = {*_pids(), str(os.getpid())}
    found: dict[tuple[int, int], dict[str, object]] = {}
    marked: set[str] = set()
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline:
        now = [name for name in _pids() if name not in known]
        if marked and not marked.intersection(now):
            break
        for name in now:
            _try_executable(name, found)
        marked.update(name for name in now if token.encode() in _command_line(name))
    return list(found.values())


def _pids() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]


def _try_executable(pid: str, found: dict[tuple[int, int], dict[str, object]]) -> None:
    path, link, key = f"/proc/{pid}/exe", "", (0, 0)
    try:
        status = os.stat(path)
        link, key = os.readlink(path), (status.st_dev, status.st_ino)
        if key in found:
            return
        os.close(os.open(path, os.O_WRONLY))
        result = "opened"
    except (FileNotFoundError, ProcessLookupError):
        return  # it has ended
    except OSError as error:
        result = errno.errorcode.get(error.errno or 0, str(error.errno))
    found[key] = {"path": link, "device": key[0], "inode": key[1], "result": result}


def _command_line(pid: str) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""
