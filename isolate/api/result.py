"""What the API returns of a program: how it ended, what it wrote, what was enforced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from isolate.errors import EXIT_TIMEOUT, IsolateError


class ProgramError(IsolateError):
    """A program did not end with 0; `result` tells how."""

    def __init__(self, result: Completed) -> None:
        super().__init__(
            f"the program ended with status {result.exit_status}",
            hint=_last_line(result.stderr) or None,
        )
        self.result = result
        self.exit_status = result.exit_status


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


@dataclass(frozen=True, slots=True)
class Enforced:
    """A row of the receipt: a feature, what was asked, and what the kernel says is so."""

    feature: str
    asked: str
    enforced: str
    source: str
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a program ended. What could not be measured is None.

    Attributes:
        exit_code: its exit code; None when a signal killed it.
        signal: the signal that killed it.
        timed_out, output_exceeded: which limit ended it, if one did.
        oom_killed: whether its container's memory limit made the kernel kill in it; for a program
            that failed in a sandbox, whether it ever did there; None where nobody asked.
        wall_seconds: from its start to its end.
        stdout, stderr: what it wrote; empty where it was not captured.
    """

    exit_code: int | None
    signal: int | None
    timed_out: bool
    output_exceeded: bool
    oom_killed: bool | None
    wall_seconds: float
    stdout: bytes = b""
    stderr: bytes = b""

    @property
    def exit_status(self) -> int:
        """As a shell gives it: 124 after a timeout, 128+N after signal N."""
        if self.timed_out:
            return EXIT_TIMEOUT
        return 128 + self.signal if self.signal is not None else self.exit_code or 0

    @property
    def ok(self) -> bool:
        """Whether the program ended by itself with 0."""
        return self.exit_status == 0

    def check(self) -> Self:
        """This result, if the program ended with 0. Raises ProgramError."""
        if not self.ok:
            raise ProgramError(self)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Completed):
    """How the program of a container of its own ended, what it used, and what was enforced.

    Attributes:
        waived: features that were missing, and allowed to be.
        receipt: what was enforced, read back from the kernel.
    """

    id: str
    backend: str
    cpu_user_seconds: float | None
    cpu_system_seconds: float | None
    memory_peak_bytes: int | None
    pids_peak: int | None
    io_read_bytes: int | None
    io_write_bytes: int | None
    waived: tuple[str, ...]
    receipt: tuple[Enforced, ...]


def from_json(document: dict[str, Any], stdout: bytes, stderr: bytes) -> Result:
    """The result of a worker's answer and the output that was captured."""
    receipt = tuple(Enforced(**row) for row in document["receipt"])
    return Result(
        **{
            **document,
            "waived": tuple(document["waived"]),
            "receipt": receipt,
            "stdout": stdout,
            "stderr": stderr,
        }
    )
