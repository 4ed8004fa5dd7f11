"""The contracts of the views: each is compared with the host's, and looked through from inside."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
from typing import TYPE_CHECKING, ClassVar

from isolate.linux import idmap, sysv
from isolate.linux.namespaces import FILES
from isolate.testing import processes
from isolate.testing.features.base import FeatureContract, compares
from isolate.testing.hold import hold, nothing, same

if TYPE_CHECKING:
    from isolate.testing.lab import Document, Lab

_SLEEPERS = 3


class _View(FeatureContract):
    view: ClassVar[str]

    def ask(self, lab: Lab) -> Document:
        return {"isolate": [self.view]}

    def prove(self, lab: Lab) -> None:
        if compares(lab):
            self._compare(lab)
        self.look(lab)

    def _compare(self, lab: Lab) -> None:
        path = f"/proc/self/ns/{FILES[self.view]}"
        inside = lab.ask(f"emit(link({path!r}))", self.ask(lab))
        hold(inside != os.readlink(path), f"{path} inside is the host's own: {inside}")

    def look(self, lab: Lab) -> None:
        """What must not be seen from inside."""


class Mounts(_View):
    """The mount table."""

    feature = "view.mounts"
    view = "mounts"

    def look(self, lab: Lab) -> None:
        # The first five fields: ids, device, root and mount point identify a mount for good.
        inside = lab.ask("emit((read('/proc/self/mountinfo') or '').splitlines())", self.ask(lab))
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            outside = {tuple(line.split()[:3]) for line in file}
        shared = [line for line in inside if tuple(line.split()[:3]) in outside]
        if compares(lab):
            nothing(shared, "mounts of the host are mounts inside")


class Pids(_View):
    """The processes."""

    feature = "view.pids"
    view = "pids"

    def look(self, lab: Lab) -> None:
        secret = f"61.{secrets.randbelow(10**9):09d}"
        sleepers = [subprocess.Popen(["sleep", secret]) for _ in range(_SLEEPERS)]
        try:
            killable, shown = lab.ask(
                "import glob\n"
                "killable = [pid for pid in given[0] if attempt(os.kill, pid, 0) != 3]\n"
                "lines = [read(path) or '' for path in glob.glob('/proc/[0-9]*/cmdline')]\n"
                "emit([killable, [line for line in lines if line.startswith('sleep')]])",
                self.ask(lab),
                given=[[sleeper.pid for sleeper in sleepers]],
            )
        finally:
            for sleeper in sleepers:
                sleeper.kill()
                sleeper.wait()
        hold(not any(secret in line for line in shown), "a process of the host stands in /proc")
        # By chance one of the numbers may be a process inside, but not all of them.
        hold(len(killable) < _SLEEPERS, "signals reach the host's processes")


class Network(_View):
    """The network: interfaces, ports, abstract sockets."""

    feature = "view.network"
    view = "network"

    def look(self, lab: Lab) -> None:
        nothing(reached(lab, self.ask(lab)), "sockets of the host are reached from inside")


def reached(lab: Lab, document: Document) -> list[str]:
    """Which sockets of the host a program inside can connect to: `port`, `abstract`."""
    name = f"\0{lab.token}-{secrets.token_hex(4)}"
    with (
        socket.create_server(("127.0.0.1", 0)) as port,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as abstract,
    ):
        abstract.bind(name)
        abstract.listen()
        found: list[str] = lab.ask(
            "import socket\n"
            "def connect(family, address):\n"
            "    with socket.socket(family, socket.SOCK_STREAM) as one:\n"
            "        one.settimeout(2)\n"
            "        one.connect(address)\n"
            "emit([name for name, family, address in (\n"
            "    ('port', socket.AF_INET, ('127.0.0.1', given[0])),\n"
            "    ('abstract', socket.AF_UNIX, given[1]),\n"
            ") if not attempt(connect, family, address)])",
            document,
            given=[port.getsockname()[1], name],
        )
    return found


class Ipc(_View):
    """System V shared memory."""

    feature = "view.ipc"
    view = "ipc"

    def look(self, lab: Lab) -> None:
        key = secrets.randbelow(2**30) + 1
        number = sysv.make_segment(key, 4096)
        try:
            text = lab.ask("emit(read('/proc/sysvipc/shm') or '')", self.ask(lab))
        finally:
            sysv.remove_segment(number)
        keys = [int(line.split()[0]) for line in text.splitlines()[1:]]
        hold(key not in keys, "a segment of the host's shared memory is there inside")


class Hostname(_View):
    """The host name: nothing done inside changes the host's."""

    feature = "view.hostname"
    view = "hostname"

    def look(self, lab: Lab) -> None:
        before = os.uname().nodename
        lab.ask("emit(os.uname().nodename)", self.ask(lab))
        same(os.uname().nodename, before, "the host's name after a run")


class Users(_View):
    """The users: root inside is not root outside."""

    feature = "view.users"
    view = "users"

    def look(self, lab: Lab) -> None:
        live = lab.start(
            lab.script("emit([os.getuid(), read('/proc/self/uid_map')])\ntime.sleep(60)"),
            self.ask(lab),
        )
        inside, uid_map = live.emitted()
        same(inside, 0, "the user inside")
        owners = {processes.status_field(pid, "Uid") for pid in live.pids()}
        roots = [owner for owner in owners if owner and "0" in owner.split()]
        nothing(roots, "the program runs as the host's root")
        if compares(lab) and uid_map:
            outside = idmap.outside(idmap.parse(uid_map), 0)
            hold(outside != 0, "root inside is mapped to root outside")


class Cgroups(_View):
    """The cgroup tree: it begins at the container's own."""

    feature = "view.cgroups"
    view = "cgroups"

    def look(self, lab: Lab) -> None:
        text = lab.ask("emit(read('/proc/self/cgroup') or '')", self.ask(lab))
        paths = [line.split(":", 2)[2] for line in text.splitlines()]
        nothing([path for path in paths if path != "/"], "cgroups seen from above the container")


class Time(_View):
    """The clocks."""

    feature = "view.time"
    view = "time"


CONTRACTS = (Mounts, Pids, Network, Ipc, Hostname, Users, Cgroups, Time)
