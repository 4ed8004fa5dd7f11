"""What the host sees of a container's processes: the witness of probes that look."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from isolate.linux.cgroup import layout
from isolate.linux.process import PPID, descendants, parse_status, stat_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def descriptors(pids: Iterable[int]) -> list[str]:
    """Where their descriptors lead, as proc_pid_fd(5) has it."""
    return [target for _, target in _links(pids)]


def protocols(pids: Iterable[int]) -> list[str]:
    """The protocols of their sockets by the kernel's names: TCP, RAW, PACKET, AF_VSOCK, ..."""
    found = []
    for path, target in _links(pids):
        if target.startswith("socket:"):
            with contextlib.suppress(OSError):
                found.append(os.getxattr(path, "system.sockprotoname").rstrip(b"\0").decode())
    return sorted(found)


def _links(pids: Iterable[int]) -> Iterator[tuple[str, str]]:
    for pid in pids:
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                path = f"/proc/{pid}/fd/{name}"
                with contextlib.suppress(OSError):
                    yield path, os.readlink(path)


def owner_of(pids: Iterable[int], word: str) -> int | None:
    """The owner, as the host sees it, of the open file that has `word` in its path."""
    for path, target in _links(pids):
        if word in target:
            return os.stat(path).st_uid
    return None


def status(pid: int) -> dict[str, str]:
    """The fields of proc_pid_status(5). Raises OSError."""
    with open(f"/proc/{pid}/status", errors="replace") as file:
        return parse_status(file.read())


def parent(pid: int) -> int | None:
    """The pid of a process's parent; None where it is gone."""
    fields = stat_fields(pid)
    return int(fields[PPID]) if fields is not None else None


def namespace(pid: int | str, kind: str) -> str | None:
    """The identity of a process's namespace; None where the process is gone."""
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return None


def called(word: str) -> list[int]:
    """The pids of the processes that have `word` in their command line."""
    return [pid for pid in pids() if word in command_line(pid).decode(errors="replace")]


def pids() -> list[int]:
    """All processes of the host."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def command_line(pid: int, most: int = 65536) -> bytes:
    """A process's arguments, each ended by NUL; empty where it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read(most)
    except OSError:
        return b""


def mounts(pid: int) -> str:
    """The mount table of a process, proc_pid_mountinfo(5); empty where it is gone."""
    try:
        with open(f"/proc/{pid}/mountinfo", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


class Executables(threading.Thread):
    """A command that is run in the background, with a look at what it executes on the way.

    Args:
        command: what is run.
        but: the command line that it comes to in the end, which doesn't count.

    Attributes:
        identities: the device and inode of each executable of its processes, and of ours.
        words: how it ended.
    """

    def __init__(self, command: Sequence[str], but: Sequence[str]) -> None:
        super().__init__()
        self.identities = {_identity("self")}
        self.words = ""
        self._command = command
        self._but = "\0".join([*but, ""]).encode()
        self.start()

    def run(self) -> None:
        """Run it to its end."""
        time.sleep(0.1)  # the watcher inside is there by then
        running = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        with running:
            while running.poll() is None:
                for pid in (running.pid, *descendants(running.pid)):
                    with contextlib.suppress(OSError):
                        found = _identity(pid)
                        # Read after it: in the midst of execve(2) it is empty, and only then
                        # that of the new executable.
                        if command_line(pid) not in (b"", self._but):
                            self.identities.add(found)
            said = running.stdout.read() if running.stdout is not None else b""
        self.words = said.decode(errors="replace").strip() or f"exit status {running.returncode}"


def _identity(pid: int | str) -> tuple[int, int]:
    status = os.stat(f"/proc/{pid}/exe")
    return status.st_dev, status.st_ino


def knob(pid: int | None, *names: str) -> str | None:
    """What a cgroup file of a process says, by any of its names in version 2 and 1; None where
    there is none."""
    for directory in _cgroups(pid) if pid is not None else ():
        for name in names:
            with contextlib.suppress(OSError), open(f"{directory}/{name}") as file:
                return file.read().strip()
    return None


def _cgroups(pid: int) -> list[str]:
    """The directories of a process's cgroups, in every hierarchy mounted here (cgroups(7))."""
    try:
        with open(f"/proc/{pid}/cgroup") as file:
            found = layout.parse(mounts(os.getpid()), file.read(), lambda _mountpoint: "")
    except OSError:
        return []
    return [each.directory for each in found.hierarchies if each.directory]


def disk_of(path: str) -> str | None:
    """The block device below a path, as MAJOR:MINOR; None where it isn't on one."""
    number = os.stat(path).st_dev
    name = f"{os.major(number)}:{os.minor(number)}"
    return name if os.path.exists(f"/sys/dev/block/{name}") else None


def written(pid: int) -> int:
    """Bytes that a process has made the disks write, proc_pid_io(5)."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/io") as file:
        return int(parse_status(file.read()).get("write_bytes", "0"))
    return 0
