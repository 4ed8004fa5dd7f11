"""Who is told how a comparison goes on."""

from __future__ import annotations


class Watch:
    """Told of each step; this one says nothing to anybody."""

    def stage(self, name: str) -> None:
        """A new part of the work begins."""

    def say(self, text: str, done: float) -> None:
        """What is done now, and which part of the stage is done, from 0 to 1."""
