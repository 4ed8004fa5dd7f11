"""Steps that only jails have: names, addresses, bound files, no mount table, Landlock."""

from __future__ import annotations

import os
import time

from isolate.linux import address, landlock, mount, prctl, resolve, signals, terminal, uts
from isolate.linux.title import set_title
from isolate.native import child as first
from isolate.native import init, process_steps
from isolate.native.step import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from isolate.native.step import Child

_PAUSE = 0.01  # seconds between looks at a command of exec.stop
_SAFE = mount.MOUNT_ATTR_NOSUID | mount.MOUNT_ATTR_NODEV | mount.MOUNT_ATTR_NOEXEC


class Domainname(Step):
    """setdomainname(2) in the jail's own UTS namespace."""

    name = "domainname"
    __slots__ = ("_domainname",)

    def __init__(self, domainname: str) -> None:
        self._domainname = domainname

    def describe(self) -> str:
        return f"set the domain name to {self._domainname}"

    def run(self, child: Child) -> None:
        uts.setdomainname(self._domainname)


class Addresses(Step):
    """The jail's addresses on the loopback of a network namespace of its own."""

    name = "network.addresses"
    __slots__ = ("_addresses",)

    def __init__(self, addresses: Sequence[bytes]) -> None:
        self._addresses = addresses

    def describe(self) -> str:
        import _socket

        families = {4: _socket.AF_INET, 16: _socket.AF_INET6}
        texts = [_socket.inet_ntop(families[len(each)], each) for each in self._addresses]
        return f"add {', '.join(texts)} to the loopback of the jail's own network namespace"

    def run(self, child: Child) -> None:
        for packed in self._addresses:
            address.add_address("lo", packed, 8 * len(packed))


class BoundFile(Step):
    """A small read-only file of our own content over one of the root's."""

    __slots__ = ("_content", "_target")

    def __init__(self, target: str, content: bytes) -> None:
        self._target = target
        self._content = content

    @property
    def name(self) -> str:
        return f"file.{self._target}"

    def describe(self) -> str:
        return f"bind a file of {len(self._content)} bytes at {self._target}"

    def run(self, child: Child) -> None:
        holder = mount.new_filesystem("tmpfs", _SAFE, mode="0755", nr_inodes="2", size="4096")
        made = os.open("file", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444, dir_fd=holder)
        os.write(made, self._content)
        os.close(made)
        cover = mount.open_tree_clone("file", at=holder)
        mount.mount_setattr("", at=cover, set_attributes=mount.MOUNT_ATTR_RDONLY | _SAFE)
        where = resolve.make_target(child.root, self._target, directory=False)
        mount.move_mount(cover, "", at=where)
        for descriptor in (holder, cover, where):
            os.close(descriptor)


class HideMountTable(Step):
    """Make the root a copy of the tree that no mount namespace has.

    The kernel shows of a mount table what can be reached from the reader's root
    (fs/proc_namespace.c), and from there nothing of this namespace can.
    """

    name = "root.hide_mounts"

    def describe(self) -> str:
        return "make a detached copy of the tree the root, so that the mount table reads empty"

    def run(self, child: Child) -> None:
        tree = mount.open_tree_clone("/", recursive=True)
        os.fchdir(tree)
        os.chroot(".")
        os.chdir("/")
        os.close(tree)


class Landlock(Step):
    """The second fence: even with a hole in the first, these rights hold."""

    name = "landlock"
    __slots__ = ("_files", "_net", "_ports", "_restrict_files", "_scope")

    def __init__(
        self,
        files: Sequence[tuple[str, int]],
        *,
        restrict_files: bool,
        net: int,
        ports: range | None,
        scope: int = landlock.SCOPE_ALL,
    ) -> None:
        self._scope = scope
        self._files = files
        self._restrict_files = restrict_files
        self._net = net
        self._ports = ports

    def describe(self) -> str:
        parts = ["abstract sockets and signals to the jail"]
        if self._restrict_files:
            below = ", ".join(path for path, _access in self._files)
            parts.append(f"files to {below}, without device nodes or mounts")
        if self._net:
            allowed = f"ports {self._ports[0]} and up" if self._ports else "nothing"
            parts.append(f"TCP to {allowed}")
        return f"restrict by Landlock: {'; '.join(parts)}"

    def run(self, child: Child) -> None:
        fs = landlock.FS_ALL if self._restrict_files else 0
        if not (fs or self._net or self._scope):
            return
        with landlock.Ruleset(fs=fs, net=self._net, scope=self._scope) as ruleset:
            for path, access in self._files if fs else ():
                self._allow(ruleset, path, access)
            if self._ports is not None:
                ruleset.allow_ports((0, *self._ports), landlock.NET_BIND_TCP)
            # What the program isn't allowed is its own affair, not the audit log's.
            ruleset.restrict_self(landlock.LOG_SAME_EXEC_OFF)

    @staticmethod
    def _allow(ruleset: landlock.Ruleset, path: str, access: int) -> None:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            ruleset.allow_beneath(descriptor, access)
        finally:
            os.close(descriptor)


class Hold(Step):
    """Stay as pid 1: past the program's end with `persist`; run exec.stop before the jail ends.

    Without a program there is nothing but this process, which needs no file of the jail's.
    """

    name = "process.hold"
    __slots__ = ("_deadline", "_persist", "_program", "_stop")

    def __init__(
        self, *, program: bool, persist: bool, stop: Sequence[str] = (), deadline: int = 0
    ) -> None:
        self._program = program
        self._persist = persist
        self._stop = tuple(stop)
        self._deadline = deadline

    def describe(self) -> str:
        until = "it is removed" if self._persist else "the program ends"
        last = f", then run {'; '.join(self._stop)}" if self._stop else ""
        if not self._program:
            return f"hold the jail until {until}{last}"
        return (
            f"fork: the child becomes the program, this process holds the jail until {until}{last}"
        )

    def run(self, child: Child) -> None:
        executed, write_end = os.pipe()
        program = os.fork() if self._program else -1
        if program:
            prctl.set_dumpable(False)
            os.close(write_end)
            self._hold(child, program, executed)
        os.close(executed)
        if child.terminal >= 0:
            os.setsid()
            terminal.make_controlling(0)

    def _hold(self, child: Child, program: int, executed: int) -> NoReturn:
        set_title("jail")
        os.read(executed, 1)
        init.keep_only(child.channel.fileno(), streams=bool(self._stop))
        child.channel.send(first.EXEC)
        wanted = signals.set_of(signals.SIGCHLD, *signals.ENDING)
        signals.block(wanted)
        status = self._wait(program, wanted)
        for command in self._stop:
            self._run(command, wanted)
        child.channel.send(first.ENDED, status)
        os._exit(128 + (status & 0x7F) if status & 0x7F else status >> 8 & 0xFF)

    def _wait(self, program: int, wanted: bytes) -> int:
        """Until the program has ended, or a signal that ends programs comes: its wait status."""
        while True:
            number = signals.wait_for(wanted)
            if number != signals.SIGCHLD:
                return 0
            status = _reap(program)
            if status is not None and not self._persist:
                return status

    def _run(self, command: str, wanted: bytes) -> None:
        """One command of exec.stop, confined as all else here."""
        made = os.fork()
        if made == 0:
            try:
                signals.reset_all()
                os.execve(
                    "/bin/sh", ["/bin/sh", "-c", command], {"PATH": process_steps.DEFAULT_PATH}
                )
            finally:
                os._exit(127)
        ends = time.monotonic() + self._deadline if self._deadline else None
        while _reap(made) is None:
            if ends is not None and time.monotonic() > ends:
                os.kill(made, signals.SIGKILL)
            time.sleep(_PAUSE)


def _reap(awaited: int) -> int | None:
    """Reap all that have ended; the wait status of one of them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == awaited:
            found = status
