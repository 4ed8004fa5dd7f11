"""Tar files for tests, hostile ones too, written entry by entry."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import importlib
import io
import lzma
import sys
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_ZSTD = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda content: bytes(importlib.import_module(_ZSTD).compress(content)),
}


def file(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """A regular file."""
    return entry(name, tarfile.REGTYPE, size=len(content), **fields), content


def directory(name: str, mode: int = 0o755) -> tuple[tarfile.TarInfo, bytes]:
    """A directory."""
    return entry(name, tarfile.DIRTYPE, mode=mode), b""


def symlink(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    """A symbolic link."""
    return entry(name, tarfile.SYMTYPE, linkname=target), b""


def hard_link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    """A hard link to another entry."""
    return entry(name, tarfile.LNKTYPE, linkname=target), b""


def device(name: str, kind: bytes = tarfile.CHRTYPE) -> tuple[tarfile.TarInfo, bytes]:
    """A device node: the numbers are those of /dev/mem and of a disk."""
    return entry(name, kind, devmajor=1, devminor=1), b""


def entry(name: str, kind: bytes, **fields: object) -> tarfile.TarInfo:
    """A header with the given fields."""
    made = tarfile.TarInfo(name)
    made.type = kind
    made.mode = 0o644
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def packed(*entries: tuple[tarfile.TarInfo, bytes], compression: str = "") -> bytes:
    """The bytes of an archive."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return COMPRESSIONS[compression](target.getvalue())


def write(path: Path, *entries: tuple[tarfile.TarInfo, bytes], compression: str = "") -> str:
    """An archive at `path`; its name as text."""
    path.write_bytes(packed(*entries, compression=compression))
    return str(path)


def tree(top: Path) -> list[str]:
    """Every path below `top`, links not followed."""
    found = []
    for path in top.rglob("*"):
        with contextlib.suppress(OSError):
            found.append(f"{path.relative_to(top)} {path.lstat().st_mode:o}")
    return sorted(found)
