"""Which file of the host each library name means, found as the dynamic loader does (ld.so(8))."""

from __future__ import annotations

import os
import struct

from isolate.rootfs import elf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from isolate.rootfs.elf import Elf

_CACHE = "/etc/ld.so.cache"
_CACHE_MAGIC = b"glibc-ld.so.cache1.1"
_DEFAULTS = ("/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib")


class MissingLibraryError(LookupError):
    """A library that something needs is nowhere."""


class Libraries:
    """The libraries that a growing set of programs needs: `found` maps name to the host's file.

    The first program that needs a name decides its file, since in the root one directory holds
    them all. `extra` are directories to look into last.
    """

    def __init__(self, extra: tuple[str, ...] = ()) -> None:
        self.found: dict[str, str] = {}
        self._extra = extra
        self._known = _loader_cache()
        self._read: dict[str, Elf] = {}

    def read(self, path: str) -> Elf:
        """The ELF file at `path`, read once. Raises NotElfError, OSError."""
        if path not in self._read:
            self._read[path] = elf.read(path)
        return self._read[path]

    def add(self, path: str) -> Elf:
        """Find all that the ELF file needs. Raises MissingLibraryError, having added nothing."""
        program = self.read(path)
        staged: dict[str, str] = {}
        self._stage(program, staged, ())
        self.found.update(staged)
        return program

    def add_named(self, name: str, like: Elf) -> None:
        """Find a library that programs open by name while they run, if the host has it."""
        if name not in self.found:
            path = self._locate(name, like, ())
            if path is not None:
                self.add(path)
                self.found[name] = path

    def witness(self, name: str, path: str) -> str:
        """The host's file that changes when the library is upgraded.

        ldconfig(8) rewrites the loader's cache whenever a package brings a library.
        """
        known = any(os.path.realpath(place) == path for place in self._known.get(name, ()))
        return _CACHE if known else path

    def _stage(self, needer: Elf, staged: dict[str, str], above: tuple[Elf, ...]) -> None:
        for name in needer.needed:
            if name in self.found or name in staged:
                continue
            path = self._locate(name, needer, above)
            if path is None:
                raise MissingLibraryError(f"{needer.path} needs {name}")
            staged[name] = path
            self._stage(self.read(path), staged, (*above, needer))

    def _locate(self, name: str, needer: Elf, above: tuple[Elf, ...]) -> str | None:
        for path in self._candidates(name, needer, above):
            try:
                if self.read(path).same_machine(needer):
                    return os.path.realpath(path)
            except (OSError, elf.NotElfError):
                continue
        return None

    def _candidates(self, name: str, needer: Elf, above: tuple[Elf, ...]) -> Iterator[str]:
        if "/" in name:
            yield name
            return
        # DT_RPATH of those who loaded it counts only where there is no DT_RUNPATH.
        own = (needer, *reversed(above)) if not needer.runpath else ()
        for user in own:
            yield from _joined(user, () if user.runpath else user.rpath, name)
        yield from _joined(needer, needer.runpath, name)
        yield from self._known.get(name, ())
        for directory in (*_multiarch(needer), *_DEFAULTS, *self._extra):
            yield f"{directory}/{name}"


def _joined(user: Elf, directories: list[str] | tuple[()], name: str) -> Iterator[str]:
    origin = os.path.dirname(os.path.realpath(user.path))
    for directory in directories:
        expanded = directory.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)
        if expanded.startswith("/") and "$" not in expanded:
            yield f"{expanded}/{name}"


def _multiarch(needer: Elf) -> Iterator[str]:
    """Debian's directories of a machine, for hosts without a loader cache."""
    triplet = {62: "x86_64-linux-gnu", 183: "aarch64-linux-gnu", 243: "riscv64-linux-gnu"}
    if needer.machine in triplet:
        yield f"/lib/{triplet[needer.machine]}"
        yield f"/usr/lib/{triplet[needer.machine]}"


def _loader_cache() -> dict[str, list[str]]:
    """The names in /etc/ld.so.cache (glibc: sysdeps/generic/dl-cache.h), each with its files.

    Files for special processors are left out: a root must run wherever its files are copied to.
    """
    try:
        with open(_CACHE, "rb") as file:
            content = file.read()
    except OSError:
        return {}
    start = content.find(_CACHE_MAGIC)  # an older format may come first
    if start < 0:
        return {}
    table = content[start:]
    found: dict[str, list[str]] = {}
    (count,) = struct.unpack_from("=I", table, 20)
    rows = table[48 : 48 + 24 * count]
    for _flags, key, value, _version, special in struct.iter_unpack(
        "=iIIIQ", rows[: len(rows) // 24 * 24]
    ):
        if not special:
            found.setdefault(_string(table, key), []).append(_string(table, value))
    return found


def _string(table: bytes, start: int) -> str:
    return os.fsdecode(table[start : table.find(b"\0", start)])
