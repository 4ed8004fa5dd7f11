"""The keyword arguments that the API's functions share, and the spec that they make."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypedDict

from isolate.spec.model import Spec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Settings(TypedDict, total=False):
    """What a container may be given; each is the spec's field of the same name.

    Sizes are bytes or text as in "256M".
    """

    rootfs: str
    read_only: bool
    hostname: str
    env: Mapping[str, str]
    cwd: str
    user: str
    mounts: Sequence[Mapping[str, Any]]
    network: str
    memory: int | str
    memory_swap: int | str
    cpus: float
    cpu_weight: int
    cpuset: str
    pids: int
    max_output: int | str
    rlimits: Mapping[str, Mapping[str, int]]
    cap_add: Sequence[str]
    cap_drop: Sequence[str]
    seccomp: str
    no_new_privileges: bool
    privileged: bool
    users: str
    init: bool
    require: Sequence[str]
    allow_degraded: Sequence[str]
    backend_options: Mapping[str, Mapping[str, Any]]


class Options(Settings, total=False):
    """Settings, and `spec`, a whole spec that they override."""

    spec: Spec


class Execution(TypedDict, total=False):
    """How one program is executed in a sandbox.

    `stdin` is what it reads. `env` comes beside the sandbox's own environment; `cwd` instead of its
    working directory. After `timeout` seconds the program is killed, with its session and all that
    descends from it. With `capture` (the default) at most `max_output` bytes of what it writes are
    collected, one more ends it; else its output goes where this program's goes.
    """

    stdin: bytes
    env: Mapping[str, str]
    cwd: str
    timeout: float
    capture: bool
    max_output: int | str


_PLACES = {
    "rootfs": "root.source",
    "read_only": "root.readonly",
    "hostname": "hostname",
    "env": "process.env",
    "cwd": "process.cwd",
    "user": "process.user",
    "mounts": "mounts",
    "network": "network.mode",
    "memory": "limits.memory",
    "memory_swap": "limits.memory_swap",
    "cpus": "limits.cpus",
    "cpu_weight": "limits.cpu_weight",
    "cpuset": "limits.cpuset",
    "pids": "limits.pids",
    "max_output": "limits.output",
    "rlimits": "process.rlimits",
    "cap_add": "privileges.cap_add",
    "cap_drop": "privileges.cap_drop",
    "seccomp": "privileges.seccomp",
    "no_new_privileges": "privileges.no_new_privileges",
    "privileged": "privileges.privileged",
    "users": "privileges.users",
    "init": "process.init",
    "require": "require",
    "allow_degraded": "allow_degraded",
    "backend_options": "backend_options",
}


def make_spec(args: Sequence[str], timeout: float | None, options: Mapping[str, Any]) -> Spec:
    """The spec of a call. Raises SpecError; TypeError for an argument that there isn't."""
    given = dict(options)
    base = given.pop("spec", None)
    document: dict[str, Any] = base.to_dict() if base is not None else {}
    for name, value in given.items():
        if name not in _PLACES:
            raise TypeError(f"there is no argument {name!r}")
        _put(document, _PLACES[name], value)
    if args:
        _put(document, "process.args", [os.fsdecode(word) for word in args])
    if timeout is not None:
        _put(document, "limits.timeout", timeout)
    return Spec.build(document, "")


def _put(document: dict[str, Any], path: str, value: Any) -> None:
    *tables, key = path.split(".")
    for table in tables:
        document = document.setdefault(table, {})
    document[key] = dict(value) if hasattr(value, "keys") else value
