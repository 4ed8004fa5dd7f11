"""Attempts on files: reading what should not be there, leaving the root, writing through it."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys

from isolate.probe.inside import raw

_BYTES = 65536
_UPWARDS = 64  # more directories than any path here has


def read(path: str) -> str:
    """What a file holds, at most 64 KiB of it."""
    with open(path, errors="replace") as file:
        return file.read(_BYTES)


def read_first(paths: list[str]) -> str:
    """What the first of some files holds that can be read."""
    refusal = OSError(errno.ENOENT, "none of them is there")
    for path in paths:
        try:
            return read(path)
        except OSError as error:
            refusal = error
    raise refusal


def read_after_second_chroot(path: str) -> str:
    """Leave a root by chroot(2): into any directory below, while one above is still open."""
    below = next(
        f"/{name}" for name in sorted(os.listdir("/")) if stat.S_ISDIR(os.lstat(f"/{name}").st_mode)
    )
    above = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    os.chroot(below)
    os.fchdir(above)
    for _ in range(_UPWARDS):
        os.chdir("..")
    os.chroot(".")
    return read(path)


def read_by_handle(place: str, kind: int, handle: str) -> str:
    """Open a file by its handle, on the file system of `place` (open_by_handle_at(2))."""
    data = bytes.fromhex(handle)
    head = len(data).to_bytes(4, sys.byteorder) + kind.to_bytes(4, sys.byteorder, signed=True)
    mounted = os.open(place, os.O_RDONLY)
    opened = raw.call("open_by_handle_at", mounted, head + data, os.O_RDONLY)
    return os.read(opened, _BYTES).decode(errors="replace")


def handle_of(path: str) -> tuple[int, str]:
    """The kind and the bytes, in hexadecimal, of a file's handle (name_to_handle_at(2))."""
    room = 128  # MAX_HANDLE_SZ
    buffer = ctypes.create_string_buffer(room.to_bytes(4, sys.byteorder), 8 + room)
    mount = ctypes.create_string_buffer(8)
    raw.call("name_to_handle_at", -100, os.fsencode(path) + b"\0", buffer, mount, 0)
    size = int.from_bytes(buffer.raw[:4], sys.byteorder)
    kind = int.from_bytes(buffer.raw[4:8], sys.byteorder, signed=True)
    return kind, buffer.raw[8 : 8 + size].hex()


def write_below(places: list[str], name: str) -> list[str]:
    """Make a small file in each directory; those where it succeeded.

    Raises the error of the last one where it succeeded in none.
    """
    made = []
    refusal = OSError(errno.ENOENT, "none of the directories is there")
    for place in places:
        try:
            with open(f"{place}/{name}", "x") as file:
                file.write(name)
            made.append(place)
        except OSError as error:
            refusal = error
    if not made:
        raise refusal
    return made


def make_set_uid(places: list[str], name: str) -> list[str]:
    """Make a set-uid file in the first directory that there is; those where it succeeded."""
    made = write_below(places, name)
    for place in made:
        os.chmod(f"{place}/{name}", 0o4755)  # noqa: S103 - that is the attempt
    return made


def change_image(directory: str, name: str, existing: str) -> list[str]:
    """Make a file in a directory of the image, and write a byte of an existing file back into it.

    Returns what succeeded.
    """
    done = []
    refusal: OSError | None = None
    for what, change in (("made", _make), ("written back", _write_back)):
        try:
            change(f"{directory}/{name if what == 'made' else existing}")
            done.append(what)
        except OSError as error:
            refusal = error
    if refusal is not None and not done:
        raise refusal
    return done


def _make(path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _write_back(path: str) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.pwrite(descriptor, os.pread(descriptor, 1, 0), 0)
    finally:
        os.close(descriptor)
