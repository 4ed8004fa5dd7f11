"""A small event loop: descriptors that poll(2) watches, and timers; one thread, no futures."""

from __future__ import annotations

import heapq
import itertools
import select
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

IN = select.POLLIN


class Timer:
    """A call in the future."""

    __slots__ = ("call", "cancelled")

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        """It will not be called."""
        self.cancelled = True


class Loop:
    """Calls back when a descriptor is readable, or when a time has come."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._calls: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()

    def watch(self, descriptor: int, call: Callable[[], None], events: int = IN) -> None:
        """Call whenever the descriptor is ready, or its other end is gone."""
        self._calls[descriptor] = call
        self._poll.register(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Watch no more; before the descriptor is closed."""
        if self._calls.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call once, so many seconds from now."""
        timer = Timer(call)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), timer))
        return timer

    def turn(self) -> None:
        """Wait until something is due, and do it."""
        for descriptor, _events in self._poll.poll(self._patience()):
            call = self._calls.get(descriptor)
            if call is not None:  # it may have been forgotten by the call before
                call()
        while self._timers and self._timers[0][0] <= time.monotonic():
            timer = heapq.heappop(self._timers)[2]
            if not timer.cancelled:
                timer.call()

    def _patience(self) -> float | None:
        while self._timers and self._timers[0][2].cancelled:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - time.monotonic()) * 1000 + 1
