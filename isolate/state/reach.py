"""What the undoing of a journal may touch: a damaged or forged journal must not cost a stranger."""

from __future__ import annotations

import os

from isolate.linux.link import MAX_NAME
from isolate.linux.mountinfo import filesystems
from isolate.spec.record import shown
from isolate.state.root import CONTAINERS, LOCK, RANGES, TRASH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LINK_PREFIX = "iso"
_NETNS = "/run/netns"  # where ip-netns(8) keeps names
_LAYOUT = (CONTAINERS, LOCK, RANGES, TRASH)


class Refused(Exception):  # noqa: N818 - the field's word for it, and no failure of ours
    """A journal asks for what isn't a container's to undo."""


class Reach:
    """The places of one container: its directory, the state directory but for what belongs to
    other containers, and the directories `within` (a cache)."""

    __slots__ = ("own", "root", "within")

    def __init__(self, directory: str, within: Sequence[str] = ()) -> None:
        self.own = directory
        self.root = os.path.dirname(os.path.dirname(directory))
        self.within = tuple(os.path.realpath(path) for path in within)

    def locate(self, path: str) -> tuple[str, str]:
        """The trusted directory that `path` lies strictly below, and the rest. Raises Refused."""
        for base in (self.own, *self.within, self.root):
            rest = path.removeprefix(f"{base}/")
            if rest != path and (base != self.root or rest.split("/")[0] not in _LAYOUT):
                return base, rest
        raise Refused(f"{shown(path)} lies outside of what is isolate's")

    def holds(self, path: str) -> bool:
        """Whether `path` lies strictly below one of the places."""
        try:
            self.locate(path)
        except Refused:
            return False
        return True

    def locate_netns(self, path: str) -> tuple[str, str]:
        """`locate`, and also the names /run/netns/iso*."""
        directory, name = os.path.split(path)
        if directory == _NETNS and name.startswith(LINK_PREFIX):
            return directory, name
        return self.locate(path)


def path_of(data: Mapping[str, object], key: str) -> str:
    """The absolute, normal path that an entry holds. Raises Refused."""
    return _path(data.get(key))


def _path(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise Refused(f"{shown(value)} is no path")
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        raise Refused(f"{shown(value)} is no path") from None
    if not value.startswith("/") or value.startswith("//") or os.path.normpath(value) != value:
        raise Refused(f"{shown(value)} is no absolute path without '..'")
    return value


def number_of(data: Mapping[str, object], key: str) -> int:
    """The whole number that an entry holds. Raises Refused."""
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 64:
        raise Refused(f"{key}={shown(value)} is no whole number")
    return value


def link_of(data: Mapping[str, object]) -> str:
    """The name of a network interface that is isolate's. Raises Refused."""
    name = data.get("name")
    if (
        not isinstance(name, str)
        or not name.startswith(LINK_PREFIX)
        or len(name) > MAX_NAME
        or not name.isascii()
        or not name.replace("-", "").replace("_", "").isalnum()
    ):
        raise Refused(f"{shown(name)} is no link of isolate's")
    return name


def address_of(data: Mapping[str, object]) -> tuple[str, bytes]:
    """The interface and the packed address that an entry holds. Raises Refused."""
    import _socket

    name, text = data.get("interface"), data.get("address")
    if not (isinstance(name, str) and isinstance(text, str) and 0 < len(name) <= MAX_NAME):
        raise Refused(f"{shown(text)} on {shown(name)} is no address")
    try:
        family = _socket.AF_INET6 if ":" in text else _socket.AF_INET
        return name, _socket.inet_pton(family, text)
    except (OSError, ValueError):
        raise Refused(f"{shown(text)} is no address") from None


def cgroups_of(data: Mapping[str, object]) -> list[str]:
    """The cgroup directories that an entry holds. Raises Refused.

    Each lies below a cgroup mount, bears the prefix of isolate's, and this process isn't in it.
    """
    from isolate.linux.cgroup import PREFIX

    values = data.get("paths")
    if not isinstance(values, list):
        raise Refused(f"{shown(values)} is no list of cgroups")
    points = tuple(f"{mount.mount_point}/" for mount in filesystems(("cgroup", "cgroup2")))
    paths = [_path(value) for value in values]
    own = _own_cgroups()
    for path in paths:
        name = os.path.basename(path)
        if not path.startswith(points) or not name.startswith(PREFIX):
            raise Refused(f"{shown(path)} is no cgroup of isolate's")
        if name in own:
            raise Refused(f"this process is in the cgroup {shown(path)}")
    return paths


def _own_cgroups() -> set[str]:
    """The names on the way to the cgroups of this process (cgroups(7), /proc/PID/cgroup)."""
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as lines:
        return {name for line in lines for name in line.rstrip("\n").split("/")[1:]}
