"""Driving `benchmarks.program` from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Program:
    """A program that launches containers through the library."""

    def __init__(self, kind: str, root: str) -> None:
        environment = {key: value for key, value in os.environ.items() if "PYTHON" not in key}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.program", kind, root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def launch(self, copies: int = 1) -> float:
        """Seconds for launches at once."""
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdin.write(f"{copies}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _where: TracebackType | None,
    ) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()
