"""Metrics of starting and ending: startup and its parts, teardown, the command, many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isolate.compare.bench import IDLE, cpus
from isolate.compare.metric import Metric, Options, Series

if TYPE_CHECKING:
    from isolate.compare.bench import Bench


class Startup(Metric):
    """Launch an idle program, read its first byte, kill it, wait until nothing is left."""

    unit = "s"

    def series(self, name: str, summary: str) -> dict[str, Series]:
        return {
            name: Series(self.unit, summary),
            f"{name}.create": Series(self.unit, "from the call until the container is made"),
            f"{name}.start": Series(self.unit, "from then until its program is executed"),
            f"{name}.ready": Series(self.unit, "from then to the program's first byte"),
            "teardown": Series(self.unit, "from the kill to the moment when nothing is left"),
        }

    def sample(self, bench: Bench) -> dict[str, float]:
        launched = bench.launch(IDLE, kill=True)
        whole = {
            "startup": launched.between("began", "spoke"),
            "teardown": launched.between("killed", "gone"),
        }
        if "created" not in launched.times:  # a bare program is made and started by one call
            return whole
        return {
            **whole,
            "startup.create": launched.between("began", "created"),
            "startup.start": launched.between("created", "started"),
            "startup.ready": launched.between("started", "spoke"),
        }


class Command(Metric):
    """The command as a user types it, with its interpreter's start and its end."""

    unit = "s"

    def sample(self, bench: Bench) -> float:
        return bench.spawn(["true"])


class Rate(Metric):
    """Launches at once by as many processes: 1, 2, 4, ... up to twice the CPUs."""

    unit = "1/s"
    better = "higher"
    quick = False

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._counts = [count for count in (1, 2, 4, 8, 16, 32, 64) if count <= 2 * cpus()]

    def series(self, name: str, summary: str) -> dict[str, Series]:
        return {
            f"{name}.{count}": Series(self.unit, f"{summary}: {count}", better=self.better)
            for count in self._counts
        }

    def sample(self, bench: Bench) -> dict[str, float]:
        return {f"rate.{count}": count / bench.burst(count) for count in self._counts}
