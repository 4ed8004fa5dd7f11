"""The receipt: what the kernel says is in force for a process, row by row, against what was asked.

It is read while the container's first process stands ready: confined as the program will be.
"""

from __future__ import annotations

import os

from isolate.backend.types import ReceiptRow
from isolate.linux import capabilities, idmap, namespaces
from isolate.linux.names import RLIMITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from isolate.spec.model import Rlimit

_NAME_WIDTH = 26  # of the first column of proc_pid_limits(5), whose names hold spaces
_CAPABILITY_LINES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def row(feature: str, asked: object, enforced: object, source: str, *, holds: bool) -> ReceiptRow:
    """One row, its values as text."""
    return ReceiptRow(
        feature=feature, asked=str(asked), enforced=str(enforced), source=source, holds=holds
    )


def views(pid: int, wanted: Iterable[str]) -> list[ReceiptRow]:
    """The namespaces: own where the inode differs from ours."""
    return [_view(pid, view) for view in sorted(wanted)]


def _view(pid: int, view: str) -> ReceiptRow:
    file = namespaces.FILES[view]
    inside, outside = namespaces.identity(pid, file), namespaces.identity("self", file)
    own = inside is not None and inside != outside
    return row(
        f"view.{view}",
        "own",
        f"own {file}:[{inside}]" if own else f"the host's {file}:[{inside}]",
        f"/proc/{pid}/ns/{file}",
        holds=own,
    )


def users(pid: int) -> ReceiptRow:
    """Root inside against root outside."""
    ranges = idmap.parse(_read(f"/proc/{pid}/uid_map"))
    outside = idmap.outside(ranges, 0)
    return row(
        "view.users",
        "root inside is not root outside",
        f"0 inside is {outside} outside",
        f"/proc/{pid}/uid_map",
        holds=outside != 0,
    )


def root(pid: int, *, readonly: bool, host: bool = False) -> list[ReceiptRow]:
    """The root directory: another than ours, or a view of the `host`'s; its mount's options."""
    source = f"/proc/{pid}/root"
    inside, outside = os.stat(source), os.stat("/")
    other = (inside.st_dev, inside.st_ino) != (outside.st_dev, outside.st_ino)
    asked = "the host's" if host else "another"
    rows = [
        row("root", asked, "another" if other else "the host's", source, holds=other or host),
    ]
    if readonly or host:
        tight = bool(os.statvfs(source).f_flag & os.ST_RDONLY)
        rows.append(row("root.readonly", "ro", "ro" if tight else "rw", source, holds=tight))
    return rows


def fence(pid: int) -> ReceiptRow:
    """That the host's root isn't in the mount table at all: pivot_root, not chroot."""
    source = f"/proc/{pid}/mountinfo"
    points = [line.split(" ")[4] for line in _read(source).splitlines()]
    alone = points.count("/") == 1
    return row(
        "root.fence",
        "the old root is detached",
        f"{len(points)} mounts, {points.count('/')} of them at /",
        source,
        holds=alone,
    )


class Status:
    """/proc/PID/status, read once; proc_pid_status(5)."""

    def __init__(self, pid: int) -> None:
        self._source = f"/proc/{pid}/status"
        lines = (line.partition(":") for line in _read(self._source).splitlines())
        self._fields = {key: value.strip() for key, _, value in lines}

    def capabilities(self, mask: int) -> ReceiptRow:
        """Bounding, permitted and effective within what was asked; inheritable, ambient empty."""
        sets = {name: int(self._fields[name], 16) for name in _CAPABILITY_LINES}
        known = capabilities.full()
        tight = all(
            value & known & ~(mask if name not in ("CapInh", "CapAmb") else 0) == 0
            for name, value in sets.items()
        )
        return row(
            "privileges.capabilities",
            _names(mask),
            _names(sets["CapBnd"]),
            self._source,
            holds=tight,
        )

    def no_new_privileges(self) -> ReceiptRow:
        """The bit is set."""
        value = self._fields.get("NoNewPrivs", "absent")
        return row("privileges.no_new_privileges", "1", value, self._source, holds=value == "1")

    def seccomp(self, asked: str) -> ReceiptRow:
        """A filter is loaded."""
        value = self._fields.get("Seccomp", "absent")
        count = self._fields.get("Seccomp_filters", "?")
        enforced = f"mode {value}, {count} filters"
        return row("privileges.seccomp", asked, enforced, self._source, holds=value == "2")

    def no_root(self) -> bool:
        """Whether the process is another user than the host's root."""
        return self._fields.get("Uid", "0").split()[0] != "0"


def _names(mask: int) -> str:
    return " ".join(name.removeprefix("CAP_") for name in capabilities.to_names(mask)) or "none"


def rlimits(pid: int, asked: dict[str, Rlimit]) -> list[ReceiptRow]:
    """The limits per process; proc_pid_limits(5)."""
    if not asked:
        return []
    # Not prlimit(2): of a process of another user it needs CAP_SYS_RESOURCE.
    lines = _read(f"/proc/{pid}/limits").splitlines()[1:]  # in the order of their numbers
    rows = []
    for name, limit in asked.items():
        soft, hard = (_bound(word) for word in lines[RLIMITS[name]][_NAME_WIDTH:].split()[:2])
        rows.append(
            row(
                "process.rlimits",
                f"{name}={limit.soft}:{limit.hard}",
                f"{name}={soft}:{hard}",
                f"/proc/{pid}/limits",
                holds=(soft, hard) == (limit.soft, limit.hard),
            )
        )
    return rows


def _bound(word: str) -> int:
    return -1 if word == "unlimited" else int(word)


def oom_score_adj(pid: int, asked: int) -> ReceiptRow:
    """The OOM score's adjustment."""
    source = f"/proc/{pid}/oom_score_adj"
    value = _read(source).strip()
    return row("process.oom_score_adj", asked, value, source, holds=value == str(asked))


def no_network(pid: int) -> ReceiptRow:
    """Nothing but a loopback in the network namespace."""
    source = f"/proc/{pid}/net/dev"
    links = [line.split(":")[0].strip() for line in _read(source).splitlines()[2:]]
    return row(
        "network.none", "lo only", " ".join(links) or "no links", source, holds=set(links) <= {"lo"}
    )


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
