"""From a config.json to a spec: all of it, or a refusal that names the place in config.json."""

from __future__ import annotations

import os

from isolate.errors import SpecError
from isolate.oci.read_linux import Linux
from isolate.oci.read_mounts import read_mounts
from isolate.oci.table import Table
from isolate.oci.words import CARRIED, CGROUPS_PATH, HOOKS, PREFIX, UNLIMITED
from isolate.spec.model import Hook, Hooks, Privileges, Process, Root, Spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SETS = ("bounding", "effective", "permitted")
_MAJOR = "1."


def from_oci(
    config: dict[str, Any], *, bundle: str | None = None, seccomp: str | None = None
) -> Spec:
    """The spec of a config.json.

    Args:
        config: the document, as plain data; it may be hostile.
        bundle: the bundle's directory, from which a relative `root.path` starts.
        seccomp: a file that holds the document's `linux.seccomp`; a spec names a filter by its
            file, so without one only the default filter, and none, can be taken over.

    Raises SpecError for what isn't valid and for what a spec can't express. The customary mounts
    of proc, sys, dev and cgroup are every backend's own and are taken as such; masked and
    read-only paths of every backend's default list likewise.
    """
    top = Table(config, "")
    version = top.text("ociVersion") or ""
    if not version.startswith(_MAJOR):
        raise SpecError("ociVersion", f"{version!r} is not version 1")
    carried, annotations = _annotations(top)
    privileged = carried.pop("privileges.privileged", False) is True
    process, rights = _process(top.table("process"))
    rights["unmask"] = carried.pop("privileges.unmask", False) is True
    linux = Linux(top.table("linux"), rights, privileged=privileged, seccomp=seccomp)
    source = carried.pop("root.source", None)
    root = _root(top.table("root"), source, bundle)
    mounts = read_mounts(top, linux, host_root=source == "host")
    if linux.cgroups_path:
        annotations[CGROUPS_PATH] = linux.cgroups_path
    values: dict[str, Any] = {
        "process": Process.build({**process, **_of(carried, "process")}, "process"),
        "root": root,
        "mounts": mounts,
        "isolate": linux.views,
        "network": {"mode": linux.network},
        "limits": linux.limits(_of(carried, "limits")),
        "privileges": Privileges.build(linux.privileges, "linux"),
        "devices": linux.devices,
        "hostname": _hostname(top, linux.views),
        "sysctl": linux.sysctl,
        "hooks": _hooks(top.table("hooks")),
        "annotations": annotations,
        **carried,
    }
    top.finish()
    return Spec.build({key: value for key, value in values.items() if value is not None}, "")


def _annotations(top: Table) -> tuple[dict[str, Any], dict[str, str]]:
    """What OCI has no word for, by the spec's paths, and the others."""
    import json

    carried: dict[str, Any] = {}
    own: dict[str, str] = {}
    for key, value in top.pairs("annotations").items():
        path = key.removeprefix(PREFIX)
        if path == key:
            own[key] = value
            continue
        if path not in (*CARRIED, "limits.cpus"):
            raise SpecError(f"annotations.{key}", "is no field of a spec")
        try:
            carried[path] = json.loads(value)
        except (ValueError, RecursionError):
            raise SpecError(f"annotations.{key}", "is not JSON") from None
    return carried, own


def _of(carried: dict[str, Any], table: str) -> dict[str, Any]:
    """The carried fields of one table, taken out."""
    paths = [path for path in carried if path.startswith(f"{table}.")]
    return {path.partition(".")[2]: carried.pop(path) for path in paths}


def _process(table: Table) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of a spec's process, and those of its privileges."""
    who = table.table("user")
    uid, gid = who.number("uid", 0), who.number("gid", 0)
    values = {
        "args": table.texts("args"),
        "cwd": table.text("cwd", "/"),
        "env": table.environment("env"),
        "terminal": table.flag("terminal"),
        "user": f"{uid}:{gid}",
        "groups": who.items("additionalGids"),
        "umask": who.number("umask", 0o022),
        "rlimits": _rlimits(table),
        "oom_score_adj": table.number("oomScoreAdj"),
    }
    rights = {
        "capabilities": _capabilities(table.table("capabilities"), root=uid == 0),
        "no_new_privileges": table.flag("noNewPrivileges"),
        "lsm_label": table.text("apparmorProfile") or table.text("selinuxLabel") or None,
    }
    who.finish()
    table.finish()
    return values, rights


def _rlimits(table: Table) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for row in table.tables("rlimits"):
        name = (row.text("type") or "").removeprefix("RLIMIT_").lower()
        if name in found:
            raise SpecError(row.at("type"), "stands there twice")
        limits = {key: _bound(row.number(key)) for key in ("soft", "hard")}
        found[name] = {key: value for key, value in limits.items() if value is not None}
        row.finish()
    return found


def _bound(value: int | None) -> int | None:
    return -1 if value == UNLIMITED else value


def _capabilities(table: Table, *, root: bool) -> list[str]:
    """The one set of the spec: bounding, effective and permitted alike, nothing inheritable.

    Ambient and inheritable capabilities within it change nothing for user 0, whose programs get
    the whole set anyway; to another user they would give what a spec never does.
    """
    sets = {key: set(table.texts(key)) for key in (*_SETS, "inheritable", "ambient")}
    for key in _SETS[1:]:
        if sets[key] != sets["bounding"]:
            raise SpecError(table.at(key), "differs from bounding: a spec has one set")
    for key in ("inheritable", "ambient"):
        if sets[key] and not (root and sets[key] <= sets["bounding"]):
            raise SpecError(table.at(key), "can't be expressed: a spec gives no ambient rights")
    table.finish()
    return sorted(sets["bounding"])


def _root(table: Table, source: object, bundle: str | None) -> Root:
    path = table.text("path") or ""
    if not path:
        raise SpecError(table.at("path"), "is missing")
    if source is None and not os.path.isabs(path):
        path = os.path.join(bundle, path) if bundle else f"./{path}"
    values = {
        "source": path if source is None else source,
        "readonly": table.flag("readonly"),
    }
    table.finish()
    return Root.build(values, "root")


def _hostname(top: Table, views: list[str]) -> str | None:
    hostname = top.text("hostname") or None
    if hostname is not None and "hostname" not in views:
        raise SpecError("hostname", "needs a namespace of type uts")
    return hostname


def _hooks(table: Table) -> Hooks:
    found = {name: [_hook(row) for row in table.tables(word)] for name, word in HOOKS.items()}
    table.finish()
    return Hooks.build(found, "hooks")


def _hook(row: Table) -> Hook:
    values = {
        "path": row.text("path"),
        "args": row.texts("args"),
        "env": row.environment("env"),
        "timeout": row.number("timeout"),
    }
    row.finish()
    return Hook.build({key: value for key, value in values.items() if value is not None}, row.path)
