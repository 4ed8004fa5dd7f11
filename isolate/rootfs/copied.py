"""A private copy of a tree, its owners shifted: for a kernel that can't map the owners of mounts.

The tree may be anyone's, and change while it is read: everything goes by descriptor, and no
symbolic link is followed. What is mounted below it is the caller's business.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Owner = Callable[[int, int], tuple[int, int] | None]

_DEEPEST = 200  # directories in one another; each holds two descriptors open
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SET_IDS = stat.S_ISUID | stat.S_ISGID
_ACL = "system.posix_acl_access"
# What a file system may answer that can't copy by itself; copy_file_range(2), before 5.3 too.
_COPY_BY_HAND = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)


def copy(source: str, target: str, owner: Owner) -> None:
    """Copy the directory `source` to `target`, which isn't there yet. Raises OSError.

    `owner` gives the ids of the copy for those of the original; None where they are nobody's, so
    that the copy is the caller's and sets no ids. Modes, times, hard links and extended attributes
    of users are kept; file capabilities aren't, and of an access control list nothing is but that
    the group of the file has no rights.
    """
    os.mkdir(target, 0o700)
    here = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    there = os.open(target, _DIRECTORY)
    try:
        _Copy(there, owner).directory(here, there, "", 0)
    finally:
        os.close(here)
        os.close(there)


class _Copy:
    """One copy: its root, and where the files with several names lie."""

    __slots__ = ("_linked", "_owner", "_root")

    def __init__(self, root: int, owner: Owner) -> None:
        self._root = root
        self._owner = owner
        self._linked: dict[tuple[int, int], str] = {}

    def directory(self, here: int, there: int, path: str, depth: int) -> None:
        """The entries of an open directory, then its own attributes."""
        if depth > _DEEPEST:
            raise OSError(errno.ENAMETOOLONG, "too many directories in one another", path)
        with os.scandir(here) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            self._entry(name, here, there, f"{path}/{name}" if path else name, depth)
        self._attributes(here, there, os.fstat(here))

    def _entry(self, name: str, here: int, there: int, path: str, depth: int) -> None:
        found = os.stat(name, dir_fd=here, follow_symlinks=False)
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFDIR:
            self._inner(name, here, there, path, depth)
        elif kind == stat.S_IFREG:
            if not self._link(found, name, there, path):
                self._file(name, here, there)
        elif kind == stat.S_IFLNK:
            os.symlink(os.readlink(name, dir_fd=here), name, dir_fd=there)
            self._plain(name, there, found)
        elif self._node(name, there, found):
            self._plain(name, there, found)

    def _inner(self, name: str, here: int, there: int, path: str, depth: int) -> None:
        os.mkdir(name, 0o700, dir_fd=there)
        old = os.open(name, _DIRECTORY, dir_fd=here)
        try:
            new = os.open(name, _DIRECTORY, dir_fd=there)
            try:
                self.directory(old, new, path, depth + 1)
            finally:
                os.close(new)
        finally:
            os.close(old)

    def _link(self, found: os.stat_result, name: str, there: int, path: str) -> bool:
        """Whether the file was copied already, under another name."""
        if found.st_nlink < 2:
            return False
        first = self._linked.setdefault((found.st_dev, found.st_ino), path)
        if first == path:
            return False
        try:
            os.link(first, name, src_dir_fd=self._root, dst_dir_fd=there, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.ENAMETOOLONG, errno.EMLINK, errno.ENOENT):
                raise
            return False
        return True

    def _file(self, name: str, here: int, there: int) -> None:
        old = os.open(name, _READ, dir_fd=here)
        try:
            found = os.fstat(old)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EBUSY, "the root changes while it is copied", name)
            new = os.open(name, _WRITE, 0o600, dir_fd=there)
            try:
                _content(old, new, found.st_size)
                self._attributes(old, new, found)
            finally:
                os.close(new)
        finally:
            os.close(old)

    def _node(self, name: str, there: int, found: os.stat_result) -> bool:
        """A fifo, socket or device; the last only by root: on a nodev mount it is but a name."""
        try:
            os.mknod(name, stat.S_IFMT(found.st_mode) | 0o600, found.st_rdev, dir_fd=there)
        except PermissionError:
            return False
        return True

    def _plain(self, name: str, there: int, found: os.stat_result) -> None:
        """Owner, mode and times of what can't be opened."""
        ids = self._owner(found.st_uid, found.st_gid)
        if ids is not None:
            os.chown(name, *ids, dir_fd=there, follow_symlinks=False)
        if not stat.S_ISLNK(found.st_mode):
            os.chmod(name, stat.S_IMODE(found.st_mode) & ~_SET_IDS, dir_fd=there)
        times = (found.st_atime_ns, found.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=there, follow_symlinks=False)

    def _attributes(self, old: int, new: int, found: os.stat_result) -> None:
        mode = stat.S_IMODE(found.st_mode)
        ids = self._owner(found.st_uid, found.st_gid)
        if ids is None:
            mode &= ~_SET_IDS
        else:
            os.fchown(new, *ids)
        if _extended(old, new):
            mode &= ~stat.S_IRWXG  # with a list, these bits are its mask and not the group's
        os.fchmod(new, mode)
        os.utime(new, ns=(found.st_atime_ns, found.st_mtime_ns))


def _extended(old: int, new: int) -> bool:
    """Copy the extended attributes of users; whether there is an access control list."""
    try:
        names = os.listxattr(old)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return False
    for name in names:
        if name.startswith("user."):
            os.setxattr(new, name, os.getxattr(old, name))
    return _ACL in names


def _content(old: int, new: int, size: int) -> None:
    """What a file holds; its holes stay holes."""
    end = 0
    while end < size:
        try:
            start = os.lseek(old, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nothing but a hole is left
                raise
            break
        end = os.lseek(old, start, os.SEEK_HOLE)
        _range(old, new, start, end)
    os.ftruncate(new, size)


def _range(old: int, new: int, start: int, end: int) -> None:
    by_hand = False
    while start < end:
        try:
            if by_hand:
                os.lseek(new, start, os.SEEK_SET)
                count = os.sendfile(new, old, start, end - start)
            else:
                count = os.copy_file_range(old, new, end - start, start, start)
        except OSError as error:
            if by_hand or error.errno not in _COPY_BY_HAND:
                raise
            by_hand = True
            continue
        if count == 0:  # it has become shorter
            return
        start += count
