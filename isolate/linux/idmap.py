"""User namespaces' maps: /proc/PID/uid_map, subuid(5) ranges, newuidmap(1)."""

from __future__ import annotations

import os

NEWUIDMAP = "/usr/bin/newuidmap"
NEWGIDMAP = "/usr/bin/newgidmap"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Range = tuple[int, int, int]  # first id inside, first id outside, count


def write_maps(pid: int, uid_map: Sequence[Range], gid_map: Sequence[Range]) -> None:
    """Write both maps of a process's new user namespace; user_namespaces(7).

    Without privilege the maps must be one line of the caller's own ids, and setgroups(2) is
    denied first, as the kernel demands (CVE-2014-8989).
    """
    if os.geteuid() != 0:
        _write(f"/proc/{pid}/setgroups", "deny")
    _write(f"/proc/{pid}/uid_map", lines(uid_map))
    _write(f"/proc/{pid}/gid_map", lines(gid_map))


def lines(ranges: Iterable[Range]) -> str:
    """A map in the kernel's form."""
    return "".join(f"{inside} {outside} {count}\n" for inside, outside, count in ranges)


def parse(text: str) -> list[Range]:
    """The ranges of a map file."""
    rows = (line.split() for line in text.splitlines())
    return [(int(row[0]), int(row[1]), int(row[2])) for row in rows if len(row) == 3]


def root_of(pid: int) -> tuple[int, int]:
    """The user and group, as this process counts them, that are 0 for a process; 65534 if none.

    Raises OSError.
    """
    found = []
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{pid}/{name}", encoding="ascii") as file:
            first = outside(parse(file.read()), 0)
        found.append(65534 if first is None else first)
    return found[0], found[1]


def of_process(pid: int, kind: str) -> list[Range]:
    """The map of a process's user namespace, of `kind` uid or gid. Raises OSError."""
    with open(f"/proc/{pid}/{kind}_map", encoding="ascii") as file:
        return parse(file.read())


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def subordinate(path: str, names: Sequence[str]) -> list[tuple[int, int]]:
    """The (first, count) ranges that subuid(5) or subgid(5) grants to a user by name or number."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            rows = [line.strip().split(":") for line in file]
    except OSError:
        return []
    return [
        (int(row[1]), int(row[2]))
        for row in rows
        if len(row) == 3 and row[0] in names and row[1].isdigit() and row[2].isdigit()
    ]


def names_of(uid: int) -> tuple[str, ...]:
    """The names by which subuid(5) may know a user: its login name and its number."""
    import pwd

    try:
        return (pwd.getpwuid(uid).pw_name, str(uid))
    except KeyError:
        return (str(uid),)


def subordinate_maps() -> tuple[list[Range], list[Range]] | None:
    """An ordinary user's maps: the own id as 0, after it all subordinate ids in their order.

    None where there are none, or where newuidmap(1), which alone may write them, is missing.
    """
    uid, gid = os.geteuid(), os.getegid()
    uids = subordinate("/etc/subuid", names_of(uid))
    gids = subordinate("/etc/subgid", names_of(uid))
    usable = os.access(NEWUIDMAP, os.X_OK) and os.access(NEWGIDMAP, os.X_OK)
    if not (uids and gids and usable):
        return None
    return _after_own(uid, uids), _after_own(gid, gids)


def _after_own(own: int, ranges: Sequence[tuple[int, int]]) -> list[Range]:
    rows = [(0, own, 1)]
    inside = 1
    for first, count in ranges:
        rows.append((inside, first, count))
        inside += count
    return rows


def write_with_helpers(pid: int, uid_map: Sequence[Range], gid_map: Sequence[Range]) -> None:
    """Let newuidmap(1) and newgidmap(1) write the maps. Raises OSError."""
    run_newidmap(NEWUIDMAP, pid, uid_map)
    run_newidmap(NEWGIDMAP, pid, gid_map)


def run_newidmap(program: str, pid: int, ranges: Sequence[Range]) -> None:
    """Let the set-uid helper newuidmap(1) or newgidmap(1) write a map. Raises OSError."""
    import subprocess

    words = [str(number) for row in ranges for number in row]
    ended = subprocess.run([program, str(pid), *words], capture_output=True, check=False)
    if ended.returncode != 0:
        said = ended.stderr.decode(errors="replace").strip()
        raise PermissionError(1, said or f"{program} failed", program)


def outside(ranges: Iterable[Range], inside: int) -> int | None:
    """The id outside of an id inside; None where it isn't mapped."""
    for first, host, count in ranges:
        if first <= inside < first + count:
            return host + inside - first
    return None
