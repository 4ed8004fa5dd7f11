"""Attempts on the kernel: what it runs, what it is told to do, what it has to say."""

from __future__ import annotations

import errno
import os
import re

from isolate.probe.inside import raw

_LOG_BYTES = 1 << 20
_RECORD = 8192  # bytes of one record of /dev/kmsg, at the most
_SYSLOG_READ_ALL = 3  # syslog(2): read what there is, and leave it there


def boot_id() -> str | None:
    """The random id of this boot of this kernel; None where nothing tells it."""
    try:
        return read_text("/proc/sys/kernel/random/boot_id")
    except OSError:
        return None


def read_text(path: str) -> str:
    """What a small file of the kernel's holds, in one line."""
    with open(path, "rb") as file:
        return os.fsdecode(file.read(4096)).strip()


def write_back(path: str) -> str:
    """Write what a file holds back into it, the same bytes."""
    if not raw.is_kernel_file(path):
        raise OSError(errno.ENOENT, "no file of the kernel's", path)
    with open(path, "rb") as file:
        content = file.read(4096)
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
    return os.fsdecode(content).strip()


def open_for_writing(paths: list[str]) -> list[str]:
    """Which of the kernel's files open for writing; nothing is written.

    Raises the error of the last one where none opens.
    """
    opened = []
    refusal = OSError(errno.ENOENT, "none of them is there")
    for path in paths:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_NOCTTY))
            if raw.is_kernel_file(path):  # a mask is a null device, which anybody may write to
                opened.append(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            refusal = error
    if not opened:
        raise refusal
    return opened


def release_agents() -> list[str]:
    """Which release_agent files open for writing, in the cgroup file systems mounted here."""
    with open("/proc/self/mountinfo", errors="surrogateescape") as lines:
        rows = [line.split() for line in lines]
    places = [row[4] for row in rows if row[row.index("-") + 1] == "cgroup"]
    return open_for_writing([f"{place}/release_agent" for place in places])


def read_memory(paths: list[str]) -> list[str]:
    """Which files of the machine's memory give a byte."""
    given = []
    refusal = OSError(errno.ENOENT, "none of them is there")
    for path in paths:
        try:
            with open(path, "rb", buffering=0) as file:
                given += [path] if file.read(1) else []  # a masked one is empty
        except FileNotFoundError:
            continue
        except OSError as error:
            refusal = error
    if not given:
        raise refusal
    return given


def read_log() -> list[str]:
    """The canaries in the kernel's log, read through its device or by syslog(2)."""
    try:
        text = _log_device()
    except OSError:
        text = raw.read_into("syslog", _LOG_BYTES, lambda at: (_SYSLOG_READ_ALL, at, _LOG_BYTES))
    return sorted(set(re.findall(r"canary-\w+", text.decode(errors="replace"))))


def _log_device() -> bytes:
    """Every record; reading here takes nothing away."""
    descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    text = b""
    try:
        while len(text) < _LOG_BYTES:
            try:
                text += os.read(descriptor, _RECORD)
            except BrokenPipeError:  # overwritten meanwhile: the next one
                continue
            except BlockingIOError:
                break
    finally:
        os.close(descriptor)
    return text


def symbols() -> list[str]:
    """Lines of /proc/kallsyms whose address isn't zero; a few of the first hundred."""
    with open("/proc/kallsyms", errors="replace") as file:
        lines = [line.strip() for line, _ in zip(file, range(100), strict=False)]
    return [line for line in lines if line.partition(" ")[0].strip("0")][:5]


def listed_keys() -> list[str]:
    """The canaries among the keys that the kernel lists."""
    with open("/proc/keys", errors="replace") as file:
        return sorted(set(re.findall(r"canary-\w+", file.read())))


def listings(filesystems: dict[str, str]) -> dict[str, int]:
    """How many entries each of the kernel's file systems shows: mounted at its usual place, or as a
    mount of its own that is attached nowhere."""
    counts = {}
    refusal = OSError(errno.ENOENT, "none of them is there")
    for name, place in filesystems.items():
        try:
            counts[name] = _entries(name, place)
        except OSError as error:
            refusal = error
    counts = {name: count for name, count in counts.items() if count}
    if not counts:
        raise refusal
    return counts


def _entries(name: str, place: str) -> int:
    try:
        if raw.filesystem_of(place) == raw.MAGIC[name]:
            return len(os.listdir(place))
    except OSError:
        pass  # not there, then perhaps by a mount
    opened = raw.open_detached(name)
    try:
        return len(os.listdir(opened))
    finally:
        os.close(opened)
