"""Probes of communication: whether what the host shares among its processes is found inside."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from isolate.probe.inside import ipc
from isolate.probe.judge import found_token, judged
from isolate.probe.model import InsideProbe, Outcome, Planted

if TYPE_CHECKING:
    from isolate.probe.model import Answer, Scene

_IPC = "isolate.probe.inside.ipc"


class SharedMemory(InsideProbe):
    """Read the token in a System V shared memory segment."""

    meaning = "The program reads and changes shared memory of the host's programs."
    remedy = "Give it IPC of its own: the view ipc."
    feature = "view.ipc"
    attempt = f"{_IPC}:read_segment"

    def plant(self, scene: Scene) -> Planted:
        key = secrets.randbelow(2**31 - 1) + 1  # 0 is IPC_PRIVATE
        scene.cleanup(ipc.remove_segment, ipc.make_segment(key, scene.token))
        return Planted(key=key)

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        return found_token(scene, answer, "attach the host's shared memory segment")


class Posix(InsideProbe):
    """Read the token in a POSIX message queue or in shared memory below /dev/shm."""

    meaning = "The program reads messages and shared memory of the host's programs."
    remedy = "Give it IPC and a /dev/shm of its own: the view ipc, and a root of its own."
    feature = "view.ipc"
    attempt = f"{_IPC}:read_posix"

    def plant(self, scene: Scene) -> Planted:
        name = f"isolate-probe-{secrets.token_hex(8)}"
        ipc.make_queue(name, scene.token)
        scene.cleanup(ipc.remove_queue, name)
        shared = Path("/dev/shm", name)  # noqa: S108 - where shm_open(3) looks; the name is random
        if shared.parent.is_dir():
            scene.cleanup(shared.unlink, True)  # noqa: FBT003 - missing_ok
            shared.write_text(scene.token, encoding="ascii")
            shared.chmod(0o644)
        return Planted(queue=name, shared=name)

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        return found_token(scene, answer, "open the host's message queue, or its /dev/shm")


class Abstract(InsideProbe):
    """Send to an abstract socket of the host's; the host looks whether it came."""

    meaning = "The program talks to services of the host's by abstract sockets (CVE-2020-15257)."
    remedy = "Give it a network of its own (--network=none): abstract sockets belong to it."
    feature = "view.network"
    attempt = f"{_IPC}:send_abstract"

    def plant(self, scene: Scene) -> Planted:
        name = f"isolate-probe-{secrets.token_hex(8)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        scene.cleanup(self._socket.close)
        self._socket.bind(b"\0" + name.encode())
        return Planted(name=name)

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        try:
            came = bool(self._socket.recv(64))
        except BlockingIOError:
            came = False
        seen = f"the host's socket got {'the datagram' if came else 'nothing'}"
        return judged(answer, "send to an abstract socket", reached=came, seen=seen)


class Keyring(InsideProbe):
    """Find the host's token key and read it (keyctl(2))."""

    meaning = "The program reads keys that the host's users keep in the kernel."
    remedy = "Filter keyctl(2); keep user namespaces on (--userns=private)."
    attempt = f"{_IPC}:read_key"

    def plant(self, scene: Scene) -> Planted:
        description = f"isolate-probe-{secrets.token_hex(8)}"
        key = ipc.make_key(description, scene.token)
        scene.cleanup(ipc.remove_key, key)
        return Planted(key=key, description=description)

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        return found_token(scene, answer, "find and read the host's key")
