"""Restart policies: `no`, `on-failure`, `on-failure:N`, `always`; and how long to wait between."""

from __future__ import annotations

from isolate.errors import SpecError

_FIRST = 0.1  # seconds before the first restart; each next one doubles it
_LONGEST = 60.0
_STEADY = 10.0  # seconds after which a run counts as good, and the waiting starts anew


class Policy:
    """What to do when a program has ended by itself. Raises SpecError for what is no policy."""

    __slots__ = ("always", "most", "on_failure", "text")

    def __init__(self, text: str) -> None:
        word, colon, number = text.partition(":")
        self.text = text
        self.always = word == "always"
        self.on_failure = word == "on-failure"
        self.most: int | None = None
        if colon and self.on_failure and number.isascii() and number.isdigit():
            self.most = int(number)
        elif colon or word not in ("no", "always", "on-failure"):
            raise SpecError(
                "--restart", f"{text!r} is no policy", hint="no, on-failure, on-failure:N or always"
            )

    def wants_restart(self, exit_code: int | None, restarts: int) -> bool:
        """Whether to run it again, after so many restarts; an unknown end is a failure."""
        if self.always:
            return True
        within = self.most is None or restarts < self.most
        return self.on_failure and exit_code != 0 and within


def pause(failures: int, lasted: float) -> float:
    """Seconds to wait before a restart, by the restarts in a row and how long the run lasted."""
    if lasted >= _STEADY:
        return _FIRST
    return min(_LONGEST, _FIRST * 2.0 ** min(failures, 20))
