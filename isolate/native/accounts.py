"""The user database inside the root: read by descriptor, strictly, with limits (CVE-2026-30892)."""

from __future__ import annotations

import errno
import os
import stat

from isolate.linux.resolve import open_in_root
from isolate.native.step import StepError

_LARGEST = 2**20  # bytes read of a passwd or group file that the container may have written
_ID_MAX = 2**32 - 2


class Account:
    """Who a program runs as."""

    __slots__ = ("gid", "groups", "home", "uid")

    def __init__(self, uid: int, gid: int, groups: tuple[int, ...], home: str) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.home = home


def resolve(root: int, user: str | None) -> Account:
    """The account of USER[:GROUP] by the files below the root descriptor. Raises StepError."""
    name, _, group = (user or "0").partition(":")
    row = _find(_rows(root, "/etc/passwd", 7), name)
    if row is None and _number(name) is None:
        raise StepError(f"there is no user {name!r} in the container's /etc/passwd")
    uid = _id_of(row[2] if row else name, "/etc/passwd")
    groups = _rows(root, "/etc/group", 4)
    gid = _group(groups, group) if group else _id_of(row[3], "/etc/passwd") if row else 0
    supplementary = _memberships(groups, row[0]) if row and not group else ()
    home = row[5] if row and row[5].startswith("/") else "/"
    return Account(uid, gid, supplementary, home)


def _rows(root: int, path: str, columns: int) -> list[list[str]]:
    try:
        descriptor = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP):
            return []
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return []
        text = os.read(descriptor, _LARGEST).decode("utf-8", "surrogateescape")
    finally:
        os.close(descriptor)
    rows = (line.split(":") for line in text.splitlines())
    return [row for row in rows if len(row) == columns]


def _find(rows: list[list[str]], name: str) -> list[str] | None:
    """The first row of a name, or of a number."""
    number = _number(name)
    for row in rows:
        if row[0] == name or (number is not None and _number(row[2]) == number):
            return row
    return None


def _group(rows: list[list[str]], group: str) -> int:
    number = _number(group)
    if number is not None:
        return number
    row = _find(rows, group)
    if row is None:
        raise StepError(f"there is no group {group!r} in the container's /etc/group")
    return _id_of(row[2], "/etc/group")


def _memberships(rows: list[list[str]], name: str) -> tuple[int, ...]:
    return tuple(_id_of(row[2], "/etc/group") for row in rows if name in row[3].split(","))


def _number(text: str) -> int | None:
    plain = text.isascii() and text.isdigit() and len(text) <= 10
    return int(text) if plain and int(text) <= _ID_MAX else None


def _id_of(text: str, where: str) -> int:
    number = _number(text)
    if number is None:
        raise StepError(f"the container's {where} holds {ascii(text)[:40]} as an id")
    return number
