"""The `linux` section of config.json: namespaces, id maps, resources, devices, filter, paths."""

from __future__ import annotations

import os
import stat

from isolate.errors import HostError, SpecError
from isolate.linux.cgroup import CgroupError, blockdev
from isolate.linux.cgroup.knobs import quota
from isolate.linux.cgroup.v1 import shares
from isolate.oci import seccomp
from isolate.oci.mounts import id_map
from isolate.oci.words import NAMESPACES, QUOTA_PERIOD, THROTTLES
from isolate.spec import defaults, meaning
from isolate.spec.model import VIEWS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from isolate.spec.model import Device, Spec

    Range = tuple[int, int, int]


def section(
    spec: Spec,
    views: frozenset[str],
    maps: tuple[Sequence[Range], Sequence[Range]] | None,
    *,
    cgroups_path: str | None,
    cgroup2: bool,
) -> dict[str, Any]:
    """The section. Raises SpecError, HostError for a device that this host hasn't."""
    asked = spec.privileges
    made: dict[str, Any] = {
        "namespaces": [{"type": NAMESPACES[view]} for view in VIEWS if view in views]
    }
    if maps is not None:
        made["uidMappings"], made["gidMappings"] = (id_map(ranges) for ranges in maps)
    if cgroups_path:
        made["cgroupsPath"] = cgroups_path
    if spec.sysctl:
        made["sysctl"] = dict(spec.sysctl)
    nodes = [node_of(device, f"devices[{n}]") for n, device in enumerate(spec.devices)]
    if nodes:
        made["devices"] = [node for node, _access in nodes]
    made["resources"] = _resources(spec, nodes, cgroup2=cgroup2)
    found = seccomp.document(meaning.filter_name(spec), meaning.capability_mask(spec))
    if found is not None:
        made["seccomp"] = found
    covers = not (asked.privileged or asked.unmask)
    made["maskedPaths"] = [*(defaults.MASKED_PATHS if covers else ()), *asked.masked_paths]
    made["readonlyPaths"] = [*(defaults.READONLY_PATHS if covers else ())]
    return made


def node_of(device: Device, path: str) -> tuple[dict[str, Any], str]:
    """A device as OCI has it, by its numbers; and the access that is asked."""
    try:
        found = os.stat(device.path)
    except OSError as error:
        raise HostError(f"device {device.path}: {error.strerror}") from None
    kind = {stat.S_IFCHR: "c", stat.S_IFBLK: "b"}.get(stat.S_IFMT(found.st_mode))
    if kind is None:
        raise SpecError(f"{path}.path", f"{device.path} is not a device")
    node = {
        "path": device.target or device.path,
        "type": kind,
        "major": os.major(found.st_rdev),
        "minor": os.minor(found.st_rdev),
        "fileMode": stat.S_IMODE(found.st_mode),
        "uid": 0,
        "gid": 0,
    }
    return node, device.access


def device_rules(
    nodes: Sequence[tuple[dict[str, Any], str]], *, privileged: bool
) -> list[dict[str, Any]]:
    """The rules of the device cgroup: nothing but the usual nodes and the container's own."""
    if privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    for kind, major, minor, access in defaults.DEVICE_RULES:
        rule = {"allow": True, "type": kind, "major": major, "access": access}
        rules.append(rule if minor < 0 else {**rule, "minor": minor})
    for node, access in nodes:
        numbers = {key: node[key] for key in ("type", "major", "minor")}
        rules.append({"allow": True, **numbers, "access": access})
    return rules


def _resources(
    spec: Spec, nodes: Sequence[tuple[dict[str, Any], str]], *, cgroup2: bool
) -> dict[str, Any]:
    limits = spec.limits
    made: dict[str, Any] = {
        "devices": device_rules(nodes, privileged=spec.privileges.privileged),
        "pids": {"limit": limits.pids or defaults.PIDS},
    }
    if limits.memory is not None:
        made["memory"] = {"limit": limits.memory}
        if limits.memory_swap is not None:
            made["memory"]["swap"] = limits.memory + limits.memory_swap
    cpu = _cpu(spec, cgroup2=cgroup2)
    if cpu:
        made["cpu"] = cpu
    if limits.cpu_weight is not None and cgroup2:
        made["unified"] = {"cpu.weight": str(limits.cpu_weight)}
    if limits.io:
        made["blockIO"] = _throttles(spec)
    return made


def _cpu(spec: Spec, *, cgroup2: bool) -> dict[str, Any]:
    limits = spec.limits
    made: dict[str, Any] = {}
    if limits.cpu_weight is not None and not cgroup2:
        made["shares"] = shares(limits.cpu_weight)
    if limits.cpus is not None:
        made |= {"quota": quota(limits.cpus), "period": QUOTA_PERIOD}
    if limits.cpuset is not None:
        made["cpus"] = limits.cpuset
    return made


def _throttles(spec: Spec) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for n, row in enumerate(spec.limits.io):
        try:
            major, _, minor = blockdev.resolve(row.device).partition(":")
        except CgroupError as error:
            raise SpecError(f"limits.io[{n}].device", str(error.strerror)) from None
        for name, word in THROTTLES.items():
            rate = getattr(row, name)
            if rate is not None:
                entry = {"major": int(major), "minor": int(minor), "rate": rate}
                made.setdefault(word, []).append(entry)
    return made
