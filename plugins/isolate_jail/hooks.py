"""The commands of exec.*: run on the host by a shell, in order, each with its deadline."""

from __future__ import annotations

import os
import sys

from isolate.errors import LaunchError
from isolate.linux import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isolate_jail.parameters import Jail


def run(jail: Jail, point: str, *, name: str) -> None:
    """Run `exec.POINT`. Raises LaunchError with the first that fails; what follows isn't run."""
    for command in jail[f"exec.{point}"]:
        problem = _run(jail, command, name)
        if problem is not None:
            raise LaunchError(
                f"exec.{point} failed: {command}: {problem}", hint="the jail is not made"
            )


def run_all(jail: Jail, point: str, *, name: str) -> None:
    """Run `exec.POINT` on the way down: a failure is told, and the removal goes on."""
    for command in jail[f"exec.{point}"]:
        problem = _run(jail, command, name)
        if problem is not None:
            sys.stderr.write(f"warning: exec.{point} failed: {command}: {problem}\n")


def _run(jail: Jail, command: str, name: str) -> str | None:
    """Why the command failed; None where it didn't."""
    import subprocess

    log = open_log(jail)
    options: dict[str, Any] = {} if log is None else {"stdout": log, "stderr": log}
    if jail["exec.system_user"]:
        options |= {"user": jail["exec.system_user"], "extra_groups": []}
    try:
        with subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "JNAME": name},
            process_group=0,  # all that it starts ends with it
            **options,
        ) as running:
            try:
                status = running.wait(jail["exec.timeout"] or None)
            except BaseException:
                os.killpg(running.pid, signals.SIGKILL)
                raise
    except subprocess.TimeoutExpired:
        return f"not done after {jail['exec.timeout']} seconds"
    except (OSError, ValueError, LookupError) as error:
        return str(error)
    finally:
        if log is not None:
            os.close(log)
    return None if status == 0 else f"exit status {status}"


def open_log(jail: Jail) -> int | None:
    """The console log, opened to append; never through a link. Raises LaunchError."""
    path = jail["exec.consolelog"]
    if not path:
        return None
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except OSError as error:
        raise LaunchError(
            f"exec.consolelog {path}: {error.strerror}", hint="give a file that can be written"
        ) from None
