"""Probes of the network: whether the program reaches what listens outside, or sees raw packets."""

from __future__ import annotations

import os
import select
import socket
from typing import TYPE_CHECKING, ClassVar

from isolate.linux.address import add_address, remove_address
from isolate.probe import outside
from isolate.probe.conversation import converse
from isolate.probe.inside import network
from isolate.probe.judge import found_token, judged
from isolate.probe.model import InsideProbe, LiveProbe, Outcome, Planted

if TYPE_CHECKING:
    from isolate.probe.conversation import Inside
    from isolate.probe.model import Answer, Scene

_NETWORK = "isolate.probe.inside.network"
_PRIVATE = "Give it a network of its own: --network=none, or a backend with view.network."


class Listener(InsideProbe):
    """Reach a listener of the host's: the host tells whether the token arrived."""

    family: ClassVar[int] = socket.AF_INET

    def listen(self, scene: Scene, place: tuple[str, int] | str) -> socket.socket:
        """A listener, closed with the scene. What connects waits in its queue for `confirm`."""
        self.listener = socket.socket(self.family)
        scene.cleanup(self.listener.close)
        self.listener.bind(place)
        self.listener.listen()
        return self.listener

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        heard = scene.token.encode() in self.heard()
        seen = f"the host heard {'the token' if heard else 'nothing'}"
        if heard:
            return Outcome(reached=True, evidence=f"{self.tried}: {seen}")
        return judged(answer, self.tried, reached=False, seen=seen)

    def heard(self) -> bytes:
        """What those who connected have said."""
        said = b""
        while select.select([self.listener], [], [], 0)[0]:
            made, _ = self.listener.accept()
            with made:
                made.settimeout(1)
                said += made.recv(256)
        return said

    @property
    def tried(self) -> str:
        """The attempt, in words."""
        return "connect to {}:{}".format(*self.listener.getsockname())


class Loopback(Listener):
    """Reach a listener on the host's 127.0.0.1."""

    meaning = "The program reaches services that listen on the host's 127.0.0.1 for local use only."
    remedy = _PRIVATE
    feature = "view.network"
    attempt = f"{_NETWORK}:say"

    def plant(self, scene: Scene) -> Planted:
        host, port = self.listen(scene, ("127.0.0.1", 0)).getsockname()
        return Planted(host=host, port=port, token=scene.token)


class Interfaces(InsideProbe):
    """See the host's network cards."""

    meaning = "The program sees the host's network cards and their traffic counters."
    remedy = _PRIVATE
    feature = "view.network"
    attempt = f"{_NETWORK}:links"

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        shared = set(answer.value or ()) & set(network.links())
        return judged(
            answer,
            "hardware addresses of links",
            reached=bool(shared),
            seen=f"{len(shared)} of them are the host's",
        )


class _Socket(LiveProbe):
    """Open sockets: the host tells of which protocols they are."""

    attempt: ClassVar[str]
    protocols: ClassVar[frozenset[str]]

    def look(self, scene: Scene, inside: Inside) -> Outcome:
        with inside.hold(self.attempt) as answer:
            held = set(outside.protocols(inside.processes())) & self.protocols
        seen = f"the host sees {', '.join(sorted(held)) or 'none'} of its sockets"
        return judged(answer, f"open {self.what} sockets", reached=bool(held), seen=seen)

    what: ClassVar[str]


class Raw(_Socket):
    """Open raw and packet sockets."""

    meaning = "The program may forge packets and read all those of its network."
    remedy = "Drop CAP_NET_RAW: --cap-drop=NET_RAW; ping works without it."
    attempt = f"{_NETWORK}:open_raw"
    protocols = frozenset({"RAW", "RAWv6", "PACKET"})
    what = "raw and packet"


class Vsock(_Socket):
    """Open a socket of the family vsock."""

    meaning = "The program may talk to the host's hypervisor or to guests, past every network rule."
    remedy = "Keep a system call filter that refuses the family: --seccomp=default."
    feature = "privileges.seccomp"
    attempt = f"{_NETWORK}:open_vsock"
    protocols = frozenset({"AF_VSOCK"})
    what = "vsock"


class Peer(LiveProbe):
    """Reach a listener in another container of the same kind."""

    meaning = "Containers reach one another's services, and so a stranger's."
    remedy = _PRIVATE
    feature = "view.network"

    def look(self, scene: Scene, inside: Inside) -> Outcome:
        with (
            converse(scene) as sibling,
            sibling.hold(f"{_NETWORK}:serve", seconds=20, token=scene.token) as there,
        ):
            if there.value is None:
                return Outcome.unclear(f"listen in another container: {there}")
            answer = inside.call(f"{_NETWORK}:ask", seconds=15, **there.value)
        return found_token(scene, answer, f"ask port {there.value['port']} of another container")


class Metadata(Listener):
    """Reach a link-local address, as those of a cloud's metadata services are."""

    meaning = (
        "The program reaches the cloud's metadata service, and with it the host's credentials."
    )
    remedy = _PRIVATE
    attempt = f"{_NETWORK}:say"
    feature = "view.network"

    def plant(self, scene: Scene) -> Planted:
        # Never 169.254.169.254 itself: the host may need it in this very moment.
        packed = bytes((169, 254, 100 + os.urandom(1)[0] % 50, 1 + os.urandom(1)[0] % 250))
        add_address("lo", packed, 32)
        scene.cleanup(remove_address, "lo", packed, 32)
        host, port = self.listen(scene, (socket.inet_ntoa(packed), 0)).getsockname()
        return Planted(host=host, port=port, token=scene.token)


class Egress(Listener):
    """Reach an address of the host's own on its network, with the network denied."""

    meaning = "The program sends data out although it was to have no network."
    remedy = "Use a backend that promises network.none."
    feature = "network.none"
    attempt = f"{_NETWORK}:say_anyhow"

    def plant(self, scene: Scene) -> Planted:
        host, port = self.listen(scene, (_own_address(), 0)).getsockname()
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        scene.cleanup(self._datagrams.close)
        self._datagrams.bind((host, port))
        overlay = {"network": {"mode": "none"}}
        return Planted(overlay, host=host, port=port, token=scene.token)

    def heard(self) -> bytes:
        said = super().heard()
        while select.select([self._datagrams], [], [], 0)[0]:
            said += self._datagrams.recv(256)
        return said


def _own_address() -> str:
    """The host's address towards the world. Raises OSError where it has no way there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("192.0.2.1", 9))  # a test network (RFC 5737): nothing is sent
        return str(asking.getsockname()[0])
