"""What commands the host, in a root that is the host's own tree: hidden, as no mount forbids it.

A read-only mount keeps nobody from connect(2) to a socket that it shows: the kernel asks for the
right to write to the socket's inode, and nothing is written to the filesystem. Nor has Landlock or
a filter a word for it: one knows no such right, the other can't read an address. So what isn't to
be spoken to must not be there. /run, /tmp and /var/tmp are empty in every such root; here is what
lies elsewhere.
"""

from __future__ import annotations

import os
import stat

from isolate.spec import meaning
from isolate.spec.defaults import HIDDEN_OF_HOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from isolate.spec.model import Spec

_COVERED = (*(path for path, _mode in HIDDEN_OF_HOST), "/dev", "/proc", "/sys")
_PEOPLE = 1000  # their first id; below are the system's (login.defs(5), SYS_UID_MAX)


def hide(spec: Spec, state: str) -> Spec:
    """The spec with paths masked: the state directory, the user's runtime directory, and the
    sockets of the system and the caller, as far as the container's root can reach them.

    What the spec mounts itself stays. A socket that is made, renamed or linked later is not known.
    """
    asked = spec.privileges
    shown = [*_COVERED, *asked.masked_paths, *(mount.target for mount in spec.mounts)]
    strangers = os.geteuid() == 0 and "users" in meaning.views(spec) and not asked.uid_map
    reaches = _anyone_reaches if strangers else os.path.exists
    found = [
        path
        for path in dict.fromkeys((state, *_runtime_directory(), *_sockets()))
        if reaches(path) and not any(f"{path}/".startswith(f"{each}/") for each in shown)
    ]
    return spec.replace(privileges=asked.replace(masked_paths=(*asked.masked_paths, *found)))


def _runtime_directory() -> Iterator[str]:
    path = os.environ.get("XDG_RUNTIME_DIR", "")
    if path.startswith("/"):
        yield os.path.realpath(path)


def _sockets() -> Iterator[str]:
    """The sockets that have a place in the tree (proc_net(5), unix), by their real paths. Those of
    other people are no command of the host, and could be as many as they please."""
    for row in _rows():
        place = row.split(b" /", 1)[1:]
        if place:
            directory, _, name = os.fsdecode(b"/" + place[0]).rpartition("/")
            path = f"{os.path.realpath(directory)}/{name}"
            if _commands(path):
                yield path


def _rows() -> list[bytes]:
    try:
        with open("/proc/net/unix", "rb") as file:
            return file.read().split(b"\n")
    except FileNotFoundError:  # a kernel without such sockets
        return []


def _commands(path: str) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False  # of another mount namespace, gone, or out of the caller's reach
    ours = found.st_uid < _PEOPLE or found.st_uid == os.geteuid()
    return ours and stat.S_ISSOCK(found.st_mode)


def _anyone_reaches(path: str) -> bool:
    """Whether somebody without any right on the host may use a socket or enter a directory."""
    try:
        mode = os.stat(path).st_mode
        up = [path[:end] for end, letter in enumerate(path) if letter == "/" and end]
        passable = all(os.stat(directory).st_mode & stat.S_IXOTH for directory in up)
    except OSError:
        return False
    return passable and bool(mode & (stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IWOTH))
