"""Steps that settle who the program is and what it may do: ids, capabilities, filters, names."""

from __future__ import annotations

import errno
import os
import time

from isolate.linux import capabilities, keyring, namespaces, net, prctl, signals
from isolate.linux.seccomp import load
from isolate.native import accounts
from isolate.native.step import Step, StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.native.step import Child
    from isolate.spec.model import Rlimit


PREPARED = "prepared"  # the word with which the launcher sends one more descriptor, and its name


class WaitFor(Step):
    """Wait until the launcher has done its half: the user map is written, the cgroup joined."""

    __slots__ = ("_what", "_word")

    def __init__(self, word: str, what: str) -> None:
        self._word = word
        self._what = what

    @property
    def name(self) -> str:
        return f"wait.{self._word}"

    def describe(self) -> str:
        return f"wait until {self._what}"

    def run(self, child: Child) -> None:
        message = child.channel.receive()
        while message is not None and message[0] == PREPARED:
            child.prepared[message[1]] = message[2]
            message = child.channel.receive()
        if message is None or message[0] != self._word:
            raise StepError("the launcher is gone")


class DieWithLauncher(Step):
    """A killed launcher leaves no program behind; prctl(2) PR_SET_PDEATHSIG.

    The kernel clears the setting when ids or capabilities change, so this follows them.
    """

    name = "process.die_with_launcher"

    def describe(self) -> str:
        return "be killed when the launcher dies"

    def run(self, child: Child) -> None:
        prctl.set_pdeathsig(signals.SIGKILL)
        if child.channel.is_closed():  # it died before the call above: no signal will come
            raise StepError("the launcher is gone")


class RootInside(Step):
    """Take the ids 0 of the new user namespace; until then nothing can be created."""

    name = "users.root"

    def describe(self) -> str:
        return "become user 0 and group 0 of the user namespace"

    def run(self, child: Child) -> None:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        # The change made us undumpable, and with that /proc/self the host root's. Nobody else is
        # inside yet; the step that sets the capabilities closes this again.
        prctl.set_dumpable(True)


class Hostname(Step):
    """sethostname(2) in the container's own UTS namespace."""

    name = "hostname"
    __slots__ = ("_hostname",)

    def __init__(self, hostname: str) -> None:
        self._hostname = hostname

    def describe(self) -> str:
        return f"set the host name to {self._hostname}"

    def run(self, child: Child) -> None:
        import _socket

        _socket.sethostname(self._hostname)


class Loopback(Step):
    """The network namespace's loopback, which is born down."""

    name = "network.loopback"

    def describe(self) -> str:
        return "set the loopback interface up"

    def run(self, child: Child) -> None:
        net.set_up("lo")


class TimeNamespace(Step):
    """Clocks that began with the container: the host's uptime isn't told."""

    name = "time.offsets"

    def describe(self) -> str:
        return "enter a time namespace whose monotonic and boot clocks begin now"

    def run(self, child: Child) -> None:
        namespaces.enter_new_time(
            -int(time.clock_gettime(time.CLOCK_BOOTTIME)),
            -int(time.clock_gettime(time.CLOCK_MONOTONIC)),
        )


class CgroupNamespace(Step):
    """Seen from inside, the container's cgroup is the root: so it is entered after joining."""

    name = "cgroups.unshare"

    def describe(self) -> str:
        return "enter a cgroup namespace rooted at the container's own cgroup"

    def run(self, child: Child) -> None:
        namespaces.unshare(namespaces.CLONE_NEWCGROUP)


class SessionKeyring(Step):
    """The kernel's keyrings aren't namespaced: leave the caller's session keyring."""

    name = "process.keyring"

    def describe(self) -> str:
        return "join a new session keyring"

    def run(self, child: Child) -> None:
        keyring.join_new_session_keyring()


class Rlimits(Step):
    """setrlimit(2)."""

    name = "process.rlimits"
    __slots__ = ("_limits", "_set")

    def __init__(self, limits: dict[int, Rlimit]) -> None:
        import resource  # now: once inside the root nothing can be imported any more

        self._limits = limits
        self._set = resource.setrlimit

    def describe(self) -> str:
        return "set " + ", ".join(
            f"rlimit {number} to {limit.soft}:{limit.hard}"
            for number, limit in self._limits.items()
        )

    def run(self, child: Child) -> None:
        for number, limit in self._limits.items():
            try:
                self._set(number, (limit.soft, limit.hard))
            except ValueError as error:
                raise StepError(
                    f"rlimit {number} can't be raised to {limit.hard} without CAP_SYS_RESOURCE"
                ) from error


class ResolveUser(Step):
    """Look the user up in the root's own /etc/passwd, read inside the root and strictly."""

    name = "process.resolve_user"
    __slots__ = ("_groups", "_user")

    def __init__(self, user: str | None, groups: tuple[int, ...]) -> None:
        self._user = user
        self._groups = groups

    def describe(self) -> str:
        return f"resolve the user {self._user or '0:0'} by the root's own /etc/passwd"

    def run(self, child: Child) -> None:
        account = accounts.resolve(child.root, self._user)
        child.user, child.group = account.uid, account.gid
        child.groups = self._groups or account.groups
        child.home = account.home


class DropBounding(Step):
    """No execve(2) can bring back what is outside the bounding set; capabilities(7)."""

    name = "capabilities.bounding"
    __slots__ = ("_mask",)

    def __init__(self, mask: int) -> None:
        self._mask = mask

    def describe(self) -> str:
        names = ", ".join(capabilities.to_names(self._mask)) or "nothing"
        return f"drop from the capability bounding set all but {names}"

    def run(self, child: Child) -> None:
        capabilities.before_setuid(self._mask)


class BecomeUser(Step):
    """setgroups, setresgid, setresuid, in this order."""

    name = "process.user"
    __slots__ = ("_may_set_groups",)

    def __init__(self, *, may_set_groups: bool) -> None:
        self._may_set_groups = may_set_groups

    def describe(self) -> str:
        return "drop all supplementary groups and become the program's user"

    def run(self, child: Child) -> None:
        if self._may_set_groups:
            os.setgroups(child.groups)
        elif child.groups:
            raise StepError("supplementary groups need more than a single-id user map")
        try:
            os.setresgid(child.group, child.group, child.group)
            os.setresuid(child.user, child.user, child.user)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            whom = f"{child.user}:{child.group}"
            raise StepError(f"{whom} is not in the container's user map") from None


class Capabilities(Step):
    """Effective and permitted as chosen, inheritable and ambient empty (CVE-2022-29162).

    A user other than root keeps none over execve(2), as with runc. `dumpable` lets an unprivileged
    launcher read the receipt of what is its own user's process; where another process is inside
    already it must be false, or that could trace what is not yet the program (CVE-2016-9962).
    """

    name = "capabilities"
    __slots__ = ("_dumpable", "_mask")

    def __init__(self, mask: int, *, dumpable: bool) -> None:
        self._mask = mask
        self._dumpable = dumpable

    def describe(self) -> str:
        return "set effective and permitted capabilities to the bounding set, clear the others"

    def run(self, child: Child) -> None:
        capabilities.after_setuid(self._mask)
        prctl.set_dumpable(self._dumpable)


class NoNewPrivileges(Step):
    """prctl(2) PR_SET_NO_NEW_PRIVS."""

    name = "privileges.no_new_privileges"

    def describe(self) -> str:
        return "set no_new_privs: execve(2) never gives more rights"

    def run(self, child: Child) -> None:
        prctl.set_no_new_privs()


class Seccomp(Step):
    """Load the compiled filter; seccomp(2)."""

    name = "privileges.seccomp"
    __slots__ = ("_flags", "_program", "_what")

    def __init__(self, program: bytes, flags: int, what: str) -> None:
        self._program = program
        self._flags = flags
        self._what = what

    def describe(self) -> str:
        return f"load the seccomp filter of {self._what}"

    def run(self, child: Child) -> None:
        load.load(self._program, self._flags)
