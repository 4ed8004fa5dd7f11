"""Id maps of a container's user namespace: which ranges, and how they are written."""

from __future__ import annotations

import os

from isolate.errors import UnsupportedError
from isolate.linux import idmap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from isolate.linux.idmap import Range
    from isolate.spec.model import IdMap, Spec

RANGE = 65536


class Maps:
    """Id maps of the user namespace, and how they are written."""

    __slots__ = ("gids", "helper", "note", "uids")

    def __init__(
        self, uids: Sequence[Range], gids: Sequence[Range], *, helper: bool = False, note: str = ""
    ) -> None:
        self.uids = uids
        self.gids = gids
        self.helper = helper
        self.note = note

    @property
    def single(self) -> bool:
        """Whether only the caller's own id is mapped: no other owner, no supplementary group."""
        return sum(count for _inside, _outside, count in self.gids) == 1


def chosen_maps(asked: Sequence[IdMap]) -> list[Range]:
    """The spec's maps in the kernel's form."""
    return [(row.inside, row.outside, row.size) for row in asked]


def private_range(first: int) -> Maps:
    """Root's container: a range of ids that nothing else on the host uses."""
    return Maps([(0, first, RANGE)], [(0, first, RANGE)])


def rootless() -> Maps:
    """An ordinary user's container: own id as root, then the subordinate ids, if any."""
    maps = idmap.subordinate_maps()
    if maps is not None:
        return Maps(*maps, helper=True)
    return Maps(
        [(0, os.geteuid(), 1)],
        [(0, os.getegid(), 1)],
        note="only your own id is mapped: programs that change to another user fail, and every "
        "file belongs to root inside. Install uidmap and add a range to /etc/subuid and "
        "/etc/subgid for more.",
    )


def check_rootless_maps(maps: Maps) -> None:
    """Refuse ranges that aren't the caller's (newuidmap would too, but less clearly), and maps
    without the caller, to whom alone the container's directory is open."""
    uid, gid = os.geteuid(), os.getegid()
    if not any(first <= uid < first + count for _inside, first, count in maps.uids):
        raise UnsupportedError(
            f"privileges.uid_map lacks your own id {uid}, to whom the container's files belong",
            hint=f"add a range with outside = {uid}, or leave the maps unsaid",
        )
    for rows, own, path in (
        (maps.uids, uid, "/etc/subuid"),
        (maps.gids, gid, "/etc/subgid"),
    ):
        granted = [(own, 1), *idmap.subordinate(path, idmap.names_of(uid))]
        for _inside, outside, count in rows:
            if not any(
                first <= outside and outside + count <= first + size for first, size in granted
            ):
                raise UnsupportedError(
                    f"the map's range {outside}..{outside + count - 1} isn't yours by {path}",
                    hint="use ranges that the file grants to you, or leave the maps unsaid",
                )


def of(spec: Spec, claim_ids: Callable[[], int]) -> Maps:
    """The maps that a spec asks for, or those of the caller's kind: root's containers get a range
    of their own. Raises UnsupportedError for ranges that aren't the caller's, or without root."""
    asked = spec.privileges
    if not asked.uid_map:
        return private_range(claim_ids()) if os.geteuid() == 0 else rootless()
    maps = Maps(chosen_maps(asked.uid_map), chosen_maps(asked.gid_map), helper=os.geteuid() != 0)
    for name, ranges in (("uid_map", maps.uids), ("gid_map", maps.gids)):
        if idmap.outside(ranges, 0) is None:
            raise UnsupportedError(
                f"privileges.{name} has no id for root inside, who makes the container",
                hint="add a range with inside = 0; --user says whom the program runs as",
            )
    if os.geteuid() != 0:
        check_rootless_maps(maps)
    return maps


def user_namespaces_allowed() -> str | None:
    """Why this user may not make a user namespace, or None; read from the kernel's settings."""
    if not os.path.exists("/proc/self/ns/user"):
        return "the kernel has no user namespaces"
    for path, forbidding in (
        ("/proc/sys/user/max_user_namespaces", "0"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
    ):
        unprivileged_only = "unprivileged" in path
        if unprivileged_only and os.geteuid() == 0:
            continue
        if _read(path) == forbidding:
            return f"{path} is {forbidding}"
    return None


def write(maps: Maps, pid: int) -> None:
    """Write the maps of the first process's user namespace. Raises OSError."""
    if maps.helper:
        idmap.write_with_helpers(pid, maps.uids, maps.gids)
    else:
        idmap.write_maps(pid, maps.uids, maps.gids)


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return None
