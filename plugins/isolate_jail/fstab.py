"""The mounts of a jail: lines of fstab(5) in FreeBSD's words, as mounts of the spec."""

from __future__ import annotations

import os

from isolate.errors import SpecError, UnsupportedError
from isolate.spec.model import Mount
from isolate.spec.record import shown
from isolate_jail.parameters import PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isolate_jail.parameters import Jail

_LARGEST = 2**20  # bytes of a file
_MOST = 1000  # lines
_ESCAPES = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))
_SWITCHES = {"ro": "readonly", "noexec": "exec"}
_IGNORED = frozenset({"rw", "nosuid", "nodev", "noauto", "late", "auto", "exec", "noatime"})


def mounts(jail: Jail, root: str) -> tuple[Mount, ...]:
    """The mounts of `mount` and `mount.fstab`, in jail(8)'s order: the file first."""
    rows = []
    if jail["mount.fstab"]:
        rows += [(f"{PATH}.mount.fstab", line) for line in _lines(jail["mount.fstab"])]
    rows += [(f"{PATH}.mount", line) for line in jail["mount"]]
    found = (_mount(line, where, root) for where, line in rows)
    return tuple(mount for mount in found if mount is not None)


def _lines(path: str) -> list[str]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            data = os.read(descriptor, _LARGEST + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SpecError(f"{PATH}.mount.fstab", f"{path}: {error.strerror}") from None
    lines = [line.strip() for line in data.decode("utf-8", "surrogateescape").splitlines()]
    if len(data) > _LARGEST or len(lines) > _MOST:
        raise SpecError(f"{PATH}.mount.fstab", f"{path} is too large")
    return [line for line in lines if line and not line.startswith("#")]


def _mount(line: str, where: str, root: str) -> Mount | None:
    """One line; None for what the jail has anyway."""
    words = [_unescaped(word) for word in line.split()]
    if len(words) < 3:
        raise SpecError(where, f"{shown(line)!r} isn't `device directory type options`")
    source, target, kind, *rest = words
    values: dict[str, Any] = {"target": _inside(target, root, where)}
    values |= _options(rest[0] if rest else "rw", kind, where)
    if kind in ("nullfs", "bind"):
        return Mount.build({"type": "bind", "source": source, **values}, where)
    if kind == "tmpfs":
        return Mount.build({"type": "tmpfs", **values}, where)
    if kind in ("procfs", "proc") and values["target"] == "/proc":
        return None
    if kind in ("devfs", "fdescfs") and values["target"] in ("/dev", "/dev/fd"):
        return None
    raise UnsupportedError(
        f"{where}: a mount of type {shown(kind)} at {values['target']} can't be made on Linux",
        hint="there are nullfs and tmpfs; procfs at /proc, devfs at /dev, fdescfs at /dev/fd",
    )


def _unescaped(word: str) -> str:
    for code, character in _ESCAPES:
        word = word.replace(code, character)
    return word


def _inside(target: str, root: str, where: str) -> str:
    """The target below the jail's root: FreeBSD writes it as the host sees it."""
    if not target.startswith("/") or ".." in target.split("/"):
        raise SpecError(where, f"{shown(target)!r} is no absolute path without '..'")
    if root.startswith("/") and root != "/":
        if not target.startswith(root.rstrip("/") + "/"):
            raise SpecError(where, f"{shown(target)} lies outside the jail's path {root}")
        return target[len(root.rstrip("/")) :]
    return target


def _options(text: str, kind: str, where: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for option in text.split(","):
        name, _, value = option.partition("=")
        if option in _SWITCHES:
            values[_SWITCHES[option]] = option == "ro"
        elif kind == "tmpfs" and name == "size":
            values["size"] = value
        elif (
            kind == "tmpfs" and name == "mode" and value.isdigit() and set(value) <= set("01234567")
        ):
            values["mode"] = int(value, 8)
        elif option not in _IGNORED:
            raise SpecError(where, f"{shown(option)!r} is no option of a mount here")
    return values
