"""What an ELF file asks of the dynamic loader: interpreter, libraries, search paths; elf(5)."""

from __future__ import annotations

import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_RPATH, _DT_RUNPATH = 1, 5, 10, 15, 29
_MAX_TABLE = 16 << 20  # no dynamic section or string table of a real program comes near
_MAX_FILE = 1 << 40


class NotElfError(ValueError):
    """The file is no ELF file, or a broken one."""


class Elf:
    """The dynamic section of a program or library, with its strings looked up."""

    __slots__ = ("bits", "interpreter", "machine", "needed", "path", "rpath", "runpath")

    def __init__(self, path: str, bits: int, machine: int) -> None:
        self.path = path
        self.bits = bits
        self.machine = machine
        self.interpreter: str | None = None
        self.needed: list[str] = []
        self.rpath: list[str] = []
        self.runpath: list[str] = []

    def same_machine(self, other: Elf) -> bool:
        """Whether both can be parts of one process."""
        return (self.bits, self.machine) == (other.bits, other.machine)


def read(path: str) -> Elf:
    """Read the ELF file at `path`. Raises NotElfError, OSError."""
    with open(path, "rb") as file:
        try:
            return _read(path, file)
        except (struct.error, IndexError, OverflowError) as error:
            raise NotElfError(f"{path} is a broken ELF file") from error


def _read(path: str, file: BinaryIO) -> Elf:
    head = file.read(64)
    if head[:4] != b"\x7fELF":
        raise NotElfError(f"{path} is not an ELF file")
    bits = {1: 32, 2: 64}[head[4]] if head[4] in (1, 2) else 0
    order = {1: "<", 2: ">"}.get(head[5], "")
    if not bits or not order:
        raise NotElfError(f"{path} is of an unknown ELF class")
    elf = Elf(path, bits, struct.unpack_from(order + "H", head, 18)[0])
    segments = _segments(file, head, bits, order)
    for kind, offset, _address, size in segments:
        if kind == _PT_INTERP:
            elf.interpreter = os.fsdecode(_at(file, offset, size).rstrip(b"\0"))
        elif kind == _PT_DYNAMIC:
            word = "q" if bits == 64 else "i"
            _dynamic(elf, file, segments, _at(file, offset, size), order + 2 * word)
    return elf


def _segments(file: BinaryIO, head: bytes, bits: int, order: str) -> list[tuple[int, ...]]:
    """The program headers: kind, offset in the file, address, size in the file."""
    if bits == 64:
        (table,) = struct.unpack_from(order + "Q", head, 32)
        size, count = struct.unpack_from(order + "HH", head, 54)
        layout, pick = order + "IIQQQQQQ", (0, 2, 3, 5)
    else:
        (table,) = struct.unpack_from(order + "I", head, 28)
        size, count = struct.unpack_from(order + "HH", head, 42)
        layout, pick = order + "8I", (0, 1, 2, 4)
    content = _at(file, table, size * count)
    rows = [struct.unpack_from(layout, content, size * number) for number in range(count)]
    return [tuple(row[column] for column in pick) for row in rows]


def _dynamic(
    elf: Elf, file: BinaryIO, segments: list[tuple[int, ...]], section: bytes, layout: str
) -> None:
    entries = [
        (tag, value)
        for tag, value in struct.iter_unpack(layout, section)
        if tag in (_DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_RPATH, _DT_RUNPATH)
    ]
    places = dict(entries)
    if _DT_STRTAB not in places:
        return
    strings = _at(file, _offset(segments, places[_DT_STRTAB]), places.get(_DT_STRSZ, 0))
    for tag, value in entries:
        if tag == _DT_NEEDED:
            elf.needed.append(_string(strings, value))
        elif tag == _DT_RPATH:
            elf.rpath = _string(strings, value).split(":")
        elif tag == _DT_RUNPATH:
            elf.runpath = _string(strings, value).split(":")


def _offset(segments: list[tuple[int, ...]], address: int) -> int:
    for kind, offset, start, size in segments:
        if kind == _PT_LOAD and start <= address < start + size:
            return offset + address - start
    raise IndexError(address)


def _string(strings: bytes, start: int) -> str:
    return os.fsdecode(strings[start:].partition(b"\0")[0])


def _at(file: BinaryIO, offset: int, size: int) -> bytes:
    if not (0 <= size <= _MAX_TABLE and 0 <= offset <= _MAX_FILE):
        raise IndexError(offset)
    file.seek(offset)
    return file.read(size)
