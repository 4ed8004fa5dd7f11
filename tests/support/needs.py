"""Needs: what a test wants of its host, each a named predicate with a reason when it is missing.

`ISOLATE_REQUIRE` turns a skip into a failure: `all`, or names separated by commas; `all,-kvm`
leaves one out.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from isolate.linux import landlock
from isolate.linux.cgroup import layout
from tests.support import cgroups, installation, session

if TYPE_CHECKING:
    from collections.abc import Callable

# A command, and the Debian package that has it; tests/system-packages.txt lists the packages.
COMMANDS = {
    "bwrap": "bubblewrap",
    "busybox": "busybox-static",
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
    "crun": "crun",
    "gcc": "gcc",
    "apparmor_parser": "apparmor",
    "checkpolicy": "checkpolicy",
    "fio": "fio",
    "hyperfine": "hyperfine",
    "ip": "iproute2",
    "iperf3": "iperf3",
    "lxc-execute": "lxc",
    "newuidmap": "uidmap",
    "nsenter": "util-linux",
    "mkfs.ext4": "e2fsprogs",
    "ps": "procps",
    "qemu-system-x86_64": "qemu-system-x86",
    "runc": "runc",
    "runsc": "runsc",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
_PATH = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"


def require(*names: str) -> None:
    """Go on if every need is met; else skip the test, or fail it where ISOLATE_REQUIRE says so."""
    for name in names:
        require_that(missing(name) is None, name, missing(name) or "")


def require_that(met: bool, name: str, reason: str) -> None:
    """The same for a need that the caller has looked into."""
    if met:
        return
    if demanded(name, os.environ.get("ISOLATE_REQUIRE", "")):
        pytest.fail(f"needs {name}: {reason}; ISOLATE_REQUIRE demands it", pytrace=False)
    pytest.skip(f"needs {name}: {reason}")  # noqa: TID251 - the one place that skips


def demanded(name: str, require_text: str) -> bool:
    """Whether the value of ISOLATE_REQUIRE makes a missing need a failure."""
    words = [word.strip() for word in require_text.split(",")]
    return f"-{name}" not in words and ("all" in words or name in words)


@functools.cache
def missing(name: str) -> str | None:
    """Why this host doesn't meet the need; None when it does. Raises LookupError for no need."""
    return _predicate(name)()


def check_name(name: str) -> None:
    """Raise LookupError when there is no such need."""
    _predicate(name)


def _predicate(name: str) -> Callable[[], str | None]:
    kind, _, argument = name.partition(":")
    if name in COMMANDS:
        return functools.partial(_command, name)
    if argument and kind in _PREFIXES:
        return functools.partial(_PREFIXES[kind], argument)
    if name in _PREDICATES:
        return _PREDICATES[name]
    known = sorted([*COMMANDS, *_PREDICATES, *(f"{prefix}:NAME" for prefix in _PREFIXES)])
    raise LookupError(f"{name!r} is no need; the needs are {', '.join(known)}")


def _command(name: str) -> str | None:
    if shutil.which(name, path=_PATH):
        return None
    return f"no {name} here: apt-get install {COMMANDS[name]}"


def _root() -> str | None:
    return None if os.geteuid() == 0 else "not root"


def _userns() -> str | None:
    """An ordinary user may make user namespaces (user_namespaces(7))."""
    argv = ["unshare", "--user", "--map-root-user", "true"]
    if os.geteuid() == 0:
        argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", *argv]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"user namespaces: {done.stderr.strip()}"


def _ordinary_user() -> str | None:
    """Commands can be run as a user without rights."""
    if os.geteuid() == 0:
        for name in ("unshare", "nsenter", "setpriv"):
            if reason := _command(name):
                return reason
    if installation.python_for_anyone() is None:
        return f"ordinary users can't execute {sys.executable}, nor a Python of its version"
    return None


def _index() -> str | None:
    """pip can fetch packages."""
    target = session.directory() / "index-probe"
    argv = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(target), "pluggy"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    return None if done.returncode == 0 else "pip can't fetch packages"


def _filesystem(name: str) -> str | None:
    with open("/proc/filesystems") as lines:
        known = name in [line.split()[-1] for line in lines]
    return None if known else f"the kernel has no {name} file system"


def _cgroup2() -> str | None:
    """A version 2 hierarchy is mounted, with controllers or without."""
    return None if layout.discover().unified is not None else "no cgroup2 is mounted"


def _landlock() -> str | None:
    """The kernel restricts by Landlock (landlock(7)), up to abstract sockets and signals."""
    version = landlock.abi()
    return None if version >= 6 else f"Landlock has ABI {version} here, 6 is wanted"


def _cgroup(controller: str) -> str | None:
    """We may make a cgroup below our own that has the controller, in v1 or v2 (cgroups(7))."""
    for hierarchy in cgroups.own():
        if controller in hierarchy.controllers:
            writable = os.access(hierarchy.directory, os.W_OK)
            return None if writable else f"may not make a cgroup in {hierarchy.directory}"
    return f"no {controller} controller in reach"


_PREDICATES: dict[str, Callable[[], str | None]] = {
    "cgroup2": _cgroup2,
    "index": _index,
    "landlock": _landlock,
    "ordinary_user": _ordinary_user,
    "root": _root,
    "userns": _userns,
}
_PREFIXES: dict[str, Callable[[str], str | None]] = {
    "cgroup": _cgroup,
    "filesystem": _filesystem,
}
