"""What a metric is: one fresh sample of one subject, timed by the host's clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isolate.compare.bench import Bench


class Series:
    """One row of figures: its unit, which direction is better, and what it is in words."""

    __slots__ = ("better", "summary", "unit")

    def __init__(self, unit: str, summary: str = "", *, better: str = "lower") -> None:
        self.unit = unit
        self.summary = summary
        self.better = better


class Options:
    """How a comparison measures.

    Attributes:
        seconds: how long a loop inside a container runs, at least.
        workload: the user's own program; empty where none was given.
        quick: whether few and short samples are wanted.
    """

    __slots__ = ("quick", "seconds", "workload")

    def __init__(
        self, *, seconds: float = 0.1, workload: tuple[str, ...] = (), quick: bool = False
    ) -> None:
        self.seconds = seconds
        self.workload = workload
        self.quick = quick


class Metric(ABC):
    """One metric. An instance serves one comparison; `sample` is called once per block and subject,
    in random order. The unit of sampling is a fresh container, not an iteration inside one.

    Attributes:
        unit: of a sample: s, B, 1/s, ...
        better: which is better, `lower` or `higher`.
        quick: whether `--quick` measures it too.
        blocks: at most so many; None: as many as the comparison has.
    """

    unit: ClassVar[str]
    better: ClassVar[str] = "lower"
    quick: ClassVar[bool] = True
    blocks: ClassVar[int | None] = None

    def __init__(self, options: Options) -> None:
        self.options = options

    def series(self, name: str, summary: str) -> dict[str, Series]:
        """The rows that a sample fills, by their names; `name` and `summary` are the registered
        ones, and the one row of most metrics."""
        return {name: Series(self.unit, summary, better=self.better)}

    def applies(self) -> bool:
        """Whether this comparison asks for it; rows of one that isn't asked for are left out."""
        return True

    def unavailable(self, bench: Bench) -> str | None:
        """Why it can't be measured of `bench`; None where it can. Looks only."""
        return None

    @abstractmethod
    def sample(self, bench: Bench) -> float | Mapping[str, float]:
        """One sample: the value, or where there are several series, the value of each by its name.

        Raises OSError or IsolateError where it fails: then it counts as failed.
        """
