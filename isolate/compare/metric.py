"""What a metric is: one fresh sample of one subject, timed by the host's clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from isolate.probe.subject import Subject


class Metric(ABC):
    """One metric. An instance serves one comparison; `sample` is called once per block and subject,
    in random order. The unit of sampling is a fresh container, not an iteration inside one.

    Attributes:
        unit: of a sample: s, B, 1/s, ...
        better: which is better, `lower` or `higher`.
        quick: whether `--quick` measures it too.
    """

    unit: ClassVar[str]
    better: ClassVar[str] = "lower"
    quick: ClassVar[bool] = True

    def unavailable(self, subject: Subject) -> str | None:
        """Why it can't be measured of `subject`; None where it can. Looks only."""
        return None

    @abstractmethod
    def sample(self, subject: Subject) -> float:
        """One sample. Raises OSError or IsolateError where it fails: then it counts as failed."""
