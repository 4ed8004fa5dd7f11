"""Launching: bwrap sets the container up and waits; then its own process is taken away.

bwrap stays beside a program to pass its exit status on, and would tell a signal as 128 + N. So it
is ended once the container stands, and the container's first process becomes a child of the
launcher. With --die-with-parent that process binds its life to its parent right before it executes
the program, and by then the parent is the launcher.
"""

from __future__ import annotations

import os
import select
import time

from isolate.errors import HostError, LaunchError
from isolate.linux import process, signals
from isolate.linux.namespaces import CLONE_NEWNS, CLONE_NEWUSER
from isolate.native import launcher, limits, roots
from isolate.native.half import LauncherHalf, open_binds
from isolate.native.mount_steps import Bind
from isolate.native.prepared import Prepared
from isolate.native.process_steps import START
from isolate.native.programs import which
from isolate.native.stage import choose_stage
from isolate.native.step import StepError
from isolate_bubblewrap import arrival, plan
from isolate_bubblewrap.steps import FILTER, INFO, memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.backend.types import Context
    from isolate.linux.cgroup import Group
    from isolate.linux.seccomp.cache import Cached
    from isolate.native.launcher import Launched
    from isolate.native.maps import Maps
    from isolate.spec.model import Spec

TOLD = "bwrap.told"  # the prepared descriptor that reads what bwrap writes to INFO
_PATIENCE = 10.0  # seconds in which bwrap must have done what takes it milliseconds
_LARGEST = 4096  # bytes of what bwrap says
_PAUSE = 0.0005  # seconds between looks at what it has done


class SetupFailure(Exception):  # noqa: N818 - bwrap's, not of this program
    """bwrap gave up; why, it has written to the program's standard error."""


class Attempt:
    """A launch of a container, which can be tried again with other streams.

    Args:
        spec: what was asked for.
        context: the runtime's.
        asked: the id maps.
        group: the container's cgroups.
        seccomp: the system call filter.
        start: the fifo that bwrap waits at.
    """

    def __init__(
        self,
        spec: Spec,
        context: Context,
        *,
        asked: Maps,
        group: Group | None,
        seccomp: Cached | None,
        start: int,
    ) -> None:
        self._spec = spec
        self._context = context
        self._maps = asked
        self._group = group
        self._seccomp = seccomp
        self._start = start

    def succeed(self) -> Launched:
        """The container's first process, as our child, ready. Raises IsolateError."""
        try:
            return self._try(self._context.stdio)
        except SetupFailure:
            words = self._words()
        raise LaunchError(f"bwrap: {words}", hint="what it was given: `isolate explain`")

    def _words(self) -> str:
        """What bwrap says, from a second try: it has no other place for that than the program's
        own standard error."""
        said = os.memfd_create("isolate", os.MFD_CLOEXEC)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            _end(self._try((null, null, said)))
        except SetupFailure:
            text = os.pread(said, _LARGEST, 0).decode(errors="replace")
            return " ".join(text.removeprefix("bwrap: ").split()) or "it ended without a word"
        finally:
            os.close(null)
            os.close(said)
        return "it failed, and the second time it did not"

    def _try(self, stdio: tuple[int, int, int]) -> Launched:
        spec, context = self._spec, self._context
        program, stage = _find(context.directory)
        chosen = plan.choose(spec, context.id, stage, attached=context.attached)
        with Prepared() as prepared, limits.entry(self._group) as entry:
            root = roots.prepare(context, prepared)
            binds = [Bind(asked) for asked in spec.mounts if asked.type == "bind"]
            open_binds(binds, prepared)
            prepared[START] = os.dup(self._start)
            if self._seccomp is not None:
                prepared[FILTER] = memory(self._seccomp.program)
            prepared[TOLD], prepared[INFO] = os.pipe2(os.O_CLOEXEC)
            context.checkpoint("launch")
            with launcher.Adopting():
                bwrap = launcher.delegate(
                    CLONE_NEWUSER | CLONE_NEWNS,
                    plan.steps(spec, chosen, program, root.step, stdio=stdio, entry=entry),
                    prepared=prepared,
                    meanwhile=LauncherHalf(spec, context, self._maps, root, binds).do,
                    cgroup_fd=entry.unified,
                )
                return self._take_over(bwrap, prepared[TOLD])

    def _take_over(self, bwrap: Launched, told: int) -> Launched:
        """The first process, once it stands ready; bwrap's own is ended in any case."""
        left = [bwrap]
        try:
            pid = _read_pid(told, bwrap)
            left.append(launcher.Launched(pid, process.start_time(pid)))
            limits.record_process(self._context, pid)
            self._context.checkpoint("bwrap")
            _until_ready(left[1])
            arrival.require(pid, self._spec)
            _end(bwrap)
            self._context.checkpoint("ready")
        except BaseException:
            for found in left:  # the parent first: then the other is ours to reap
                _end(found)
            raise
        return left[1]


def _find(directory: str) -> tuple[str, str]:
    """bwrap, and the directory for its stage. Raises HostError."""
    program = which(plan.NAME)
    if program is None:
        raise HostError("there is no bwrap on PATH", hint="apt-get install bubblewrap")
    try:
        return program, choose_stage(directory, os.path.realpath(program))
    except StepError as error:
        raise HostError(str(error), hint="make /mnt an empty directory") from None


def _read_pid(info: int, bwrap: Launched) -> int:
    """The first process's pid, from the JSON that bwrap writes once it has made it."""
    pidfd = process.open_pidfd(bwrap.pid, bwrap.start_time)
    try:
        poll = select.poll()
        poll.register(info, select.POLLIN)
        poll.register(pidfd, select.POLLIN)
        came = [descriptor for descriptor, _events in poll.poll(_PATIENCE * 1000)]
    finally:
        os.close(pidfd)
    text = os.read(info, 4096).decode("ascii", "replace") if info in came else ""
    digits = text.partition('"child-pid":')[2].partition(",")[0].strip(" \n}")
    if not digits.isdigit():
        raise SetupFailure
    return int(digits)


def _until_ready(first: Launched) -> None:
    """Wait until it has no capability left: the last that bwrap does before it waits to be let go.

    Raises SetupFailure where it ends before.
    """
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if not process.alive(first.pid, first.start_time):
            raise SetupFailure
        try:
            with open(f"/proc/{first.pid}/status", encoding="ascii", errors="replace") as file:
                status = process.parse_status(file.read())
        except OSError:
            raise SetupFailure from None
        if int(status["CapPrm"], 16) == 0 and int(status["CapEff"], 16) == 0:
            return
        time.sleep(_PAUSE)
    raise SetupFailure


def _end(found: Launched) -> None:
    """Kill a process of ours and reap it, where it is our child. Nothing happens where it ended."""
    try:
        pidfd = process.open_pidfd(found.pid, found.start_time)
    except ProcessLookupError:
        return
    try:
        process.send_signal(pidfd, signals.SIGKILL)
        process.wait_pidfd(pidfd, _PATIENCE)
        os.waitpid(found.pid, 0)
    except (ProcessLookupError, ChildProcessError):
        return
    finally:
        os.close(pidfd)
