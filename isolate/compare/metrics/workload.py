"""The metric of the user's own program: wall time, CPU time, peak memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isolate.compare.metric import Metric, Series

if TYPE_CHECKING:
    from isolate.compare.bench import Bench


class Workload(Metric):
    """`--workload CMD`; it must end with exit code 0."""

    unit = "s"

    def series(self, name: str, summary: str) -> dict[str, Series]:
        return {
            name: Series(self.unit, summary),
            f"{name}.cpu": Series(self.unit, "CPU time that it used, where the backend tells"),
            f"{name}.memory": Series(
                "B", "its peak memory: a container's by its cgroup, a bare process's resident set"
            ),
        }

    def applies(self) -> bool:
        return bool(self.options.workload)

    def sample(self, bench: Bench) -> dict[str, float]:
        launched = bench.launch(self.options.workload)
        usage = launched.usage
        found: dict[str, float] = {"workload": launched.between("began", "ended")}
        if usage.cpu_user_seconds is not None and usage.cpu_system_seconds is not None:
            found["workload.cpu"] = usage.cpu_user_seconds + usage.cpu_system_seconds
        if usage.memory_peak_bytes is not None:
            found["workload.memory"] = float(usage.memory_peak_bytes)
        return found
