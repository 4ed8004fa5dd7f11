"""LXC's log: how a program ended, LXC's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from isolate.backend.types import ExitStatus
from isolate_lxc import log

if TYPE_CHECKING:
    from pathlib import Path

START = 'NOTICE   start - ../src/lxc/start.c:post_start:2205 - Started "sh" with pid "77"'
STOP = (
    "INFO     conf - ../src/lxc/conf.c:run_script_argv:341 - Executing script "
    f'"{log.STOP_HOOK}" for container "isolate-a-1"'
)


def ended(words: str, pid: int = 77) -> str:
    return (
        f"INFO     error - ../src/lxc/error.c:lxc_error_set_and_log:31 - Child <{pid}> "
        f"ended on {words}"
    )


def lines(tmp_path: Path, *texts: str, torn: str = "") -> list[log.Line]:
    path = tmp_path / "log"
    head = "lxc-start isolate-a-1 20261124043722.814 "
    path.write_text("".join(f"{head}{text}\n" for text in texts) + torn)
    return log.read(str(path))


@pytest.mark.parametrize(
    ("texts", "status"),
    [
        ((START, ended("error (7)"), STOP), ExitStatus(code=7)),
        ((START, ended("signal SIGKILL(9)"), STOP), ExitStatus(signal=9)),
        ((START, ended("signal (34)"), STOP), ExitStatus(signal=34)),
        ((START, STOP), ExitStatus(code=0)),
        ((START,), None),
        ((STOP,), None),  # it was never executed
        ((START, ended("error (7)", pid=78)), None),  # somebody else's end
        ((), None),
    ],
)
def test_how_it_ended(tmp_path: Path, texts: tuple[str, ...], status: ExitStatus | None) -> None:
    assert log.exit_status(lines(tmp_path, *texts), 77) == status


def test_a_line_that_is_being_written_is_not_read(tmp_path: Path) -> None:
    found = lines(tmp_path, START, torn="lxc-start isolate-a-1 2026 " + ended("error (7)"))
    assert log.exit_status(found, 77) is None


def test_damaged_lines_are_no_lines(tmp_path: Path) -> None:
    assert log.read(str(tmp_path / "none")) == []
    path = tmp_path / "log"
    path.write_bytes(b"\xff\xfe\n\n - \n - - - \nlxc-start a b INFO c - d - e\n")
    assert log.read(str(path)) == []


def test_errors_are_lxcs_own_words(tmp_path: Path) -> None:
    text = "ERROR    conf - ../src/lxc/conf.c:mount_entry:2446 - No such file - Failed to mount"
    found = lines(tmp_path, START, text)
    assert log.errors(found) == ["No such file - Failed to mount"]
    assert log.started(found)
