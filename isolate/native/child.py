"""The container's first process, from clone to execve: runs the steps, reports what fails."""

from __future__ import annotations

import errno
import gc
import os

from isolate.errors import EXIT_FAILURE, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND
from isolate.native.step import Child, StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from isolate.native.channel import Channel
    from isolate.native.step import Step

FAILED = "failed"
READY = "ready"
CONSOLE = "console"
ENDED = "ended"
EXEC = "exec"  # the name of the step that executes the program


def run(steps: Sequence[Step], channel: Channel, prepared: dict[str, int]) -> NoReturn:
    """Run every step; the last one executes the program and doesn't return. Never raises."""
    gc.disable()  # a collection would touch, and so copy, every page that holds an object
    status = EXIT_FAILURE
    child = Child(channel, prepared)
    name = "start"
    try:
        for step in steps:
            name = step.name
            step.run(child)
    except OSError as error:
        status = _exit_status(name, error)
        channel.send(FAILED, name, error.errno or 0, str(error.strerror), _text(error.filename))
    except StepError as error:
        channel.send(FAILED, name, 0, str(error), "")
    except BaseException as error:  # noqa: BLE001 - a bug must reach the launcher, not unwind its stack
        channel.send(FAILED, name, 0, f"{type(error).__name__}: {error} (a bug in isolate)", "")
    finally:
        os._exit(status)


def _text(filename: object) -> str:
    if isinstance(filename, bytes):
        return os.fsdecode(filename)
    return filename if isinstance(filename, str) else ""


def _exit_status(step: str, error: OSError) -> int:
    """126 and 127 as in a POSIX shell, for a program that can't be executed."""
    if step != EXEC:
        return EXIT_FAILURE
    return EXIT_NOT_FOUND if error.errno == errno.ENOENT else EXIT_NOT_EXECUTABLE
