"""Ordinary users for tests, made without touching the machine's own accounts.

As root, a mount namespace is made in which /etc/passwd and its kin are edited copies; commands run
in it under the new ids. Nothing has to be undone: the namespace ends with the session.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SUBID_COUNT = 65536
_FIRST_ID = 64001  # between Debian's ranges for people and for `nobody` (Debian policy, 9.2.2)
_FILES = ("passwd", "group", "subuid", "subgid")
_SCRIPT = """
set -e
for name in passwd group subuid subgid; do mount --bind "$1/$name" "/etc/$name"; done
mount --make-rshared /
echo ready
exec cat
"""


@dataclass(frozen=True)
class Account:
    """An ordinary user: what a test needs to run commands as them.

    Attributes:
        home: a directory of theirs, mode 0700, that they can reach.
        subids: the first id of their subordinate range (subuid(5)), None without one.
        prefix: the command that becomes this user.
    """

    name: str
    uid: int
    gid: int
    home: Path
    subids: int | None
    prefix: tuple[str, ...] = ()

    @property
    def runtime_directory(self) -> Path:
        """Their XDG_RUNTIME_DIR."""
        return self.home / "run"

    @property
    def environment(self) -> dict[str, str]:
        """What a login would set."""
        return {
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "LOGNAME": self.name,
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "USER": self.name,
            "XDG_RUNTIME_DIR": str(self.runtime_directory),
        }

    def argv(self, args: Sequence[str], cwd: Path | None = None) -> list[str]:
        """The command line that runs `args` as this user, in `cwd` or their home."""
        return [*self.prefix, "env", f"--chdir={cwd or self.home}", *args]

    def run(
        self,
        *args: str,
        text: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 30,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as this user and wait; `text` is its standard input."""
        return subprocess.run(
            self.argv(args, cwd),
            env={**self.environment, **(env or {})},
            input=text or "",
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


class Accounts:
    """The session's ordinary users; a context manager, as root only."""

    def __init__(self) -> None:
        self._directory = session.directory() / "accounts"
        self._holder: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> tuple[Account, Account]:
        """One user with subordinate ids, one without."""
        self._directory.mkdir()
        self._directory.chmod(0o755)
        for name in _FILES:
            (self._directory / name).write_bytes(_read(Path("/etc") / name))
            (self._directory / name).chmod(0o644)
        users = self._add("isolate-tests", subids=True), self._add("isolate-plain", subids=False)
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", _SCRIPT, "sh", str(self._directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if self._holder.stdout is None or self._holder.stdout.readline() != b"ready\n":
            raise RuntimeError("no mount namespace for the ordinary users")
        holder = self._holder.pid
        return _inside(holder, users[0]), _inside(holder, users[1])

    def __exit__(self, *_error: object) -> None:
        if self._holder is not None:
            self._holder.communicate()

    def _add(self, name: str, *, subids: bool) -> Account:
        number = self._free_id()
        home = self._directory / name
        self._append("passwd", f"{name}:x:{number}:{number}::{home}:/bin/sh")
        self._append("group", f"{name}:x:{number}:")
        first = self._free_subids() if subids else None
        if first is not None:
            self._append("subuid", f"{name}:{first}:{SUBID_COUNT}")
            self._append("subgid", f"{name}:{first}:{SUBID_COUNT}")
        for directory in (home, home / "run"):
            directory.mkdir(mode=0o700)
            os.chown(directory, number, number)
        return Account(name, number, number, home, first)

    def _append(self, name: str, line: str) -> None:
        with (self._directory / name).open("a") as file:
            file.write(f"{line}\n")

    def _free_id(self) -> int:
        fields = [line.split(":") for name in _FILES[:2] for line in self._lines(name)]
        taken = {int(field[2]) for field in fields if len(field) > 2 and field[2].isdigit()}
        return next(number for number in range(_FIRST_ID, _FIRST_ID + 999) if number not in taken)

    def _free_subids(self) -> int:
        fields = [line.split(":") for name in _FILES[2:] for line in self._lines(name)]
        ends = [int(field[1]) + int(field[2]) for field in fields if len(field) == 3]
        return max([2**20, *ends])

    def _lines(self, name: str) -> list[str]:
        return (self._directory / name).read_text().splitlines()


def _inside(holder: int, account: Account) -> Account:
    """The account, with the command that enters the holder's mount namespace as them."""
    enter = ("nsenter", f"--mount=/proc/{holder}/ns/mnt", "--")
    ids = (f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups")
    return replace(account, prefix=(*enter, "setpriv", *ids, "--inh-caps=-all", "--"))


def current() -> Account:
    """The user who runs the tests, where that is not root."""
    entry = pwd.getpwuid(os.geteuid())
    home = session.directory() / "home"
    for directory in (home, home / "run"):
        directory.mkdir(mode=0o700, exist_ok=True)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, home, _own_subids(entry.pw_name))


def _own_subids(name: str) -> int | None:
    for line in _read(Path("/etc/subuid")).decode().splitlines():
        owner, first, _count = line.split(":")
        if owner == name:
            return int(first)
    return None


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
