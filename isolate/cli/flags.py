"""From the options of `isolate run` to the plain document that a spec is built from."""

from __future__ import annotations

import os

from isolate.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LARGEST_ENV_FILE = 2**20


def document(values: dict[str, Any], backend: str) -> dict[str, Any]:
    """The document; only what was said stands in it. Raises SpecError naming the flag."""
    made: dict[str, Any] = {}
    for dest, (path, convert) in _PLACES.items():
        if dest in values:
            _put(made, path, convert(values[dest], _flag(dest)))
    if values.get("args"):
        _put(made, "process.args", list(values["args"]))
    if "option" in values:
        made["backend_options"] = _backend_options(values["option"], backend)
    return made


def _flag(dest: str) -> str:
    return "--" + dest.replace("_", "-")


def _put(document: dict[str, Any], path: str, value: Any) -> None:
    *tables, key = path.split(".")
    for table in tables:
        document = document.setdefault(table, {})
    if isinstance(value, list) and key in document:
        document[key] = [*document[key], *value]
    elif isinstance(value, dict) and key in document:
        document[key] = {**document[key], **value}
    else:
        document[key] = value


def _same(value: Any, _flag: str) -> Any:
    return value


def _number(kind: Callable[[str], Any]) -> Callable[[str, str], Any]:
    def convert(text: str, flag: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            raise SpecError(flag, f"{text!r} is not a number") from None

    return convert


def _pairs(items: str, flag: str, switches: tuple[str, ...] = ()) -> dict[str, Any]:
    """`a=1,b=2,readonly` as a table."""
    table: dict[str, Any] = {}
    for item in items.split(","):
        key, separator, value = item.partition("=")
        if separator:
            table[key] = value
        elif key in switches:
            table[key] = True
        else:
            raise SpecError(flag, f"{item!r} is not KEY=VALUE", hint=f"in {items!r}")
    return table


def _env(items: list[str], flag: str) -> dict[str, str]:
    table = {}
    for item in items:
        name, separator, value = item.partition("=")
        if separator:
            table[name] = value
        elif name in os.environ:
            table[name] = os.environ[name]
        elif not name:
            raise SpecError(flag, "is empty", hint="give NAME=VALUE, or NAME to copy yours")
    return table


def _env_files(paths: list[str], flag: str) -> dict[str, str]:
    table: dict[str, str] = {}
    for path in paths:
        try:
            with open(path, "rb") as file:
                data = file.read(_LARGEST_ENV_FILE + 1)
        except OSError as error:
            raise SpecError(flag, f"{path}: {error.strerror}") from None
        if len(data) > _LARGEST_ENV_FILE:
            raise SpecError(flag, f"{path} is larger than {_LARGEST_ENV_FILE} bytes")
        lines = [line.strip() for line in data.decode("utf-8", "surrogateescape").splitlines()]
        table |= _env([line for line in lines if line and not line.startswith("#")], flag)
    return table


_MOUNT_KEYS = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "tmpfs-size": "size",
    "tmpfs-mode": "mode",
}
_MOUNT_SWITCHES = ("readonly", "ro", "idmap", "suid", "dev", "exec", "recursive")


def _mounts(items: list[str], flag: str) -> list[dict[str, Any]]:
    return [_mount(item, flag) for item in items]


def _mount(item: str, flag: str) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in _pairs(item, flag, _MOUNT_SWITCHES).items():
        name = _MOUNT_KEYS.get(key, key)
        if name in _MOUNT_SWITCHES and isinstance(value, str):
            value = _boolean(value, flag)  # noqa: PLW2901 - the same value, converted
        if name == "mode":
            value = _number(lambda text: int(text, 8))(value, flag)  # noqa: PLW2901
        table[name] = value
    if isinstance(table.get("source"), str):
        table["source"] = os.path.abspath(table["source"])
    return table


def _boolean(text: str, flag: str) -> bool:
    if text in ("true", "1"):
        return True
    if text in ("false", "0"):
        return False
    raise SpecError(flag, f"{text!r} is not true or false")


def _volumes(items: list[str], flag: str) -> list[dict[str, Any]]:
    return [_volume(item, flag) for item in items]


def _volume(item: str, flag: str) -> dict[str, Any]:
    source, _, rest = item.partition(":")
    target, _, options = rest.partition(":")
    if not source or not target:
        raise SpecError(flag, f"{item!r} is not SOURCE:TARGET or SOURCE:TARGET:ro")
    table: dict[str, Any] = {"source": os.path.abspath(source), "target": target}
    for option in filter(None, options.split(",")):
        if option not in ("ro", "rw", "idmap"):
            raise SpecError(flag, f"{option!r} is not ro, rw or idmap", hint=f"in {item!r}")
        if option != "rw":
            table["readonly" if option == "ro" else option] = True
    return table


def _tmpfs(items: list[str], flag: str) -> list[dict[str, Any]]:
    mounts = []
    for item in items:
        target, _, options = item.partition(":")
        extra = _mount(options, flag) if options else {}
        mounts.append({"type": "tmpfs", "target": target, **extra})
    return mounts


def _io_max(items: list[str], flag: str) -> list[dict[str, Any]]:
    rows = []
    for item in items:
        device, separator, limits = item.rpartition(":")
        if not separator:
            raise SpecError(flag, f"{item!r} is not DEVICE:rbps=...,wbps=...,riops=...,wiops=...")
        row: dict[str, Any] = {"device": device, **_pairs(limits, flag)}
        for key in ("riops", "wiops"):
            if key in row:
                row[key] = _number(int)(row[key], flag)
        rows.append(row)
    return rows


def _rlimits(items: list[str], flag: str) -> dict[str, Any]:
    table = {}
    for item in items:
        name, separator, value = item.partition("=")
        soft, _, hard = value.partition(":")
        if not separator:
            raise SpecError(flag, f"{item!r} is not NAME=SOFT or NAME=SOFT:HARD")
        table[name.lower()] = {"soft": _bound(soft, flag), "hard": _bound(hard or soft, flag)}
    return table


def _bound(text: str, flag: str) -> int:
    if text == "unlimited":
        return -1
    bound: int = _number(int)(text, flag)
    return bound


def _capabilities(items: list[str], _flag: str) -> list[str]:
    upper = (item.upper() for item in items)
    return [name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}" for name in upper]


def _devices(items: list[str], flag: str) -> list[dict[str, str]]:
    rows = []
    for item in items:
        path, *rest = item.split(":")
        if len(rest) > 2:
            raise SpecError(flag, f"{item!r} is not PATH[:TARGET[:rwm]]")
        row = {"path": path}
        for value in rest:
            row["target" if value.startswith("/") else "access"] = value
        rows.append(row)
    return rows


def _seccomp(value: str, _flag: str) -> str:
    return value if value in ("default", "unconfined") else os.path.abspath(value)


def _backend_options(items: list[str], backend: str) -> dict[str, dict[str, Any]]:
    """`jail.allow.raw_sockets=1`; the chosen backend's own name in front may be left out."""
    table: dict[str, Any] = {}
    for item in items:
        name, separator, value = item.partition("=")
        if not separator:
            raise SpecError("--option", f"{item!r} is not KEY=VALUE")
        key = name.removeprefix(f"{backend}.")
        table[key] = value
    return {backend: table}


_PLACES: dict[str, tuple[str, Callable[[Any, str], Any]]] = {
    "rootfs": ("root.source", _same),
    "read_only": ("root.readonly", _same),
    "hostname": ("hostname", _same),
    "env_file": ("process.env", _env_files),
    "env": ("process.env", _env),
    "workdir": ("process.cwd", _same),
    "user": ("process.user", _same),
    "mount": ("mounts", _mounts),
    "volume": ("mounts", _volumes),
    "tmpfs": ("mounts", _tmpfs),
    "network": ("network.mode", _same),
    "memory": ("limits.memory", _same),
    "memory_swap": ("limits.memory_swap", _same),
    "cpus": ("limits.cpus", _number(float)),
    "cpu_weight": ("limits.cpu_weight", _number(int)),
    "cpuset": ("limits.cpuset", _same),
    "pids": ("limits.pids", _number(int)),
    "io_max": ("limits.io", _io_max),
    "rlimit": ("process.rlimits", _rlimits),
    "timeout": ("limits.timeout", _number(float)),
    "max_output": ("limits.output", _same),
    "cap_add": ("privileges.cap_add", _capabilities),
    "cap_drop": ("privileges.cap_drop", _capabilities),
    "seccomp": ("privileges.seccomp", _seccomp),
    "no_new_privileges": ("privileges.no_new_privileges", _same),
    "privileged": ("privileges.privileged", _same),
    "device": ("devices", _devices),
    "userns": ("privileges.users", _same),
    "mask": ("privileges.masked_paths", _same),
    "unmask": ("privileges.unmask", _same),
    "require": ("require", _same),
    "allow_degraded": ("allow_degraded", _same),
    "interactive": ("process.interactive", _same),
    "tty": ("process.terminal", _same),
    "init": ("process.init", _same),
}
