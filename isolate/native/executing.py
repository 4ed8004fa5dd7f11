"""exec: a further program in a running container, never freer than the container's own.

Two processes: the first enters cgroups, namespaces and root, then clones the second as its
sibling, which is in the pid namespace, confines itself as the container's program is confined, and
executes. Neither is dumpable from before it enters until it has executed, so that nobody inside
can trace it or open what it has open (CVE-2016-9962).
"""

from __future__ import annotations

import os

from isolate.backend.types import Handle
from isolate.errors import LaunchError, StateError
from isolate.linux import namespaces, prctl, process, signals
from isolate.linux.names import RLIMITS
from isolate.native import child as first
from isolate.native import confinement, limits, process_steps, rootfs_steps
from isolate.native import identity_steps as identity
from isolate.native.channel import pair
from isolate.native.failure import from_child
from isolate.native.prepared import Prepared
from isolate.native.step import Step
from isolate.spec.model import Rlimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from isolate.backend.abilities import ExecContext
    from isolate.linux.cgroup import Entry
    from isolate.native.channel import Channel
    from isolate.native.confinement import Confinement
    from isolate.native.step import Child
    from isolate.spec.model import Process

_ENTERED = "entered"


def execute(
    handle: Handle,
    directory: str,
    process_: Process,
    context: ExecContext,
    *,
    fences: Sequence[Step] = (),
) -> Handle:
    """Start the program; the handle is its process's. Raises LaunchError, ExecError.

    `fences` are steps of a backend's own that restrict the program, run before the filter's.
    """
    if handle.pid is None or handle.start_time is None:
        raise StateError(f"container {handle.id} has no process")
    confined = confinement.load(directory)
    steps = plan(process_, confined, context.stdio, fences)
    try:
        pidfd = process.open_pidfd(handle.pid, handle.start_time)
    except ProcessLookupError:
        raise StateError(f"container {handle.id} has ended") from None
    group = limits.group_of(handle)
    try:
        with limits.entry(group) as entry:
            pid, channel = _enter(handle.pid, pidfd, confined, steps, entry)
    finally:
        os.close(pidfd)
    try:
        _until_executed(channel, context)
    except BaseException:
        os.waitpid(pid, 0)
        raise
    finally:
        channel.close()
    return Handle(id=handle.id, backend=handle.backend, pid=pid, start_time=process.start_time(pid))


def plan(
    process_: Process,
    confined: Confinement,
    stdio: tuple[int, int, int],
    fences: Sequence[Step] = (),
) -> list[Step]:
    """The steps of the second process, in the order of a container's own last steps."""
    rlimits = {
        name: Rlimit(soft=soft, hard=hard) for name, (soft, hard) in confined.rlimits.items()
    }
    rlimits |= dict(process_.rlimits)
    seccomp: list[Step] = list(fences)
    if confined.seccomp is not None:
        seccomp.append(identity.Seccomp(confined.seccomp, confined.seccomp_flags, "the container"))
    return [
        identity.SessionKeyring(),
        process_steps.NewSession(),
        *([process_steps.Terminal("/dev/pts/ptmx", console=False)] if process_.terminal else []),
        identity.ResolveUser(process_.user, process_.groups),
        process_steps.Stdio(stdio, init=False),
        process_steps.Umask(confined.umask),
        rootfs_steps.Workdir(process_.cwd),
        *(
            [identity.Rlimits({RLIMITS[name]: rlimits[name] for name in rlimits})]
            if rlimits
            else []
        ),
        *(seccomp if not confined.no_new_privileges else []),
        identity.DropBounding(confined.capabilities),
        identity.BecomeUser(may_set_groups=confined.may_set_groups),
        identity.Capabilities(confined.capabilities, dumpable=False),
        identity.DieWithLauncher(),
        *([identity.NoNewPrivileges(), *seccomp] if confined.no_new_privileges else []),
        process_steps.Exec(process_.args, process_.env),
    ]


def _enter(
    target: int, pidfd: int, confined: Confinement, steps: list[Step], entry: Entry
) -> tuple[int, Channel]:
    """Both processes; the second one's pid, and the channel to it. Raises LaunchError."""
    ours, theirs = pair()
    mask = signals.block(signals.EVERY)
    try:
        helper, helper_fd = namespaces.clone(0, cgroup_fd=entry.unified)
        if helper == 0:
            ours.close()
            _be_helper(target, pidfd, confined, steps, entry, channel=theirs)
        os.close(helper_fd)
    except OSError as error:
        ours.close()
        raise LaunchError(f"clone failed: {error.strerror}") from error
    finally:
        signals.set_mask(mask)
        theirs.close()
    message = ours.receive()
    os.waitpid(helper, 0)
    if message is None or message[0] != _ENTERED:
        ours.close()
        if message is None:
            raise LaunchError("entering the container failed: the entering process was killed")
        raise from_child(*message[1:5])
    return int(message[1]), ours


def _be_helper(
    target: int,
    pidfd: int,
    confined: Confinement,
    steps: list[Step],
    entry: Entry,
    *,
    channel: Channel,
) -> NoReturn:
    """The first process, from its clone to its end."""
    first.run([_Enter(target, pidfd, confined, steps, entry)], channel, Prepared())


class _Enter(Step):
    """Enter everything that the container is made of, and clone the second process there."""

    name = "exec.enter"
    __slots__ = ("_confined", "_entry", "_pidfd", "_steps", "_target")

    def __init__(
        self, target: int, pidfd: int, confined: Confinement, steps: list[Step], entry: Entry
    ) -> None:
        self._target = target
        self._pidfd = pidfd
        self._confined = confined
        self._steps = steps
        self._entry = entry

    def describe(self) -> str:
        return "enter the container's cgroups, namespaces and root"

    def run(self, child: Child) -> None:
        prctl.set_dumpable(False)
        root = -1
        if self._confined.chrooted:
            path = f"/proc/{self._target}/root"
            root = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._entry.enter()
        flags = _differing(self._target)
        if flags:
            namespaces.enter(self._target, self._pidfd, flags)
            prctl.set_dumpable(False)  # the change of user namespace may have set it anew
        if root >= 0:
            os.fchdir(root)
            os.chroot(".")
        os.chdir("/")
        pid, _pidfd = namespaces.clone(namespaces.CLONE_PARENT)
        if pid:
            child.channel.send(_ENTERED, pid)
            os._exit(0)
        if flags & namespaces.CLONE_NEWUSER:
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
        prctl.set_dumpable(False)
        first.run([_Inside(), *self._steps], child.channel, child.prepared)


class _Inside(Step):
    """The root that further paths are resolved in: the container's, by now."""

    name = "exec.root"
    __slots__ = ()

    def describe(self) -> str:
        return "open the root directory"

    def run(self, child: Child) -> None:
        child.root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _differing(target: int) -> int:
    """The flags of the namespaces that a process has and we haven't."""
    flags = 0
    for view, file in namespaces.FILES.items():
        theirs = namespaces.identity(target, file)
        if theirs is not None and theirs != namespaces.identity("self", file):
            flags |= namespaces.FLAGS[view]
    return flags


def _until_executed(channel: Channel, context: ExecContext) -> None:
    """The channel reads as closed once the program is executed."""
    while (message := channel.receive()) is not None:
        if message[0] == first.FAILED:
            raise from_child(*message[1:5])
        if message[0] == first.CONSOLE:
            if context.on_console is None:
                os.close(message[1])
            else:
                context.on_console(message[1])
