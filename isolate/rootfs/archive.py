"""Read a tar file, compressed or not, as a stream that can't be made to swell.

Every byte that leaves the decompressor is counted; headers have a budget of their own, since the
standard library's reader holds them in memory.
"""

from __future__ import annotations

import hashlib
import os
import tarfile

from isolate.errors import ArchiveError, RootfsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_BLOCK = 1 << 18  # bytes read at once; also the most that a decompressor may return at once
_KEPT = 512  # bytes that the tar reader may step back over
_HEADER_BUDGET = 1 << 17  # bytes of one entry's headers: its names and extended attributes
_XZ_MEMORY = 256 << 20  # bytes; xz -9 wants 65 MiB
_ZSTD_WINDOW_LOG = 27  # 128 MiB, what the zstd program accepts by default
_MAX_GLOBALS = 1000  # keywords that a pax header may set for all entries that follow


class Limits:
    """How much an archive may become."""

    __slots__ = ("depth", "entries", "ratio", "ratio_from", "total")

    def __init__(
        self,
        *,
        total: int = 16 << 30,
        entries: int = 1_000_000,
        ratio: int = 200,
        ratio_from: int = 64 << 20,
        depth: int = 256,
    ) -> None:
        self.total = total  # bytes when unpacked, holes included
        self.entries = entries
        self.ratio = ratio  # unpacked to packed, once `ratio_from` bytes are unpacked
        self.ratio_from = ratio_from
        self.depth = depth  # directories that a name may lead through


class Meter:
    """What has been read and what it has become, checked against the limits."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.packed = 0
        self._stream = 0
        self._files = 0
        self._entries = 0

    def stream(self, size: int) -> None:
        """Count bytes that left the decompressor."""
        self._stream += size
        self._check(self._stream, "the archive")

    def file(self, size: int, name: str) -> None:
        """Count a file by the size that it claims, holes included. Raises ArchiveError."""
        self._files += size
        self._check(self._files, f"entry {name!r}")

    def entry(self, name: str) -> None:
        """Count an entry."""
        self._entries += 1
        if self._entries > self.limits.entries:
            raise ArchiveError(f"entry {name!r}: more than {self.limits.entries} entries")

    def _check(self, size: int, what: str) -> None:
        if size > self.limits.total:
            raise ArchiveError(f"{what}: unpacks to more than {self.limits.total} bytes")
        if size > self.limits.ratio_from and size > self.limits.ratio * max(self.packed, 1):
            raise ArchiveError(
                f"{what}: unpacks to more than {self.limits.ratio} times its size",
                hint="it looks like a bomb; unpack it yourself and name the directory: dir:PATH",
            )


class Stream:
    """The unpacked bytes, in order: what tarfile wants of a file object, and no more."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._block = b""
        self._start = 0  # the place of the block in the stream
        self._at = 0  # our place in the block
        self._budget = 0
        self.last = b""  # what the last read returned

    def tell(self) -> int:
        """Our place in the stream."""
        return self._start + self._at

    def begin_header(self) -> None:
        """From here to the next call, `read` returns a limited number of bytes."""
        self._budget = _HEADER_BUDGET

    def read(self, size: int) -> bytes:
        """Read for the tar reader: bytes of headers. Raises ArchiveError when they are too many."""
        self._budget -= size
        if size < 0 or self._budget < 0:
            raise ArchiveError(f"an entry's header has more than {_HEADER_BUDGET} bytes")
        parts = []
        while size > 0 and (part := self.take(size)):
            parts.append(part)
            size -= len(part)
        self.last = b"".join(parts)
        return self.last

    def take(self, size: int) -> bytes:
        """At least one and at most `size` bytes of a file's content; none at the end."""
        if self._at == len(self._block) and not self._more():
            return b""
        part = self._block[self._at : self._at + size]
        self._at += len(part)
        return part

    def seek(self, place: int) -> None:
        """Go forward to `place`, or back a little."""
        if place < self._start:
            raise ArchiveError("an entry's size is negative")
        while place > self._start + len(self._block):
            self._at = len(self._block)
            if not self._more():
                return
        self._at = place - self._start

    def drain(self) -> None:
        """Read to the end, so that every checksum is verified."""
        while self._more():
            pass

    def _more(self) -> bool:
        block = next(self._blocks, b"")
        kept = self._block[-_KEPT:]
        self._start += len(self._block) - len(kept)
        self._block = kept + block
        self._at = len(kept)
        return bool(block)


class Archive:
    """The entries of the tar file behind a descriptor, and the digest of the file when read."""

    def __init__(self, descriptor: int, limits: Limits) -> None:
        self.meter = Meter(limits)
        self._descriptor = descriptor
        self._digest = hashlib.sha256()
        self.stream = Stream(self._unpacked())

    def digest(self) -> str:
        """The SHA-256 of the file, packed as it is; right once all entries have been read."""
        return self._digest.hexdigest()

    def entries(self) -> Iterator[tarfile.TarInfo]:
        """The entries in order. Raises ArchiveError for a damaged archive."""
        try:
            yield from self._entries()
        except ArchiveError:
            raise
        except (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError) as error:
            raise ArchiveError(f"the archive is damaged: {error}") from error

    def _entries(self) -> Iterator[tarfile.TarInfo]:
        self.stream.begin_header()
        reader: Any = tarfile.TarFile(
            fileobj=self.stream,  # type: ignore[arg-type] # has what a reader calls
            encoding="utf-8",
            errors="surrogateescape",
        )
        while (entry := reader.next()) is not None:
            reader.members.clear()  # a million of them would fill a gigabyte
            if len(reader.pax_headers) > _MAX_GLOBALS:
                raise ArchiveError(f"entry {entry.name!r}: too many global pax headers")
            if entry.size < 0:  # tarfile would go back to it for ever
                raise ArchiveError(f"entry {entry.name!r}: its size is negative")
            self.meter.entry(entry.name)
            yield entry
            self.stream.begin_header()
        # tarfile takes a damaged header, and a missing end, for the end of the archive.
        if self.stream.last != bytes(tarfile.BLOCKSIZE):
            raise ArchiveError("the archive is damaged: it ends without an end-of-archive block")
        self.stream.drain()

    def _packed(self) -> Iterator[bytes]:
        while block := os.read(self._descriptor, _BLOCK):
            self._digest.update(block)
            self.meter.packed += len(block)
            yield block

    def _unpacked(self) -> Iterator[bytes]:
        packed = self._packed()
        first = next(packed, b"")
        new_decompressor = _decompressor(first)
        if new_decompressor is None:
            blocks = _chain(first, packed)
        else:
            blocks = _decompressed(_chain(first, packed), new_decompressor)
        for block in blocks:
            self.meter.stream(len(block))
            yield block


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


class _Gzip:
    """zlib with the interface of the other decompressors (bz2.BZ2Decompressor)."""

    def __init__(self) -> None:
        import zlib

        self._inner = zlib.decompressobj(wbits=31)
        self.eof = False
        self.needs_input = True
        self.unused_data = b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most `max_length` bytes of what the data so far unpacks to."""
        import zlib

        try:
            unpacked = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        except zlib.error as error:
            raise ValueError(str(error)) from error
        self.eof = self._inner.eof
        self.unused_data = self._inner.unused_data
        # A full answer may have a rest inside zlib, whether or not it has used up its input.
        self.needs_input = not self._inner.unconsumed_tail and len(unpacked) < max_length
        return unpacked


def _decompressor(first: bytes) -> Any:
    """What makes decompressors for a file that begins like this; None for a plain tar."""
    if first.startswith(b"\x1f\x8b"):
        return _Gzip
    if first.startswith(b"\xfd7zXZ\0"):
        import lzma

        return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
    if first.startswith(b"BZh"):
        import bz2

        return bz2.BZ2Decompressor
    if first.startswith((b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18")):
        return _zstd()
    return None


def _zstd() -> Any:
    """Python 3.14 has zstd; before, the package backports.zstd brings the same."""
    import importlib

    for name in ("compression.zstd", "backports.zstd"):
        try:
            zstd = importlib.import_module(name)
        except ImportError:
            continue
        options = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        return lambda: zstd.ZstdDecompressor(options=options)
    raise RootfsError(
        "the archive is compressed with zstd, which this Python can't read",
        hint="pip install backports.zstd, or repack it: zstd -dc IN | gzip > OUT",
    )


def _decompressed(packed: Iterator[bytes], new_decompressor: Any) -> Iterator[bytes]:
    """The content of one compressed member after the other; zeros between them are padding."""
    decompressor = new_decompressor()
    begun = False
    for block in packed:
        data = block
        while data or (begun and not decompressor.needs_input and not decompressor.eof):
            if decompressor.eof:
                decompressor, begun = new_decompressor(), False
            if not begun and not (data := data.lstrip(b"\0")):
                break
            begun = True
            unpacked = _decompress(decompressor, data)
            data = decompressor.unused_data if decompressor.eof else b""
            if unpacked:
                yield unpacked
    if begun and not decompressor.eof:
        raise ArchiveError("the archive is damaged: its compressed data end too early")


def _decompress(decompressor: Any, data: bytes) -> bytes:
    try:
        unpacked: bytes = decompressor.decompress(data, _BLOCK)
    except Exception as error:  # each library has its own, and no common base
        raise ArchiveError(f"the archive is damaged: {error}") from error
    return unpacked
