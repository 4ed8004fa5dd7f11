"""The result of a run: how the program ended, what it used, what was enforced and waived."""

from __future__ import annotations

from isolate.backend.types import ReceiptRow, Usage
from isolate.errors import EXIT_TIMEOUT
from isolate.spec.kinds import Boolean, Integer, Items, Nested, Number, Text
from isolate.spec.record import Record, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Result(Record):
    """What happened. Unmeasured is None (null in JSON), never 0."""

    id: str = field(Text(), doc="the container's id")
    backend: str = field(Text(), doc="the backend's name")
    exit_code: int | None = field(Integer(0, 255), default=None, doc="exit code; none when killed")
    signal: int | None = field(Integer(1, 128), default=None, doc="the signal that killed it")
    timed_out: bool = field(Boolean(), default=False, doc="the wall time limit ended it")
    output_exceeded: bool = field(Boolean(), default=False, doc="the output limit ended it")
    wall_seconds: float = field(
        Number(0.0, 1e12, "seconds"), doc="from the program's start to its end"
    )
    usage: Usage = field(Nested(Usage), default={}, doc="what it used")
    waived: tuple[str, ...] = field(Items(Text()), default=(), doc="features that were missing")
    receipt: tuple[ReceiptRow, ...] = field(
        Items(Nested(ReceiptRow)), default=(), doc="asked against enforced"
    )

    @property
    def exit_status(self) -> int:
        """What the command line exits with: as timeout(1) and a POSIX shell."""
        if self.timed_out:
            return EXIT_TIMEOUT
        return 128 + self.signal if self.signal is not None else self.exit_code or 0

    def to_json(self) -> dict[str, Any]:
        """The flat document of `--result-json`, with every key present."""
        return {
            "id": self.id,
            "backend": self.backend,
            "exit_code": self.exit_code,
            "signal": self.signal,
            "oom_killed": self.usage.oom_killed,
            "timed_out": self.timed_out,
            "output_exceeded": self.output_exceeded,
            "wall_seconds": self.wall_seconds,
            **{name: getattr(self.usage, name) for name in Usage.FIELDS if name != "oom_killed"},
            "waived": list(self.waived),
            "receipt": [
                {name: getattr(row, name) for name in ReceiptRow.FIELDS} for row in self.receipt
            ],
        }
