"""The host and the moment, as the document keeps them; everything here is only read."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isolate import __version__
from isolate.backend.types import Problem
from isolate.compare.document import BackendRow, Environment
from isolate.errors import IsolateError
from isolate.linux import cgroup
from isolate.plugins import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isolate.plugins import Entry

_VULNERABILITIES = Path("/sys/devices/system/cpu/vulnerabilities")
_GOVERNOR = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
_PATIENCE = 10  # seconds for a tool to tell its version


def survey(command: Sequence[str]) -> Environment:
    """What there is now, at the start of a comparison."""
    return Environment(
        isolate=__version__,
        python=platform.python_version(),
        kernel=f"{platform.release()} {platform.version()}",
        machine=platform.machine(),
        cpu=_field("/proc/cpuinfo", "model name") or platform.processor() or "unknown",
        cpus=len(os.sched_getaffinity(0)),
        memory_bytes=int((_field("/proc/meminfo", "MemTotal") or "0").split()[0]) * 1024,
        governor=_read(_GOVERNOR),
        virtualization=_virtualization(),
        load=os.getloadavg(),
        mitigations=_mitigations(),
        cgroups=_cgroups(),
        lsms=tuple((_read("/sys/kernel/security/lsm") or "").split(",")) if _has_lsm() else (),
        user=os.geteuid(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        command=tuple(command),
    )


def finished(environment: Environment) -> Environment:
    """The same at the end: how long it took, and the load that there is now."""
    began = datetime.fromisoformat(environment.started)
    return environment.replace(
        seconds=max(0.0, (datetime.now(UTC) - began).total_seconds()), load_end=os.getloadavg()
    )


def backend_row(entry: Entry) -> BackendRow:
    """A backend of the catalogue, also one that is broken or can't work here."""
    told: dict[str, Any] = {
        "name": entry.name,
        "distribution": entry.distribution,
        "version": entry.version,
    }
    if entry.problem is not None:
        return _unusable(told, entry.problem, "repair or remove the plugin")
    try:
        backend = load(entry.name)
        problems = backend.check()
        features = sorted(backend.capabilities()) if not problems else []
    except IsolateError as error:
        return _unusable(told, error.message, error.hint or "")
    except Exception as error:  # noqa: BLE001 - a third party's bug must not end the comparison
        return _unusable(told, f"{type(error).__name__}: {error}", "report the plugin's bug")
    return BackendRow(
        **told,
        summary=backend.summary,
        tool=tool_version(backend.tool),
        usable=not problems,
        problems=tuple(problems),
        features=tuple(features),
    )


def _unusable(told: dict[str, Any], what: str, remedy: str) -> BackendRow:
    return BackendRow(**told, usable=False, problems=(Problem(what=what, remedy=remedy),))


def tool_version(tool: str | None) -> str | None:
    """The first line that the command which a backend drives says of itself; None without one."""
    path = shutil.which(tool) if tool else None
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{tool}: {error}"
    return next(iter((done.stdout or done.stderr).splitlines()), None)


def _field(path: str, name: str) -> str | None:
    for line in (_read(path) or "").splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() == name:
            return value.strip()
    return None


def _virtualization() -> str | None:
    """The hypervisor by its own word; None where none shows."""
    if "hypervisor" not in (_field("/proc/cpuinfo", "flags") or "").split():
        return None
    vendor = _read("/sys/class/dmi/id/sys_vendor") or _read("/sys/hypervisor/type")
    return vendor or "a hypervisor"


def _mitigations() -> dict[str, str]:
    if not _VULNERABILITIES.is_dir():
        return {}
    found = {path.name: _read(str(path)) for path in sorted(_VULNERABILITIES.iterdir())}
    return {name: text for name, text in found.items() if text is not None}


def _cgroups() -> str | None:
    mode = cgroup.discover().mode
    return str(mode) if mode else None


def _has_lsm() -> bool:
    return _read("/sys/kernel/security/lsm") is not None


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip() or None
    except OSError:
        return None
