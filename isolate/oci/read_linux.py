"""The `linux` section of a config.json, in the spec's words."""

from __future__ import annotations

import os
import stat

from isolate.errors import SpecError
from isolate.linux import capabilities
from isolate.linux.cgroup.knobs import quota
from isolate.linux.cgroup.v1 import weight_of
from isolate.linux.names import CAPABILITIES
from isolate.oci import linux as written
from isolate.oci import seccomp
from isolate.oci.table import Table
from isolate.oci.words import NAMESPACES, QUOTA_PERIOD, THROTTLES
from isolate.spec import defaults, meaning
from isolate.spec.model import Limits
from isolate.spec.record import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_VIEWS = {word: view for view, word in NAMESPACES.items()}
_PRIVATE = ("private", "rprivate", "")


class Linux:
    """What the section says. Raises SpecError for all that a spec can't express.

    Attributes:
        views: the namespaces, as the spec calls them.
        network: the spec's network.mode.
        privileges: the fields of the spec's privileges.
        devices: the spec's devices.
        sysctl: kernel parameters.
        cgroups_path: cgroupsPath, for which a spec has no word.
        raw_maps: uidMappings and gidMappings as they stand there.
    """

    def __init__(
        self, table: Table, rights: dict[str, Any], *, privileged: bool, seccomp: str | None
    ) -> None:
        self.views = _namespaces(table)
        self.network = "none" if "network" in self.views else "host"
        self.raw_maps = {key: table.take(key) for key in ("uidMappings", "gidMappings")}
        self.sysctl = table.pairs("sysctl")
        self.cgroups_path = table.text("cgroupsPath")
        self._resources = table.table("resources")
        self.devices = _devices(table, self._resources, privileged=privileged)
        self._limits = _limits(self._resources)
        self.privileges = self._rights(table, rights, privileged=privileged, file=seccomp)
        if table.text("rootfsPropagation", "") not in _PRIVATE:
            raise SpecError(table.at("rootfsPropagation"), "can't be expressed: mounts are private")
        table.finish()

    def limits(self, carried: dict[str, Any]) -> Limits:
        """The spec's limits, with those that OCI has no word for."""
        cpus = carried.get("cpus")
        if cpus is not None and quota(cpus) != quota(self._limits.get("cpus", 0)):
            raise SpecError("annotations.isolate.limits.cpus", "contradicts linux.resources.cpu")
        return Limits.build({**self._limits, **carried}, self._resources.path)

    def _rights(
        self, table: Table, rights: dict[str, Any], *, privileged: bool, file: str | None
    ) -> dict[str, Any]:
        masked = table.texts("maskedPaths")
        extra = [path for path in masked if path not in defaults.MASKED_PATHS]
        fixed = table.texts("readonlyPaths")
        if rights["unmask"] and (extra != masked or fixed):
            raise SpecError("annotations.isolate.privileges.unmask", "isn't so")
        for number, path in enumerate(fixed):
            if path not in defaults.READONLY_PATHS:
                place = f"{table.at('readonlyPaths')}[{number}]"
                raise SpecError(place, f"{quoted(path)} can't be expressed in a spec")
        found = table.take("seccomp")
        if privileged:
            if "users" in self.views or found is not None or extra != masked:
                raise SpecError("annotations.isolate.privileges.privileged", "isn't so")
            kept = {name: rights[name] for name in ("lsm_label", "unmask")}
            return {"privileged": True, "masked_paths": extra, **kept}
        mask = capabilities.to_mask(_known(rights["capabilities"]))
        return {
            **rights,
            **self._users(),
            "masked_paths": extra,
            "seccomp": _filter(found, mask, table.at("seccomp"), file),
        }

    def _users(self) -> dict[str, Any]:
        if "users" not in self.views:
            if any(self.raw_maps.values()):
                raise SpecError("linux.uidMappings", "needs a namespace of type user")
            return {"users": "host"}
        maps = {
            "uid_map": _map(self.raw_maps["uidMappings"], "linux.uidMappings"),
            "gid_map": _map(self.raw_maps["gidMappings"], "linux.gidMappings"),
        }
        return {"users": "private", **maps}


def _namespaces(table: Table) -> list[str]:
    found = []
    for row in table.tables("namespaces"):
        word = row.text("type") or ""
        view = _VIEWS.get(word)
        if view is None:
            raise SpecError(row.at("type"), f"{quoted(word)} is no namespace of OCI")
        if view in found:
            raise SpecError(row.at("type"), f"{word} stands there twice")
        if row.text("path"):
            raise SpecError(row.at("path"), "can't be expressed: a spec joins no namespace")
        found.append(view)
        row.finish()
    if "mounts" not in found:
        raise SpecError(table.at("namespaces"), "a spec has always a mount namespace of its own")
    return found


def _known(names: list[str]) -> list[str]:
    unknown = [name for name in names if name not in CAPABILITIES]
    if unknown:
        raise SpecError("process.capabilities.bounding", f"{quoted(unknown[0])} is no capability")
    return names


def _map(rows: object, path: str) -> list[dict[str, Any]]:
    made = []
    for row in Table({"rows": rows}, path).tables("rows"):
        row.path = row.path.replace(".rows", "")
        numbers = {
            "inside": row.number("containerID"),
            "outside": row.number("hostID"),
            "size": row.number("size"),
        }
        row.finish()
        if None in numbers.values():
            raise SpecError(row.path, "needs containerID, hostID and size")
        made.append(numbers)
    return made


def _filter(found: Any, mask: int, path: str, file: str | None) -> str:
    """`default` where the document's filter is ours for these capabilities."""
    if found is None:
        return meaning.UNCONFINED
    if found == seccomp.document("default", mask):
        return "default"
    if file is None:
        raise SpecError(
            path,
            "a spec names a filter by its file",
            hint="save this object in a file, and name that: --seccomp FILE",
        )
    return file


def _devices(table: Table, resources: Table, *, privileged: bool) -> list[dict[str, str]]:
    """The spec's devices, held against the rules of the device cgroup."""
    nodes = [_node(row) for row in table.tables("devices")]
    rules = resources.items("devices")
    if privileged:
        return [{**_paths(node), "access": "rwm"} for node in nodes]
    usual = written.device_rules([], privileged=False)
    asked: dict[tuple[object, ...], str] = {}
    for number, rule in enumerate(rules):
        if rule in usual:
            continue
        asked[_rule(rule, f"{resources.at('devices')}[{number}]", nodes)] = rule["access"]
    made = []
    for node in nodes:
        access = asked.get((node["type"], node["major"], node["minor"]))
        if access is None:
            raise SpecError(node["where"], "is there without a rule in linux.resources.devices")
        made.append({**_paths(node), "access": access})
    return made


def _rule(rule: Any, path: str, nodes: list[dict[str, Any]]) -> tuple[object, ...]:
    row = Table(rule, path)
    numbers = (row.text("type"), row.number("major"), row.number("minor"))
    allowed, access = row.flag("allow"), row.text("access")
    row.finish()
    known = {(node["type"], node["major"], node["minor"]) for node in nodes}
    if not allowed or not access or numbers not in known:
        raise SpecError(path, "can't be expressed: a spec allows devices by their nodes")
    return numbers


def _node(row: Table) -> dict[str, Any]:
    """A device, which every backend shows with the host's own mode and its own root as owner."""
    made: dict[str, Any] = {key: row.text(key) for key in ("path", "type")}
    made |= {key: row.number(key) for key in ("major", "minor")}
    made["type"] = {"u": "c"}.get(made["type"], made["type"])
    if None in made.values() or made["type"] not in ("b", "c"):
        raise SpecError(row.path, "needs path, type (b, c or u), major and minor")
    made["where"] = row.path
    for key in ("uid", "gid"):
        if row.number(key, 0) != 0:
            raise SpecError(row.at(key), "can't be expressed in a spec")
    mode = row.number("fileMode")
    row.finish()
    made["host"] = _host_path(made)
    if mode is not None and mode & 0o7777 != stat.S_IMODE(os.stat(made["host"]).st_mode):
        raise SpecError(row.at("fileMode"), "differs from the host's node")
    return made


def _paths(node: dict[str, Any]) -> dict[str, str]:
    """The node of this host that has the numbers, and where it appears."""
    host = node["host"]
    return {"path": host} if host == node["path"] else {"path": host, "target": node["path"]}


def _host_path(node: dict[str, Any]) -> str:
    numbers = f"{node['major']}:{node['minor']}"
    folder = {"c": "char", "b": "block"}[node["type"]]
    for path in (node["path"], _by_sysfs(f"/sys/dev/{folder}/{numbers}/uevent")):
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            continue
        kind = {"c": stat.S_IFCHR, "b": stat.S_IFBLK}[node["type"]]
        same = found.st_rdev == os.makedev(node["major"], node["minor"])
        if same and stat.S_IFMT(found.st_mode) == kind:
            return str(path)
    raise SpecError(node["where"], f"this host has no device {node['type']} {numbers}")


def _by_sysfs(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    names = [line.removeprefix("DEVNAME=") for line in lines if line.startswith("DEVNAME=")]
    return f"/dev/{names[0]}" if names else ""


def _limits(resources: Table) -> dict[str, Any]:
    made: dict[str, Any] = {}
    memory = resources.table("memory")
    limit, total = _positive(memory.number("limit")), _positive(memory.number("swap"))
    if limit is not None:
        made["memory"] = limit
    if total is not None:
        if limit is None or total < limit:
            raise SpecError(memory.at("swap"), "is memory and swap together, never below limit")
        made["memory_swap"] = total - limit
    memory.finish()
    made |= _cpu(resources)
    pids = resources.table("pids")
    made["pids"] = _positive(pids.number("limit"))
    pids.finish()
    made["io"] = _io(resources.table("blockIO"))
    resources.finish()
    return {key: value for key, value in made.items() if value not in (None, [])}


def _positive(value: int | None) -> int | None:
    """A bound; 0 and below are OCI's words for none."""
    return value if value is not None and value > 0 else None


def _cpu(resources: Table) -> dict[str, Any]:
    made: dict[str, Any] = {}
    cpu, unified = resources.table("cpu"), resources.table("unified")
    share = _positive(cpu.number("shares"))
    if share is not None:
        made["cpu_weight"] = weight_of(share)
    weight = unified.text("cpu.weight")
    if weight is not None:
        if not weight.isdigit():
            raise SpecError(unified.at("cpu.weight"), f"{quoted(weight)} is no weight")
        made["cpu_weight"] = int(weight)
    amount, period = _positive(cpu.number("quota")), cpu.number("period", QUOTA_PERIOD)
    if amount is not None:
        if not period or period < 0:
            raise SpecError(cpu.at("period"), "must be above 0")
        made["cpus"] = amount / period
    made["cpuset"] = cpu.text("cpus") or None
    cpu.finish()
    unified.finish()
    return made


def _io(block: Table) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for name, word in THROTTLES.items():
        for entry in block.tables(word):
            major, minor = entry.number("major"), entry.number("minor")
            rows.setdefault(f"{major}:{minor}", {})[name] = entry.number("rate")
            entry.finish()
    block.finish()
    return [{"device": device, **rates} for device, rates in rows.items()]
