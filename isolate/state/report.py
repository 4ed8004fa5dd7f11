"""What an undo or a collection came to."""

from __future__ import annotations


class Report:
    """Attributes:
    collected: ids of the containers that are gone now.
    refused: what a journal asks for that isn't ours to touch, or that can't be read; final.
    failures: what could not be undone now; what it belongs to is kept, and the next gc tries
        again.
    """

    __slots__ = ("collected", "failures", "refused")

    def __init__(self) -> None:
        self.collected: list[str] = []
        self.refused: list[str] = []
        self.failures: list[str] = []

    @property
    def problems(self) -> list[str]:
        """The refused and the failed, to show to the user."""
        return self.refused + self.failures

    def add(self, other: Report) -> None:
        """Take over what another report says."""
        self.collected += other.collected
        self.refused += other.refused
        self.failures += other.failures
