"""Facts about this host that decide what backends can promise, each with a remark."""

from __future__ import annotations

import os
import platform

from isolate.linux import cgroup, detached, idmap, namespaces, process

_CGROUP_ROOT = "/sys/fs/cgroup"


def facts() -> list[dict[str, str]]:
    """Rows of `name`, `value` and `remark`."""
    return [
        _fact("kernel", platform.release(), _kernel_remark()),
        _fact("mounts by", *_mounts()),
        _fact("user", _user(), _user_remark()),
        _fact("namespaces", " ".join(_namespaces()), ""),
        _fact("user namespaces", *_user_namespaces()),
        _fact("subordinate ids", *_subordinate()),
        _fact("cgroups", str(cgroup.discover().mode), _cgroup_remark()),
        *_controllers(),
        _fact("Linux security modules", *_security_modules()),
        _fact("seccomp", _seccomp(), ""),
        *_foreign(),
    ]


def _fact(name: str, value: str, remark: str) -> dict[str, str]:
    return {"name": name, "value": value, "remark": remark}


def _kernel_remark() -> str:
    return "" if process.has_pidfds() else "lacks pidfd_open(2): Linux 5.3 or later is needed"


def _mounts() -> tuple[str, str]:
    if detached.native():
        return "the new mount API", ""
    remark = "slower: before Linux 5.19 a container's root may be a copy of its files"
    return "mount(2)", remark


def _user() -> str:
    return "root" if os.geteuid() == 0 else f"ordinary (uid {os.geteuid()})"


def _user_remark() -> str:
    return "" if os.geteuid() == 0 else "limits need a delegated cgroup"


def _namespaces() -> list[str]:
    return [file for file in namespaces.FILES.values() if namespaces.identity("self", file)]


def _user_namespaces() -> tuple[str, str]:
    most = _read("/proc/sys/user/max_user_namespaces")
    if most in (None, "0"):
        return "none", "set /proc/sys/user/max_user_namespaces above 0"
    return f"at most {most}", ""


def _subordinate() -> tuple[str, str]:
    if os.geteuid() == 0:
        return "root uses a range of its own per container", ""
    if idmap.subordinate_maps() is not None:
        return "granted", ""
    return "none", "only your own id can be mapped; add a range to /etc/subuid and /etc/subgid"


def _cgroup_remark() -> str:
    return "" if cgroup.discover().mode else f"nothing is mounted below {_CGROUP_ROOT}"


def _controllers() -> list[dict[str, str]]:
    usable = cgroup.usable_controllers(cgroup.discover())
    return [
        _fact(f"cgroup {name}", "no" if reason else "yes", reason or "")
        for name, reason in usable.items()
    ]


def _security_modules() -> tuple[str, str]:
    listed = _read("/sys/kernel/security/lsm")
    if listed:
        return listed, ""
    return "unknown", "securityfs is not mounted at /sys/kernel/security"


def _seccomp() -> str:
    return _read("/proc/sys/kernel/seccomp/actions_avail") or "none"


def _foreign() -> list[dict[str, str]]:
    from isolate.plugins.conflict import foreign_isolate

    found = foreign_isolate()
    return [] if found is None else [_fact("environment", found.what, found.remedy)]


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None
