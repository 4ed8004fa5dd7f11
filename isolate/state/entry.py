"""One container in the state directory: its lock, its record, its journal, its removal."""

from __future__ import annotations

import errno
import os
import stat

from isolate.errors import StateError
from isolate.linux.mountinfo import mounts_below, read_bytes
from isolate.linux.process import Identity, boot_id, identify
from isolate.state import lock
from isolate.state.failures import state_error
from isolate.state.journal import Journal
from isolate.state.json_lines import dumps, loads
from isolate.state.root import CONTAINERS, TRASH
from isolate.state.tree import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from isolate.state.store import Store

VERSION = 1

_RECORD = "record.json"
_LARGEST = 64 << 20
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Entry:
    """A container's directory, and the lock by which its owner lives.

    The owner is the process that supervises the container. It holds a lock that ends with it, so
    an entry whose lock is free has a dead owner, and gc undoes it. A forked child shares the
    lock: it calls `disown_in_child`, or else the container never looks dead. To hand the
    ownership over to a forked child, the parent calls `release` and the child `take_over`.

    Attributes:
        id: the container's id.
        directory: its directory (0700), absolute.
        lock_fd: the locked descriptor, close-on-exec; -1 where this object isn't the owner's.
    """

    __slots__ = ("_journal", "directory", "id", "lock_fd", "store")

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.id = name
        self.directory = f"{store.root}/{CONTAINERS}/{name}"
        self._journal = Journal(f"{self.directory}/journal")
        self.lock_fd = -1

    def __repr__(self) -> str:
        return f"Entry({self.id!r}, owned={self.lock_fd >= 0})"

    @property
    def journal(self) -> Journal:
        """What was made for the container."""
        return self._journal

    # --- the lock -------------------------------------------------------------------------------

    @property
    def _lock_path(self) -> str:
        return f"{self.directory}/lock"

    def make(self) -> bool:
        """Make the directory and own it; False where something lies there already.

        For `Store.reserve`, which holds the store's lock. Raises StateError, having made nothing.
        """
        try:
            os.mkdir(self.directory, 0o700)
        except FileExistsError:
            return False
        except OSError as error:
            raise state_error(f"can't make {self.directory}", error) from None
        try:
            self._own_new()
        except OSError as error:
            self._unmake()
            raise state_error(f"can't write {self._lock_path}", error) from None
        return True

    def _own_new(self) -> None:
        self.lock_fd = os.open(self._lock_path, _OPEN | os.O_CREAT | os.O_EXCL, 0o600)
        lock.take(self.lock_fd)
        self.take_over()

    def _unmake(self) -> None:
        self.release()
        remove_tree(self.directory)

    def take_over(self) -> None:
        """Write down the calling process as the owner; it must hold the lock. Raises OSError."""
        me = identify(os.getpid())
        # Of one length always, so that a later owner's line replaces this one in a single write.
        line = f"{boot_id()} {me.pid:>10} {me.start_time:>20}\n".encode("ascii")
        if os.pwrite(self.lock_fd, line, 0) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._lock_path)

    def try_lock(self) -> bool:
        """Own the container if its owner is dead; False if it lives or the container is gone.

        Raises StateError.
        """
        if self.lock_fd >= 0:
            return True
        with self.store.locked():
            return self.try_lock_here()

    def try_lock_here(self) -> bool:
        """`try_lock` for a caller that holds the store's lock."""
        try:
            if not stat.S_ISDIR(os.lstat(self.directory).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            # O_CREAT: the owner may have been killed between making the directory and this file.
            descriptor = os.open(self._lock_path, _OPEN | os.O_CREAT, 0o600)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise state_error(f"can't own the container {self.directory}", error) from None
        if lock.try_take(descriptor) and self._is_ours(descriptor):
            self.lock_fd = descriptor
            return True
        os.close(descriptor)
        return False

    def _is_ours(self, descriptor: int) -> bool:
        """Whether the open file is still the lock of this id, not of a container that had it."""
        try:
            named = os.stat(self._lock_path, follow_symlinks=False)
        except OSError:
            return False
        return os.path.samestat(named, os.fstat(descriptor))

    def owner_alive(self) -> bool:
        """Whether a process supervises the container; this one counts. Takes no lock."""
        try:
            descriptor = os.open(self._lock_path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            return lock.is_held(descriptor)
        finally:
            os.close(descriptor)

    def owner(self) -> tuple[str, Identity] | None:
        """The boot id and the process that wrote itself down; None where that can't be read."""
        try:
            descriptor = os.open(self._lock_path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            words = os.read(descriptor, 256).decode("ascii", "replace").split()
        finally:
            os.close(descriptor)
        if len(words) != 3 or not (words[1].isdecimal() and words[2].isdecimal()):
            return None
        return words[0], Identity(int(words[1]), int(words[2]))

    def same_boot(self) -> bool:
        """Whether the container was made in the host's present boot.

        An owner's line that can't be read says no: it is written before anything is journaled,
        so it is missing only where nothing was made, or where a crash of the host lost it.
        """
        owner = self.owner()
        return owner is not None and owner[0] == boot_id()

    def kept(self) -> bool:
        """Whether the container outlives its owner: it is detached, made, and of this boot.

        Its supervisor may be killed and started again; until it is deleted it is nobody's to
        collect.
        """
        try:
            record = self.read_record()
        except StateError:
            return False
        made = record.get("detached") is True and record.get("status") != "creating"
        return made and self.same_boot()

    def disown_in_child(self) -> None:
        """Close a forked child's copy of the lock; the parent's stays locked."""
        self.release()

    def release(self) -> None:
        """Close the lock's descriptor: without another copy of it, the container is gc's."""
        if self.lock_fd >= 0:
            os.close(self.lock_fd)
            self.lock_fd = -1

    # --- the record -----------------------------------------------------------------------------

    def write_record(self, record: Mapping[str, object]) -> None:
        """Replace the record as a whole (0600); plain data only.

        `version`, `id`, `boot_id` and `owner` (pid, start_time) are filled in. Raises StateError;
        the old record then stands as it was.
        """
        text = dumps({**record, **self._fixed()}) + "\n"
        path = f"{self.directory}/{_RECORD}"
        try:
            _write(f"{path}.new", text.encode("ascii"))
            os.rename(f"{path}.new", path)
        except OSError as error:
            remove_tree(f"{path}.new")
            raise state_error(f"can't write {path}", error) from None

    def _fixed(self) -> dict[str, object]:
        boot, process = self.owner() or ("", Identity(0, 0))
        return {
            "version": VERSION,
            "id": self.id,
            "boot_id": boot,
            "owner": {"pid": process.pid, "start_time": process.start_time},
        }

    def read_record(self) -> dict[str, Any]:
        """The record. Raises NotFoundError when there is none (yet), StateError when damaged."""
        from isolate.errors import NotFoundError

        path = f"{self.directory}/{_RECORD}"
        try:
            text = _read(path)
        except FileNotFoundError:
            raise NotFoundError(
                f"container {self.id} has no record: it is being created, or its creation was cut",
                hint="`isolate gc` removes what is left of creations that were cut short",
            ) from None
        except OSError as error:
            raise state_error(f"can't read {path}", error) from None
        return self._checked(text)

    def _checked(self, text: bytes) -> dict[str, Any]:
        try:
            record = loads(text)
        except ValueError:
            raise self._damaged("is no JSON") from None
        if not isinstance(record, dict) or record.get("id") != self.id:
            raise self._damaged("is not of this container")
        if record.get("version") != VERSION:
            raise self._damaged(f"has not version {VERSION}")
        return record

    def _damaged(self, how: str) -> StateError:
        return StateError(
            f"the record of container {self.id} is damaged: it {how}",
            hint=f"`isolate delete --force {self.id}` removes the container by its journal",
        )

    # --- the end --------------------------------------------------------------------------------

    def exists(self) -> bool:
        """Whether the container's directory is there."""
        return os.path.lexists(self.directory)

    def remove(self, rmtree: Callable[[str], None] | None = None) -> None:
        """Remove the directory, after what the journal names was undone. Idempotent.

        `rmtree` deletes a tree by its path; a rootless runtime gives one that can delete files of
        subordinate users. Raises StateError while another process owns the container or
        something is mounted in it, or where a file can't be deleted: gc then goes on with it.
        """
        try:
            if self._may_remove():
                trash = f"{self.store.root}/{TRASH}/{self.id}.{os.urandom(6).hex()}"
                # First out of sight as a whole: a half-removed directory is no container.
                os.rename(self.directory, trash)
                (rmtree or self.store.rmtree or remove_tree)(trash)
        except OSError as error:
            raise state_error(f"can't remove {error.filename or self.directory}", error) from None
        finally:
            self.release()

    def _may_remove(self) -> bool:
        """Whether this very container is still there. Raises StateError when it isn't ours."""
        if self.lock_fd >= 0:
            if not self._is_ours(self.lock_fd):
                return False
        elif not self.exists():
            return False
        elif not self.try_lock():
            raise StateError(
                f"container {self.id} is in use",
                hint="another process supervises it, or removes it just now",
            )
        self._refuse_mounted()
        return True

    def _refuse_mounted(self) -> None:
        # The bytes first: parsing the whole table costs more than all the rest of a removal.
        if os.fsencode(self.directory) in read_bytes():
            for mount in mounts_below(self.directory):
                raise StateError(f"can't remove {self.directory}: {mount.mount_point} is mounted")


def _write(path: str, text: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        view = memoryview(text)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        return file.read(_LARGEST)
