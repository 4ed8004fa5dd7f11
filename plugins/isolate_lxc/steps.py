"""What is done around lxc-start: a mount namespace in which it finds its files and leaves none.

LXC enters the root and volumes by path, as the container's root, to whom the state directory
(mode 0700) is closed. And it leaves lock files below /run. So in a mount namespace of its own an
empty filesystem covers /run, and what is prepared is attached there. All of it ends with LXC.
"""

from __future__ import annotations

import os
import stat
import time

from isolate.linux import descriptors, mount, namespaces, prctl, resolve, signals, terminal
from isolate.linux.seccomp import load
from isolate.native.mount_steps import open_device
from isolate.native.step import Step, StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from isolate.native.step import Child

STAGE = "/run"
FILES = f"{STAGE}/isolate"  # where LXC finds what was prepared
DIRECTORY = "lxc.directory"  # the prepared copy of the container's directory
ROOT = "root"
PLACE = "place"  # where LXC attaches the root before it enters it


class Stage(Step):
    """Cover /run, and attach there what was prepared."""

    name = "view.stage"
    __slots__ = ("_places",)

    def __init__(self, places: Sequence[tuple[str, str]]) -> None:
        """`places`: pairs of a prepared mount's name and its name below FILES."""
        self._places = places

    def describe(self) -> str:
        names = ", ".join(name for _prepared, name in self._places)
        return f"cover {STAGE}, for LXC only, and attach there: {names}"

    def run(self, child: Child) -> None:
        cover = mount.new_filesystem("tmpfs", mount.MOUNT_ATTR_NOSUID, mode="0755", size="1m")
        mount.move_mount(cover, STAGE)
        os.close(cover)
        os.umask(0o022)
        for name in (FILES, f"{FILES}/{PLACE}"):
            os.mkdir(name, 0o755)
        for prepared, name in self._places:
            _attach(child.prepared[prepared], f"{FILES}/{name}")


def _attach(made: int, target: str) -> None:
    if stat.S_ISDIR(os.fstat(made).st_mode):
        os.mkdir(target, 0o755)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    mount.move_mount(made, target)


class CoverSockets(Step):
    """Hide sockets of the root below the null device, as LXC can't: it opens what it covers."""

    name = "view.sockets"
    __slots__ = ("_paths", "_root")

    def __init__(self, root: str, paths: Sequence[str]) -> None:
        """`root` is the prepared root's name; `paths` lie in it, and hold no links."""
        self._root = root
        self._paths = paths

    def describe(self) -> str:
        return f"hide {', '.join(self._paths)}"

    def run(self, child: Child) -> None:
        for path in self._paths:
            where = resolve.open_in_root(child.prepared[self._root], path, os.O_PATH)
            cover = open_device("/dev/null", os.makedev(1, 3))
            mount.move_mount(cover, "", at=where)
            os.close(cover)
            os.close(where)


class OwnTime(Step):
    """Clocks that begin with the container. LXC's own key takes no offset into the past, so LXC
    itself is in the time namespace, and the container stays in it."""

    name = "time.offsets"

    def describe(self) -> str:
        return "enter a time namespace whose monotonic and boot clocks begin now"

    def run(self, child: Child) -> None:
        namespaces.enter_new_time(
            -int(time.clock_gettime(time.CLOCK_BOOTTIME)),
            -int(time.clock_gettime(time.CLOCK_MONOTONIC)),
        )


class Guard(Step):
    """Close the foreign system call ABIs, to which LXC's filter always gives the native's rules."""

    name = "seccomp.abi"
    __slots__ = ("_program",)

    def __init__(self, program: bytes) -> None:
        self._program = program

    def describe(self) -> str:
        return "load a filter that closes foreign system call ABIs, before that of LXC"

    def run(self, child: Child) -> None:
        load.load(self._program)


class Become(Step):
    """Execute lxc-start with the program's streams, its umask, and nothing else of ours."""

    name = "lxc-start"
    __slots__ = ("_argv", "_attached", "_peer", "_stdio", "_umask")

    def __init__(
        self,
        argv: Sequence[str],
        stdio: tuple[int, int, int],
        *,
        umask: int,
        attached: bool,
        peer: int = -1,
    ) -> None:
        """`peer` is a terminal that LXC is to relay the container's console to."""
        self._argv = list(argv)
        self._stdio = stdio
        self._umask = umask
        self._attached = attached
        self._peer = peer

    def describe(self) -> str:
        return " ".join(self._argv)

    def run(self, child: Child) -> None:
        os.setsid()
        if self._peer >= 0:
            terminal.make_controlling(self._peer)
        descriptors.move_to_stdio(self._stdio if self._peer < 0 else (self._peer,) * 3)
        descriptors.cloexec_from(3)
        signals.reset_all()
        if self._attached:
            prctl.set_pdeathsig(signals.SIGKILL)
            if child.channel.is_closed():
                raise StepError("the launcher is gone")
        os.umask(self._umask)
        # A PATH without newuidmap(1): where LXC finds it, root may map only its subuid(5) ranges.
        os.execve(self._argv[0], self._argv, {"PATH": FILES, "LANG": "C.UTF-8"})
