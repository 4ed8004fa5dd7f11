"""The last steps: session, terminal, standard streams, the barrier, and execve(2)."""

from __future__ import annotations

import errno
import os

from isolate.linux import descriptors, detached, prctl, resolve, signals, terminal
from isolate.native import child as first
from isolate.native import init
from isolate.native.step import Step, StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from isolate.native.step import Child

START = "process.start"  # the prepared descriptor of the start fifo
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class NewSession(Step):
    """A session of its own: the caller's terminal is not the program's (TIOCSTI)."""

    name = "process.session"

    def describe(self) -> str:
        return "start a new session, without a controlling terminal"

    def run(self, child: Child) -> None:
        os.setsid()


class Terminal(Step):
    """A terminal from the container's own devpts; its master goes to the launcher."""

    name = "process.terminal"
    __slots__ = ("_console", "_ptmx")

    def __init__(self, ptmx: str, *, console: bool) -> None:
        self._ptmx = ptmx
        self._console = console

    def describe(self) -> str:
        return "open a terminal of the container's own devpts and send its master to the launcher"

    def run(self, child: Child) -> None:
        where = resolve.open_in_root(child.root, self._ptmx, os.O_PATH)
        master, peer = terminal.open_pair(f"/proc/self/fd/{where}")
        os.close(where)
        if self._console:
            self._bind_console(child, peer)
        child.channel.send(first.CONSOLE, descriptor=master)
        os.close(master)
        child.terminal = peer

    @staticmethod
    def _bind_console(child: Child, peer: int) -> None:
        """By descriptor on both sides: neither end can be redirected (CVE-2025-52565)."""
        where = resolve.make_target(child.root, "/dev/console", directory=False)
        console = detached.clone_tree("", at=peer)
        detached.attach(console, where)
        os.close(console)
        os.close(where)


class Stdio(Step):
    """Put the program's standard streams in place; close every other descriptor at execve."""

    name = "process.stdio"
    __slots__ = ("_init", "_stdio")

    def __init__(self, stdio: tuple[int, int, int], *, init: bool) -> None:
        self._stdio = stdio
        self._init = init

    def describe(self) -> str:
        return "put the standard streams in place and mark every other descriptor close-on-exec"

    def run(self, child: Child) -> None:
        stdio = self._stdio
        if child.terminal >= 0:
            if not self._init:
                terminal.make_controlling(child.terminal)
            os.fchown(child.terminal, child.user, -1)
            stdio = (child.terminal, child.terminal, child.terminal)
        descriptors.move_to_stdio(stdio)
        descriptors.cloexec_from(3)


class Umask(Step):
    """umask(2)."""

    name = "process.umask"
    __slots__ = ("_umask",)

    def __init__(self, umask: int) -> None:
        self._umask = umask

    def describe(self) -> str:
        return f"set the umask to {self._umask:04o}"

    def run(self, child: Child) -> None:
        os.umask(self._umask)


class Barrier(Step):
    """Stand ready, confined as the program will be, until the container is started."""

    name = "process.barrier"

    def describe(self) -> str:
        return "wait to be started"

    def run(self, child: Child) -> None:
        child.channel.send(first.READY)
        os.read(child.prepared[START], 1)


class Init(Step):
    """Stay as pid 1 that reaps orphans and passes signals on; a child becomes the program."""

    name = "process.init"

    def describe(self) -> str:
        return "fork: the child goes on to become the program, this process stays as its init"

    def run(self, child: Child) -> None:
        executed, write_end = os.pipe()
        program = os.fork()
        if program:
            prctl.set_dumpable(False)
            os.close(write_end)
            init.stay(program, child, executed)
        os.close(executed)
        if child.terminal >= 0:  # job control needs the program to lead the terminal's session
            os.setsid()
            terminal.make_controlling(0)


class Exec(Step):
    """Become the program."""

    name = first.EXEC
    __slots__ = ("_args", "_env")

    def __init__(self, args: tuple[str, ...], env: Mapping[str, str]) -> None:
        self._args = args
        self._env = env

    def describe(self) -> str:
        return f"execute {' '.join(self._args)}"

    def run(self, child: Child) -> None:
        if not self._args:
            raise StepError("no program is given")
        env = {"PATH": DEFAULT_PATH, "HOME": child.home, **self._env}
        if child.terminal >= 0:
            env.setdefault("TERM", "xterm")
        signals.reset_all()
        execute(self._args, env)


def execute(args: tuple[str, ...], env: Mapping[str, str]) -> None:
    """execve(2) of the first file that PATH leads to. Raises OSError with the program's name."""
    program = args[0]
    failure = errno.ENOENT
    for path in _candidates(program, env["PATH"]):
        try:
            os.execve(path, args, env)
        except OSError as error:
            # As execvp(3): go on after what isn't there, remember what may not be executed.
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                failure = error.errno or errno.EACCES
                if failure != errno.EACCES:
                    break
    raise OSError(failure, os.strerror(failure), program)


def _candidates(program: str, path: str) -> list[str]:
    if "/" in program:
        return [program]
    return [f"{directory or '.'}/{program}" for directory in path.split(":")] if program else []
