"""Write the entries of a hostile archive below a directory, and nowhere else.

Every entry is made by descriptor: its directory is looked up with the new root as the root
directory (openat2(2), RESOLVE_IN_ROOT), its last name never followed. So a link that an earlier
entry planted leads at most to another place inside.
"""

from __future__ import annotations

import errno
import os
import stat

from isolate.errors import ArchiveError
from isolate.linux.resolve import make_target, open_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    import tarfile
    from collections.abc import Iterable

    from isolate.rootfs.archive import Archive

_MAX_NAME = 4096
_MAX_COMPONENT = 255
_MAX_TIME = 1 << 33  # seconds; what every file system of today can hold
_SET_ID = stat.S_ISUID | stat.S_ISGID

# A container has a /dev of its own, so leaving these out changes nothing.
_HARMLESS_DEVICES = frozenset(
    f"dev/{name}".encode() for name in "console full null ptmx random tty urandom zero".split()
)


class Unpacker:
    """Unpacks one archive below `root_fd`.

    As root, entries keep their owners, set-id bits, and the extended attributes user.* and
    security.capability; else all belongs to the caller, and set-id bits go. `privileged_files`
    says whether any program was made that gives rights to who executes it.
    """

    def __init__(self, archive: Archive, root_fd: int, *, devices: bool = False) -> None:
        self._archive = archive
        self._root = root_fd
        self._devices = devices
        self._owners = _maps_all_ids()
        self._directories: dict[bytes, tarfile.TarInfo] = {}
        self._parent: tuple[bytes, int] = (b"", os.dup(root_fd))
        self.privileged_files = False

    def run(self) -> None:
        """Unpack all. Raises ArchiveError naming the entry, OSError for what the system refuses."""
        try:
            for entry in self._archive.entries():
                self._entry(entry)
        finally:
            os.close(self._parent[1])
        # Last, so that no directory is shut, or its time changed, while we still write to it.
        for name in sorted(self._directories, reverse=True):
            self._finish_directory(name, self._directories[name])
        os.fchmod(self._root, stat.S_IMODE(os.fstat(self._root).st_mode) | 0o755)

    def _entry(self, entry: tarfile.TarInfo) -> None:
        try:
            name = _checked_name(entry.name, self._archive.meter.limits.depth)
            if not name:
                self._root_entry(entry)
            else:
                self._make(entry, name)
        except _RefusedError as refusal:
            raise ArchiveError(f"entry {_shown(entry.name)}: {refusal}") from None
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE):
                raise
            raise ArchiveError(f"entry {_shown(entry.name)}: {error.strerror}") from error

    def _root_entry(self, entry: tarfile.TarInfo) -> None:
        if not entry.isdir():
            raise _RefusedError("the root itself can only be a directory")
        self._directories[b""] = entry

    def _make(self, entry: tarfile.TarInfo, name: bytes) -> None:
        if entry.isdir():
            self._make_directory(entry, name)
        elif entry.isfile():
            self._make_file(entry, name)
        elif entry.issym():
            self._make_symlink(entry, name)
        elif entry.islnk():
            self._make_hard_link(entry, name)
        elif entry.isfifo():
            parent, last = self._place(name)
            os.mkfifo(last, 0o600, dir_fd=parent)
            self._attributes_by_name(entry, parent, last)
        elif entry.isdev():
            self._make_device(entry, name)
        else:
            raise _RefusedError(f"type {entry.type!r} is not known here")

    def _make_directory(self, entry: tarfile.TarInfo, name: bytes) -> None:
        parent, last = self._parent_of(name)
        try:
            os.mkdir(last, 0o700, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(last, dir_fd=parent, follow_symlinks=False).st_mode):
                _remove(parent, last)
                os.mkdir(last, 0o700, dir_fd=parent)
        self._directories[name] = entry

    def _make_file(self, entry: tarfile.TarInfo, name: bytes) -> None:
        self._archive.meter.file(max(entry.size, 0), entry.name)
        parent, last = self._parent_of(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(last, flags, 0o600, dir_fd=parent)
        except FileExistsError:
            _remove(parent, last)
            descriptor = os.open(last, flags, 0o600, dir_fd=parent)
        try:
            self._write(entry, descriptor)
            self._attributes(entry, descriptor)
        finally:
            os.close(descriptor)

    def _write(self, entry: tarfile.TarInfo, descriptor: int) -> None:
        self._archive.stream.seek(entry.offset_data)
        # typeshed's type is wrong: it is a list of (offset, size) of what lies between the holes.
        pieces: Iterable[tuple[int, int]] | None = entry.sparse  # type: ignore[assignment]
        if pieces is None:
            self._copy(descriptor, entry.size)
            return
        end = 0
        for offset, size in pieces:
            if size == 0:  # the end's mark, and unused rows of GNU tar's old format
                continue
            if not end <= offset <= offset + size <= entry.size:
                raise _RefusedError("its map of holes is wrong")
            os.lseek(descriptor, offset, os.SEEK_SET)
            self._copy(descriptor, size)
            end = offset + size
        os.ftruncate(descriptor, entry.size)

    def _copy(self, descriptor: int, size: int) -> None:
        while size > 0:
            block = self._archive.stream.take(size)
            if not block:
                raise _RefusedError("the archive ends in the middle of its content")
            size -= len(block)
            rest = block
            while rest:
                rest = rest[os.write(descriptor, rest) :]

    def _make_symlink(self, entry: tarfile.TarInfo, name: bytes) -> None:
        target = _encoded(entry.linkname)
        if not 0 < len(target) < _MAX_NAME or b"\0" in target:
            raise _RefusedError("its target is empty, too long or holds a NUL byte")
        parent, last = self._place(name)
        os.symlink(target, last, dir_fd=parent)
        if self._owners:
            os.chown(last, *_owner(entry), dir_fd=parent, follow_symlinks=False)
        os.utime(last, ns=_times(entry), dir_fd=parent, follow_symlinks=False)

    def _make_hard_link(self, entry: tarfile.TarInfo, name: bytes) -> None:
        target = _checked_name(entry.linkname, self._archive.meter.limits.depth)
        if target == name:
            raise _RefusedError("it is a hard link to itself")
        directory, _, last = target.rpartition(b"/")
        source = -1
        try:
            source = open_in_root(self._root, directory, os.O_PATH | os.O_DIRECTORY)
            found = os.stat(last, dir_fd=source, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                raise _RefusedError("it is a hard link to a directory")
            parent, new = self._place(name)
            os.link(last, new, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            missing = f"it is a hard link to {_shown(entry.linkname)}, which is missing"
            raise _RefusedError(missing) from None
        finally:
            if source >= 0:
                os.close(source)

    def _make_device(self, entry: tarfile.TarInfo, name: bytes) -> None:
        if not self._devices:
            if entry.ischr() and name in _HARMLESS_DEVICES:
                return
            raise _RefusedError("it is a device node")
        kind = stat.S_IFCHR if entry.ischr() else stat.S_IFBLK
        device = os.makedev(entry.devmajor, entry.devminor)
        parent, last = self._place(name)
        os.mknod(last, kind | 0o600, device, dir_fd=parent)
        self._attributes_by_name(entry, parent, last)
        self.privileged_files = True

    def _place(self, name: bytes) -> tuple[int, bytes]:
        """Where to make `name`; what was there before is removed."""
        parent, last = self._parent_of(name)
        try:
            os.stat(last, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return parent, last
        _remove(parent, last)
        return parent, last

    def _parent_of(self, name: bytes) -> tuple[int, bytes]:
        """A descriptor of the directory that `name` goes to, made if missing, and the last name."""
        directory, _, last = name.rpartition(b"/")
        known, descriptor = self._parent
        if directory != known:
            opened = self._open_directory(directory)
            os.close(descriptor)
            self._parent = directory, opened
        return self._parent[1], last

    def _open_directory(self, path: bytes) -> int:
        try:
            return open_in_root(self._root, path, os.O_PATH | os.O_DIRECTORY)
        except FileNotFoundError:
            return make_target(self._root, path, directory=True)

    def _attributes(self, entry: tarfile.TarInfo, descriptor: int) -> None:
        """Owner before mode and capabilities, which the kernel takes away with a new owner."""
        if self._owners:
            os.fchown(descriptor, *_owner(entry))
        os.fchmod(descriptor, self._mode(entry))
        self._extended_attributes(entry, descriptor)
        os.utime(descriptor, ns=_times(entry))

    def _attributes_by_name(self, entry: tarfile.TarInfo, parent: int, last: bytes) -> None:
        """The same for what must not be opened; it is of our making, so no link."""
        if self._owners:
            os.chown(last, *_owner(entry), dir_fd=parent, follow_symlinks=False)
        os.chmod(last, self._mode(entry), dir_fd=parent)
        os.utime(last, ns=_times(entry), dir_fd=parent, follow_symlinks=False)

    def _mode(self, entry: tarfile.TarInfo) -> int:
        mode = entry.mode & 0o7777
        if not self._owners:
            return mode & ~_SET_ID
        if mode & _SET_ID and not entry.isdir():
            self.privileged_files = True
        return mode

    def _extended_attributes(self, entry: tarfile.TarInfo, descriptor: int) -> None:
        for key, value in entry.pax_headers.items():
            name = key.removeprefix("SCHILY.xattr.")
            if name == key or not self._keeps(name):
                continue
            if "\0" in name:
                raise _RefusedError("the name of an extended attribute holds a NUL byte")
            try:
                os.setxattr(descriptor, _encoded(name), _encoded(value))
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.EPERM):
                    raise
            else:
                self.privileged_files |= not name.startswith("user.")

    def _keeps(self, name: str) -> bool:
        """user.overlay.* would steer an overlay that is mounted on the layer."""
        if name.startswith("user."):
            return not name.startswith("user.overlay.")
        return name == "security.capability" and self._owners

    def _finish_directory(self, name: bytes, entry: tarfile.TarInfo) -> None:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        try:
            descriptor = open_in_root(self._root, name, flags)
        except OSError:  # a later entry put something else there
            return
        try:
            self._attributes(entry, descriptor)
        finally:
            os.close(descriptor)


class _RefusedError(Exception):
    """Why an entry is refused; the caller knows its name."""


def _remove(parent: int, last: bytes) -> None:
    """Remove what a later entry replaces; a directory only when empty, as tar does."""
    try:
        os.unlink(last, dir_fd=parent)
    except IsADirectoryError:
        try:
            os.rmdir(last, dir_fd=parent)
        except OSError:
            raise _RefusedError("it would replace a directory that isn't empty") from None


def _checked_name(text: str, depth: int) -> bytes:
    """The name of an entry below the root, without "." and double slashes; empty for the root."""
    name = _encoded(text)
    if not name or b"\0" in name:
        raise _RefusedError("its name is empty or holds a NUL byte")
    if len(name) > _MAX_NAME:
        raise _RefusedError(f"its name has more than {_MAX_NAME} bytes")
    if name.startswith(b"/"):
        raise _RefusedError(f"{_shown(text)} is an absolute path")
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise _RefusedError(f"{_shown(text)} leads upwards with '..'")
    if any(len(part) > _MAX_COMPONENT for part in parts):
        raise _RefusedError(f"a part of its name has more than {_MAX_COMPONENT} bytes")
    if len(parts) > depth:
        raise _RefusedError(f"it lies more than {depth} directories deep")
    return b"/".join(parts)


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise _RefusedError("it holds text that is not UTF-8") from None


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 100 else f"{text[:100]}...")


def _owner(entry: tarfile.TarInfo) -> tuple[int, int]:
    for number in (entry.uid, entry.gid):
        if not 0 <= number < 2**32 - 1:  # the last one means "leave as it is" to chown(2)
            raise _RefusedError(f"its owner {number} is no user id")
    return entry.uid, entry.gid


def _times(entry: tarfile.TarInfo) -> tuple[int, int]:
    seconds = entry.mtime if 0 <= entry.mtime < _MAX_TIME else 0  # false for NaN too
    nanoseconds = int(seconds * 1_000_000_000)
    return nanoseconds, nanoseconds


def _maps_all_ids() -> bool:
    """Whether we are root of the whole host, and not of a user namespace with a few ids."""
    if os.geteuid() != 0:
        return False
    with open("/proc/self/uid_map") as file:
        return file.read().split() == ["0", "0", "4294967295"]
