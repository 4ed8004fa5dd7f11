"""Probes of devices: whether the host's can be opened, and its terminal typed into."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import subprocess
import sys
import tty
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from isolate.probe import bundle
from isolate.probe.conversation import answers
from isolate.probe.judge import judged
from isolate.probe.model import InsideProbe, Outcome, Planted, Probe

if TYPE_CHECKING:
    from isolate.probe.model import Answer, Scene

_DEVICES = "isolate.probe.inside.devices"
_REMEDY = "Keep user namespaces on (--userns=private); drop CAP_MKNOD, or restrict devices."


class Disk(InsideProbe):
    """Open a block device of the host's, by a node that is there or made; nothing is read."""

    meaning = "The program reads and overwrites the host's disks, past every file permission."
    remedy = _REMEDY
    attempt = f"{_DEVICES}:open_devices"

    def plant(self, scene: Scene) -> Planted:
        return Planted(devices=[[stat.S_IFBLK, *disk] for disk in _disks()], place=scene.directory)

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        return judged(answer, "open the host's block devices", reached=bool(answer.value))


def _disks() -> list[tuple[int, int]]:
    """The numbers of the block devices, of many alike the first; not of drives that spin up."""
    found: dict[int, tuple[int, int]] = {}
    for path in sorted(Path("/sys/block").glob("*")):
        major, _, minor = (path / "dev").read_text(encoding="ascii").strip().partition(":")
        if not path.name.startswith(("sr", "fd")):
            found.setdefault(int(major), (int(major), int(minor)))
    return list(found.values())


class Nodes(InsideProbe):
    """Open the host's devices for machines, networks and file systems."""

    meaning = "The program drives devices of the host's: virtual machines, networks, disks."
    remedy = _REMEDY
    attempt = f"{_DEVICES}:open_devices"
    wanted: ClassVar[list[str]] = (
        "kvm fuse tun loop-control vhost-net vhost-vsock device-mapper".split()
    )

    def plant(self, scene: Scene) -> Planted:
        # Only what is registered: opening another one might load its module.
        text = Path("/proc/misc").read_text(encoding="ascii")
        self._names = {f"c 10:{row[0]}": row[1] for row in map(str.split, text.splitlines())}
        devices = [
            [stat.S_IFCHR, *map(int, number[2:].split(":"))]
            for number, name in self._names.items()
            if name in self.wanted
        ]
        return Planted(devices=devices, place=scene.directory)

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        names = ", ".join(self._names.get(str(number), "?") for number in answer.value or ())
        return judged(
            answer,
            "open /dev/kvm, fuse, net/tun, loop-control, vhost-net",
            reached=bool(answer.value),
            seen=f"opened: {names}" if names else "",
        )


# Makes standard output the terminal of a new session, then executes the rest of its words.
_IN_SESSION = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(1, termios.TIOCSCTTY, 0); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
_PATIENCE = 60.0  # seconds


class Tiocsti(Probe):
    """Push bytes into the input of the terminal that isolate was started from."""

    meaning = "The program types commands into the shell that started it."
    remedy = "Give it a terminal of its own (--tty) and keep the system call filter on."
    attempt = f"{_DEVICES}:type_into_terminal"

    def observe(self, scene: Scene) -> Outcome:
        master, slave = os.openpty()
        scene.cleanup(os.close, master)
        scene.cleanup(os.close, slave)
        tty.setraw(slave)
        mark = secrets.token_hex(8)
        asked = bundle.plan(
            [{"call": self.attempt, "arguments": {"text": scene.token}, "seconds": 5}], mark
        )
        words = self._run(scene, slave, asked)
        typed = _waiting(slave).decode(errors="replace")
        given = answers(_waiting(master), mark)
        if not given:
            return Outcome.failure(f"no answer from inside: {words}")
        seen = f"{'the token came' if scene.token in typed else 'nothing came'} from the terminal"
        return judged(given[0], "TIOCSTI", reached=scene.token in typed, seen=seen)

    def _run(self, scene: Scene, terminal: int, asked: bytes) -> str:
        """Run the attempt with a terminal as its standard output; isolate's words."""
        argv = [*scene.subject.python(), "-c", bundle.driver()]
        prefix = [sys.executable, "-I", "-S", "-c", _IN_SESSION]
        with scene.subject.launch(argv, prefix=prefix, stdout=terminal) as running:
            try:
                _, said = running.communicate(asked, _PATIENCE)
            except subprocess.TimeoutExpired:
                return "it didn't end in time"
            return said.decode(errors="replace")[-300:]


def _waiting(descriptor: int) -> bytes:
    """What can be read at once."""
    os.set_blocking(descriptor, False)
    data = b""
    with contextlib.suppress(OSError):
        while part := os.read(descriptor, 65536):
            data += part
    return data
