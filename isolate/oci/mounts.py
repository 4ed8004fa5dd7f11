"""The mounts of a container in OCI's words: the customary ones, and those of the spec."""

from __future__ import annotations

from isolate.errors import SpecError
from isolate.oci.words import SAFE
from isolate.spec import defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from isolate.spec.model import Mount, Spec

    Range = tuple[int, int, int]


def customary(
    spec: Spec, views: frozenset[str], *, tty_group: bool, cgroup2: bool
) -> list[dict[str, Any]]:
    """What a container has without asking. Where a fresh proc or sysfs can't be had, because the
    namespace that it shows is the host's, the host's own is shown read-only."""
    pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    shm = [*SAFE, "mode=1777", f"size={defaults.SHM_BYTES}"]
    dev = ["nosuid", "noexec", "mode=0755", f"size={defaults.DEV_BYTES}"]
    made = [
        _fresh("/proc", "proc", list(SAFE)) if "pids" in views else _of_host("/proc"),
        _fresh("/sys", "sysfs", [*SAFE, "ro"]) if "network" in views else _of_host("/sys"),
        _fresh("/dev", "tmpfs", dev),
        _fresh("/dev/pts", "devpts", [*pts, "gid=5"] if tty_group else pts),
        _fresh("/dev/shm", "tmpfs", shm),  # noqa: S108 - inside
    ]
    if "ipc" in views:
        made.append(_fresh("/dev/mqueue", "mqueue", list(SAFE)))
    if "cgroups" in views and cgroup2:
        made.append(_fresh("/sys/fs/cgroup", "cgroup", [*SAFE, "relatime", "ro"]))
    if spec.root.source == "host":
        made += [
            _fresh(path, "tmpfs", [*SAFE, f"mode={mode}"]) for path, mode in defaults.HIDDEN_OF_HOST
        ]
    return made


def _fresh(target: str, kind: str, options: list[str]) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": kind, "options": options}


def _of_host(path: str) -> dict[str, Any]:
    options = ["rbind", "rprivate", "rnosuid", "rnodev", "rnoexec", "rro"]
    return {"destination": path, "type": "bind", "source": path, "options": options}


def asked(
    mount: Mount, path: str, maps: tuple[Sequence[Range], Sequence[Range]] | None
) -> dict[str, Any]:
    """One mount of the spec; `path` names it in errors."""
    made: dict[str, Any] = {
        "destination": mount.target,
        "type": mount.type,
        "source": mount.source or mount.type,
        "options": _options(mount),
    }
    if mount.idmap:
        if maps is None:
            raise SpecError(f"{path}.idmap", "needs a user namespace beside it")
        made["uidMappings"], made["gidMappings"] = (id_map(ranges) for ranges in maps)
    return made


def id_map(ranges: Sequence[Range]) -> list[dict[str, int]]:
    """A user namespace's map."""
    return [
        {"containerID": inside, "hostID": outside, "size": count}
        for inside, outside, count in ranges
    ]


def _options(mount: Mount) -> list[str]:
    """For a recursive bind the options that reach what is mounted below, as the spec means it."""
    bind = mount.type == "bind"
    below = "r" if bind and mount.recursive else ""
    flags = (
        (mount.readonly, "ro"),
        (not mount.suid, "nosuid"),
        (not mount.dev, "nodev"),
        (not mount.exec, "noexec"),
    )
    made = [f"{below}bind", f"{below}private"] if bind else []
    made += [f"{below}{word}" for said, word in flags if said]
    if mount.idmap:
        made.append(f"{below}idmap")
    if mount.type == "tmpfs":
        made.append(f"mode={0o1777 if mount.mode is None else mount.mode:04o}")
        made += [] if mount.size is None else [f"size={mount.size}"]
    return made
