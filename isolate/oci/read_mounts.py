"""The mounts of a config.json: the customary ones are every backend's, the rest the spec's."""

from __future__ import annotations

from isolate.errors import SpecError
from isolate.oci.words import SAFE
from isolate.spec import defaults
from isolate.spec.model import Mount
from isolate.spec.record import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isolate.oci.read_linux import Linux
    from isolate.oci.table import Table

_TIMES = ("relatime", "strictatime")  # of a filesystem in memory, where nobody can tell
_DEV_SIZES = (f"size={defaults.DEV_BYTES}", "size=65536k", "size=64k")
_SHM_SIZES = (f"size={defaults.SHM_BYTES}", "size=65536k", "size=64m")

# Destination: the type, the options that say no more than every backend does, and those of them
# that must be there.
_CUSTOMARY = {
    "/proc": ("proc", SAFE, ()),
    "/sys": ("sysfs", (*SAFE, "ro"), ("ro",)),
    "/dev": ("tmpfs", ("nosuid", "noexec", "mode=755", "mode=0755", *_DEV_SIZES), ()),
    "/dev/pts": (
        "devpts",
        ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "mode=620", "gid=5"),
        (),
    ),
    "/dev/shm": ("tmpfs", (*SAFE, "mode=1777", *_SHM_SIZES), SAFE),  # noqa: S108 - inside
    "/dev/mqueue": ("mqueue", SAFE, ()),
    "/sys/fs/cgroup": ("cgroup", (*SAFE, "ro"), ("ro",)),
}

_SWITCHES = {
    "ro": ("readonly", True),
    "rw": ("readonly", False),
    "nosuid": ("suid", False),
    "suid": ("suid", True),
    "nodev": ("dev", False),
    "dev": ("dev", True),
    "noexec": ("exec", False),
    "exec": ("exec", True),
    "bind": ("recursive", False),
    "rbind": ("recursive", True),
    "idmap": ("idmap", True),
}
_BELOW = {f"r{word}": known for word, known in _SWITCHES.items() if "bind" not in word}
_SAYING_NOTHING = ("private", "rprivate", "relatime", "norelatime", "defaults")


class _Entry:
    """One entry of `mounts`, as it stands there."""

    def __init__(self, row: Table) -> None:
        self.row = row
        self.target = row.text("destination") or ""
        self.kind = row.text("type") or "none"
        self.source = row.text("source")
        self.options = row.texts("options")

    @property
    def bind(self) -> bool:
        """Whether it shows something of the host."""
        return self.kind == "bind" or bool({"bind", "rbind"} & set(self.options))


def read_mounts(top: Table, linux: Linux, *, host_root: bool) -> list[Mount]:
    """The spec's mounts. Raises SpecError."""
    found: list[Mount] = []
    seen: set[str] = set()
    hidden = {path: f"mode={mode}" for path, mode in defaults.HIDDEN_OF_HOST} if host_root else {}
    for entry in map(_Entry, top.tables("mounts")):
        covers = entry.kind == "tmpfs" and hidden.get(entry.target) in entry.options
        if entry.target not in seen and (covers or _is_customary(entry, linux)):
            entry.row.finish()
        else:
            found.append(_mount(entry, linux))
        seen.add(entry.target)
    return found


def _is_customary(entry: _Entry, linux: Linux) -> bool:
    if entry.target in ("/proc", "/sys") and entry.bind and entry.source == entry.target:
        shared = "pids" if entry.target == "/proc" else "network"
        options = {"ro" if option == "rro" else option for option in entry.options}
        return shared not in linux.views and {"rbind", "ro"} <= options
    if entry.target not in _CUSTOMARY:
        return False
    usual, allowed, needed = _CUSTOMARY[entry.target]
    told = [option for option in entry.options if option not in _TIMES]
    return entry.kind == usual and set(told) <= set(allowed) and set(needed) <= set(told)


def _mount(entry: _Entry, linux: Linux) -> Mount:
    values: dict[str, Any] = {
        "type": "bind" if entry.bind else entry.kind,
        "target": entry.target,
        "suid": True,
        "dev": True,
    }
    if entry.bind:
        values |= {"source": entry.source, "recursive": False}
    for number, option in enumerate(entry.options):
        _apply(option, values, f"{entry.row.at('options')}[{number}]")
    _check_maps(entry.row, values, linux)
    entry.row.finish()
    said = {key: value for key, value in values.items() if value is not None}
    return Mount.build(said, entry.row.path)


def _apply(option: str, values: dict[str, Any], path: str) -> None:
    name, equals, value = option.partition("=")
    if name in _SWITCHES or name in _BELOW:
        key, setting = {**_BELOW, **_SWITCHES}[name]
        values[key] = setting
    elif name == "size" and equals:
        values["size"] = value
    elif name == "mode" and equals and value.isdigit() and set(value) <= set("01234567"):
        values["mode"] = int(value, 8)
    elif option not in _SAYING_NOTHING and not (option in _TIMES and values["type"] != "bind"):
        raise SpecError(path, f"{quoted(option)} can't be expressed in a spec")


def _check_maps(row: Table, values: dict[str, Any], linux: Linux) -> None:
    """A spec's idmap goes through the container's own maps, not through others."""
    maps = [row.take("uidMappings"), row.take("gidMappings")]
    if any(maps) and not values.get("idmap"):
        values["idmap"] = True  # OCI 1.2: mappings alone ask for it
    if any(maps) and maps != [linux.raw_maps["uidMappings"], linux.raw_maps["gidMappings"]]:
        raise SpecError(row.at("uidMappings"), "differs from linux.uidMappings")
