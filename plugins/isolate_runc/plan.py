"""What an OCI runtime would be told, for `explain`: the bundle's essentials and the commands."""

from __future__ import annotations

from isolate.linux import cgroup
from isolate.native import limits
from isolate.native.maps import RANGE
from isolate.native.mount_steps import Bind
from isolate.oci import User, to_oci
from isolate_runc import invoke
from isolate_runc.bundle import ROOT, add_devices, stage_sources
from isolate_runc.commands import Commands

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from isolate.spec.model import Spec

_DIRECTORY = "STATE/containers/ID"
_STAGE = "/mnt"
_FIRST = 0x40000000


def plan(spec: Spec, binary: str, views: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Names and descriptions, in order. Raises SpecError."""
    commands = Commands(binary, _DIRECTORY, "ID")
    yield "cgroup", limits.describe(spec)
    yield "root", f"prepare a private layer over {spec.root.source}, owners through the user map"
    for mount in spec.mounts:
        if mount.type == "bind":
            yield Bind(mount).name, f"open {mount.source} for {mount.target}"
    yield "config.process.user", spec.process.user or "0:0"
    yield from _essentials(_config(spec, views))
    for step in invoke.view():
        yield step.name, step.describe()
    yield "view.stage", f"cover {_STAGE}, for this runtime only, and attach the root there"
    yield "runtime.create", " ".join(commands.create())
    yield "runtime.start", " ".join(commands.start())
    yield "runtime.delete", " ".join(commands.delete(force=True))


def _config(spec: Spec, views: Iterable[str]) -> dict[str, Any]:
    ranges = [(0, _FIRST, RANGE)]
    config = to_oci(
        stage_sources(spec, _STAGE),
        rootfs=f"{_STAGE}/{ROOT}",
        id="ID",
        user=_user(spec),
        views=views,
        maps=None if spec.privileges.uid_map else (ranges, ranges),
        cgroups_path=f"/{cgroup.PREFIX}ID",
        cgroup2=cgroup.discover().mode == "v2",
    )
    add_devices(config, spec, _STAGE)
    return config


def _user(spec: Spec) -> User:
    """Names are looked up in the root, which `explain` doesn't prepare: 0 stands for them."""
    name, _, group = (spec.process.user or "0").partition(":")
    uid = int(name) if name.isdigit() else 0
    return User(uid, int(group) if group.isdigit() else 0, spec.process.groups)


def _essentials(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    process, linux = config["process"], config["linux"]
    yield "config.process.args", " ".join(process["args"])
    yield "config.process.cwd", process["cwd"]
    for row in process.get("rlimits", ()):
        yield f"config.process.rlimits.{row['type']}", f"{row['soft']}:{row['hard']}"
    for name in ("apparmorProfile", "selinuxLabel"):
        if name in process:
            yield f"config.process.{name}", process[name]
    yield "config.process.capabilities", " ".join(process["capabilities"]["bounding"]) or "none"
    yield "config.process.noNewPrivileges", str(process["noNewPrivileges"]).lower()
    yield "config.root", "read-only" if config["root"]["readonly"] else "writable"
    yield "config.mounts", " ".join(mount["destination"] for mount in config["mounts"])
    kinds = " ".join(each["type"] for each in linux["namespaces"])
    yield "config.linux.namespaces", kinds
    yield "config.linux.cgroupsPath", linux["cgroupsPath"]
    for name, value in linux["resources"].items():
        if name != "devices":
            yield f"config.linux.resources.{name}", str(value)
    found = linux.get("seccomp")
    rules = f"{len(found['syscalls'])} rules, else {found['defaultAction']}" if found else "none"
    yield "config.linux.seccomp", rules
    yield "config.linux.maskedPaths", " ".join(linux["maskedPaths"]) or "none"
