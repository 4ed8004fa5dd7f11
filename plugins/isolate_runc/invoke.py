"""Running the runtime in a mount namespace of its own, and its errors as ours."""

from __future__ import annotations

import os
import time

from isolate.errors import ExecError, IsolateError, LaunchError, StateError
from isolate.linux import namespaces, process, signals
from isolate.native import child as first
from isolate.native import execution
from isolate.native.channel import pair
from isolate.native.failure import from_child
from isolate.native.identity_steps import DieWithLauncher
from isolate.native.rootfs_steps import PrivatePropagation
from isolate_runc import cgroups
from isolate_runc.steps import Become, OwnCgroup, Unmount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from isolate.native.prepared import Prepared
    from isolate.native.step import Step

_LARGEST = 2**20  # bytes of a runtime's answer
_PATIENCE = 1.0  # seconds in which what a failed runtime left has ended
_PAUSE = 0.002

_running: set[int] = set()  # runtimes that some thread of this process waits for


class Failure(Exception):  # noqa: N818 - the runtime's, not of this program
    """The runtime ended with a failure; the text is its own, in one line."""


def view() -> list[Step]:
    """What every command of the runtime sees: our own cgroups, and only of a version that it
    takes."""
    unified = cgroups.unified_of_hybrid()
    return [
        PrivatePropagation(),
        *([Unmount(unified)] if unified else []),
        *(OwnCgroup(directory, point) for directory, point in cgroups.foreign_roots()),
    ]


def run(
    argv: Sequence[str],
    log: str,
    *,
    stdio: tuple[int, int, int],
    extra: Sequence[Step] = (),
    prepared: Prepared | None = None,
    meanwhile: Callable[[int], None] = lambda _pid: None,
) -> None:
    """Run a command to its end. `meanwhile(pid)` is called while it runs.

    Raises Failure with what the runtime logged, LaunchError where it can't even be executed.
    """
    offset = os.path.getsize(log) if os.path.exists(log) else 0
    ours, theirs = pair()
    mask = signals.block(signals.EVERY)
    try:
        pid, pidfd = namespaces.clone(namespaces.CLONE_NEWNS)
        if pid == 0:
            ours.close()
            first.run(
                [DieWithLauncher(), *view(), *extra, Become(argv, stdio)],
                theirs,
                dict(prepared or {}),
            )
    finally:
        signals.set_mask(mask)
        theirs.close()
    os.close(pidfd)
    _running.add(pid)
    try:
        meanwhile(pid)
        message = ours.receive()
    finally:
        ours.close()
        status = os.waitpid(pid, 0)[1]
        _running.discard(pid)
    if message is not None:
        raise from_child(*message[1:5])
    if status != 0:
        raise Failure(_words(log, offset) or f"it ended with wait status {status}")


def reap_orphans(before: Sequence[int], binary: str) -> None:
    """Reap what a failed runtime left to us, its subreaper: children that it started and that
    still bear its name."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        left = [
            pid
            for pid in process.children(os.getpid())
            if pid not in before and pid not in _running and _is_runtime(pid, binary)
        ]
        if not [pid for pid in left if os.waitpid(pid, os.WNOHANG)[0] == 0]:
            return
        time.sleep(_PAUSE)


def _is_runtime(pid: int, binary: str) -> bool:
    name, own = execution.name_of(pid), os.path.basename(binary)
    return name == own[:15] or name.startswith("runc:[")


def answer(argv: Sequence[str], log: str) -> str:
    """What a command prints. Raises Failure, LaunchError."""
    said = os.memfd_create("answer", os.MFD_CLOEXEC)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        run(argv, log, stdio=(null, said, null))
        return os.pread(said, _LARGEST, 0).decode(errors="replace")
    finally:
        os.close(null)
        os.close(said)


def quietly(argv: Sequence[str], log: str) -> None:
    """Run a command that has nothing to say. Raises Failure, LaunchError."""
    answer(argv, log)


def _words(log: str, offset: int) -> str:
    """The last error in the runtime's log (JSON lines), since `offset`."""
    import json

    try:
        with open(log, "rb") as file:
            file.seek(offset)
            lines = file.read(_LARGEST).splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        try:
            entry: Any = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("level") in ("error", "fatal", None):
            return " ".join(str(entry.get("msg", "")).split())
    return ""


def launch_error(name: str, failure: Failure, program: str) -> IsolateError:
    """The error of a failed create, with the runtime's own words."""
    words = str(failure)
    if "executable file" in words and "not found" in words:
        return ExecError(f"{name}: {words}", found=False, hint="give a path inside the root")
    told = f'exec: "{program}"' in words or "open executable" in words
    if told and "permission denied" in words.lower():
        return ExecError(f"{name}: {words}", found=True, hint="it needs execute permission")
    if f'exec: "{program}"' in words and "no such file" in words:
        return ExecError(f"{name}: {words}", found=False, hint="give a path inside the root")
    return LaunchError(f"{name}: {words}", hint="what it was given: `isolate explain`")


def state_error(name: str, failure: Failure) -> StateError:
    """The error of any other failed command."""
    return StateError(f"{name}: {failure}")
