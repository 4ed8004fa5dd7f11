"""Undoing a journal: what each kind of entry means, and how it is taken back.

| kind | data | undone by |
|---|---|---|
| process | pid, start_time | SIGKILL, if it still is that process; waited for |
| cgroup | paths | killing what is inside, removing them |
| mount | target, and source where it lies outside the state directory | a lazy unmount |
| netns | path | unmounting and deleting the name |
| link | name, which begins with `iso` | deleting the interface |
| address | interface, address | taking it from the interface, if it bears isolate's mark |
| tree | path | deleting it and all below it |
| file | path | deleting it |
| idrange | first | releasing the range |

Every kind is idempotent, and that the thing was never made is no failure. `source` is what
mountinfo shows: the device for a bind mount, the given name for tmpfs or overlay.
"""

from __future__ import annotations

import errno
import os
import time

from isolate.errors import IsolateError
from isolate.linux.address import delete_own_address
from isolate.linux.link import delete_link
from isolate.linux.mount import MNT_DETACH, umount2
from isolate.linux.mountinfo import mount_at, mounts_below
from isolate.linux.process import open_pidfd, send_signal, wait_pidfd
from isolate.spec.record import shown
from isolate.state.reach import (
    Reach,
    Refused,
    address_of,
    cgroups_of,
    link_of,
    number_of,
    path_of,
)
from isolate.state.report import Report
from isolate.state.tree import open_parent, remove_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from isolate.state.journal import Journal

    Data = Mapping[str, object]

PATIENCE = 10.0  # seconds in which killed processes must be gone

_SIGKILL = 9
_UMOUNT_NOFOLLOW = 8
_STACKED = 64  # mounts on one mount point


class _Work:
    """What the undoing of one journal needs: its reach, and the processes it has killed."""

    __slots__ = ("directory", "dying", "reach", "rmtree")

    def __init__(self, journal: Journal, within: Sequence[str], rmtree: Rmtree | None) -> None:
        self.directory = journal.directory
        self.reach = Reach(journal.directory, within)
        self.rmtree = rmtree
        self.dying: list[tuple[int, int]] = []


if TYPE_CHECKING:
    Rmtree = Callable[[str], None]
    Undo = Callable[[_Work, Data], None]


def undo(
    journal: Journal,
    *,
    same_boot: bool = True,
    within: Sequence[str] = (),
    rmtree: Rmtree | None = None,
) -> Report:
    """Take back what the journal tells of, last things first, going on past failures.

    Processes and cgroups come before all else: nothing else can be removed for good while they
    run. Where they were made in an earlier boot, only files are left of them all.

    Args:
        journal: of a container's directory; all that it names lies there, elsewhere in the state
            directory, or in `within`, or is refused.
        same_boot: whether the host has been up ever since.
        within: more directories that trees and files may be deleted in, such as a cache.
        rmtree: deletes a tree that holds files of other users, by its path (checked already).

    Raises StateError when the journal can't be read.
    """
    entries = journal.entries()[::-1]
    work = _Work(journal, within, rmtree)
    report = Report()
    if same_boot:
        _apply(work, entries, _LIVING, report)
        _await_deaths(work, report)
    _apply(work, entries, {**_MADE, **_LASTING} if same_boot else _LASTING, report)
    _name_unknown(entries, report)
    return report


def _apply(work: _Work, entries: Sequence[Data], table: Mapping[str, Undo], report: Report) -> None:
    for entry in entries:
        kind = str(entry["kind"])
        if kind not in table:
            continue
        try:
            table[kind](work, entry)
        except Refused as refusal:
            report.refused.append(f"{kind}: {refusal}")
        except (OSError, IsolateError) as error:
            report.failures.append(f"{kind}: {error}")


def _name_unknown(entries: Sequence[Data], report: Report) -> None:
    for entry in entries:
        kind = str(entry["kind"])
        if not kind:
            report.refused.append("a line of the journal is damaged")
        elif kind not in _KINDS:
            # A newer version knows how; until it is run, the journal has to stay.
            report.failures.append(f"{shown(kind)}: this version can't undo that")


def _process(work: _Work, data: Data) -> None:
    pid, start_time = number_of(data, "pid"), number_of(data, "start_time")
    if pid <= 1 or pid == os.getpid() or pid >= 1 << 31:
        raise Refused(f"process {pid} can't be a container's")
    try:
        pidfd = open_pidfd(pid, start_time)
    except ProcessLookupError:
        return
    work.dying.append((pid, pidfd))
    try:
        send_signal(pidfd, _SIGKILL)
    except ProcessLookupError:
        return


def _await_deaths(work: _Work, report: Report) -> None:
    """Only now: a frozen process dies when its cgroup is removed, which thaws it."""
    deadline = time.monotonic() + PATIENCE
    for pid, pidfd in work.dying:
        if not wait_pidfd(pidfd, deadline - time.monotonic()):
            report.failures.append(f"process: {pid} was killed, but doesn't end")
        os.close(pidfd)
    work.dying.clear()


def _cgroup(_work: _Work, data: Data) -> None:
    from isolate.linux.cgroup import remove_paths

    remove_paths([path for path in cgroups_of(data) if os.path.lexists(path)])


def _mount(work: _Work, data: Data) -> None:
    target = path_of(data, "target")
    for _ in range(_STACKED if work.reach.holds(target) else 1):
        mount = mount_at(target)
        if mount is None:
            return
        if not work.reach.holds(target) and mount.source != data.get("source"):
            raise Refused(f"{target} is not a container's mount")
        umount2(target, MNT_DETACH | _UMOUNT_NOFOLLOW)


def _netns(work: _Work, data: Data) -> None:
    path = path_of(data, "path")
    base, relative = work.reach.locate_netns(path)
    for _ in range(_STACKED):
        mount = mount_at(path)
        if mount is None:
            break
        if mount.fs_type != "nsfs":
            raise Refused(f"{path} is not the name of a network namespace")
        umount2(path, MNT_DETACH | _UMOUNT_NOFOLLOW)
    _unlink(base, relative)


def _link(_work: _Work, data: Data) -> None:
    try:
        delete_link(link_of(data))
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


def _address(_work: _Work, data: Data) -> None:
    delete_own_address(*address_of(data))


def _tree(work: _Work, data: Data) -> None:
    path = path_of(data, "path")
    base, relative = work.reach.locate(path)
    if mounts := mounts_below(path):
        raise OSError(errno.EBUSY, "something is mounted there", mounts[-1].mount_point)
    try:
        _remove(base, relative)
    except PermissionError:
        if work.rmtree is None:
            raise
        work.rmtree(path)


def _remove(base: str, relative: str) -> None:
    try:
        parent, name = open_parent(base, relative)
    except FileNotFoundError:
        return
    try:
        remove_at(parent, name)
    finally:
        os.close(parent)


def _file(work: _Work, data: Data) -> None:
    _unlink(*work.reach.locate(path_of(data, "path")))


def _unlink(base: str, relative: str) -> None:
    try:
        parent, name = open_parent(base, relative)
    except FileNotFoundError:
        return
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    finally:
        os.close(parent)


def _idrange(work: _Work, data: Data) -> None:
    from isolate.state.idrange import release
    from isolate.state.store import Store

    store = Store(work.reach.root)
    release(store, os.path.basename(work.directory), number_of(data, "first"))


# What ends with the processes, what ends with the boot, and what lasts.
_LIVING: dict[str, Undo] = {"process": _process, "cgroup": _cgroup}
_MADE: dict[str, Undo] = {"mount": _mount, "link": _link, "address": _address}
_LASTING: dict[str, Undo] = {"netns": _netns, "tree": _tree, "file": _file, "idrange": _idrange}
_KINDS = {**_LIVING, **_MADE, **_LASTING}
