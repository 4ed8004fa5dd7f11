"""LXC's log of one container: how the program ended, and LXC's own words when something failed.

Lines are written by LXC alone, outside of the container: `COMMAND NAME TIME LEVEL CATEGORY -
FILE:FUNCTION:LINE - TEXT`. The container's name has no blanks.
"""

from __future__ import annotations

import os

from isolate.backend.types import ExitStatus

_LARGEST = 32 << 20


class Line:
    """One line: its level, the function that wrote it, its text."""

    __slots__ = ("function", "level", "text")

    def __init__(self, level: str, function: str, text: str) -> None:
        self.level = level
        self.function = function
        self.text = text


def read(path: str, *, since: int = 0) -> list[Line]:
    """The whole lines that are there, from the byte `since`."""
    try:
        with open(path, "rb") as file:
            file.seek(since)
            *whole, _torn = file.read(_LARGEST).split(b"\n")
    except OSError:
        return []
    return [line for line in map(_line, whole) if line is not None]


def _line(raw: bytes) -> Line | None:
    place, separator, text = raw.decode("utf-8", "replace").partition(" - ")[2].partition(" - ")
    head = raw.decode("utf-8", "replace").partition(" - ")[0].split()
    parts = place.rsplit(":", 2)
    if not separator or len(head) < 4 or len(parts) != 3:
        return None
    return Line(head[3], parts[1], text)


def size(path: str) -> int:
    """Its length in bytes; 0 where there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def exit_status(lines: list[Line], pid: int) -> ExitStatus | None:
    """How the container's first process, of that pid, ended; None where it isn't told.

    LXC writes a code above 0 and a signal; of an end with 0 only the hook that follows tells.
    """
    begin = f"Child <{pid}> ended on "
    ended = False
    for line in lines:
        if line.function == "lxc_error_set_and_log" and line.text.startswith(begin):
            kind, _, number = line.text.removeprefix(begin).rpartition("(")
            value = int(number.rstrip(")"))  # `error (7)`, `signal SIGKILL(9)`
            named = kind.startswith("signal")
            return ExitStatus(signal=value) if named else ExitStatus(code=value)
        ended = ended or (line.function == "run_script_argv" and _STOP_MARK in line.text)
    return ExitStatus(code=0) if ended and started(lines) else None


_STOP_MARK = "kill -KILL $PPID"
STOP_HOOK = f"/bin/sh -c '{_STOP_MARK}'"


def started(lines: list[Line]) -> bool:
    """Whether LXC saw the program executed."""
    return any(line.function == "post_start" for line in lines)


def errors(lines: list[Line]) -> list[str]:
    """What LXC logged as errors, in its own words."""
    return [line.text for line in lines if line.level in ("ERROR", "CRIT", "ALERT", "FATAL")]
