"""Rates from two samples of what containers and their processes use."""

from __future__ import annotations

import os
import time

from isolate.errors import IsolateError
from isolate.linux import process
from isolate.runtime import abilities

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isolate.backend.abilities import Stats
    from isolate.state import Entry

_TICK = 1.0 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Sampler:
    """What some containers use; each `take` gives the rates since the one before.

    The first has no rates: unmeasured is None, never 0.
    """

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries
        self._before: dict[object, tuple[float, float]] = {}

    def take(self) -> list[dict[str, Any]]:
        """A row for each container that runs. Raises UnsupportedError for what can't be had."""
        rows = []
        for entry in self._entries:
            try:
                backend, handle = abilities.running(entry, "created", "running", "paused")
            except IsolateError:
                continue  # it has ended meanwhile
            rows.append(
                {"id": entry.id, **self._container(entry.id, abilities.stats(backend, handle))}
            )
        return rows

    def _container(self, name: str, found: Stats) -> dict[str, Any]:
        row = {field: getattr(found, field) for field in found.FIELDS if field != "pressure"}
        used = None
        if found.cpu_user_seconds is not None and found.cpu_system_seconds is not None:
            used = found.cpu_user_seconds + found.cpu_system_seconds
        return {"cpu_percent": self._rate(name, used), **row, "pressure": dict(found.pressure)}

    def processes(self, entry: Entry) -> list[dict[str, Any]]:
        """A row for each process of a container, the busiest first."""
        backend, handle = abilities.running(entry, "created", "running", "paused")
        rows = [self._process(pid) for pid in abilities.processes(backend, handle)]
        there = [row for row in rows if row is not None]
        return sorted(there, key=lambda row: -(row["cpu_percent"] or 0.0))

    def _process(self, pid: int) -> dict[str, Any] | None:
        fields = process.stat_fields(pid)
        if fields is None:
            return None
        used = _TICK * (int(fields[process.USER_TICKS]) + int(fields[process.SYSTEM_TICKS]))
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                command = file.read(4096).replace(b"\0", b" ").decode("utf-8", "replace").strip()
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                name = file.read().strip()
            owner = os.stat(f"/proc/{pid}").st_uid
        except OSError:
            return None
        return {
            "pid": pid,
            "user": owner,
            "state": fields[process.STATE].decode(),
            "cpu_percent": self._rate((pid, fields[process.START_TIME]), used),
            "memory_bytes": int(fields[process.RESIDENT_PAGES]) * _PAGE,
            "command": command or f"[{name}]",
        }

    def _rate(self, key: object, used: float | None) -> float | None:
        """Percent of one CPU since the sample before."""
        if used is None:
            return None
        now = time.monotonic()
        before = self._before.get(key)
        self._before[key] = (now, used)
        if before is None or now <= before[0]:
            return None
        return round(100.0 * (used - before[1]) / (now - before[0]), 1)
