"""Sockets held to addresses by their cgroup: what binds, what connects, from where it is sent."""

from __future__ import annotations

import errno
import json
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from isolate.linux import cgroup
from isolate.linux.cgroup import addresses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.needs("root", "cgroup2")

OWN, SECOND = "127.0.0.77", "127.0.0.78"


@pytest.fixture
def group() -> Iterator[cgroup.Group]:
    name = f"{cgroup.PREFIX}test-{os.urandom(4).hex()}"
    made = cgroup.Group(cgroup.Group.paths(cgroup.discover(), name, ["freezer"]))
    made.create()
    yield made
    made.kill()
    made.remove()


def directory(group: cgroup.Group) -> str:
    assert group.unified is not None
    return group.unified


def inside(group: cgroup.Group, function: Callable[[], Any]) -> Any:
    """What the function returns (JSON) in a child that is in the group."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with open(f"{directory(group)}/cgroup.procs", "w") as procs:
                procs.write("0")
            os.write(write_end, json.dumps(function()).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    return json.loads(data)


def bound(address: str, family: int = socket.AF_INET) -> str:
    with socket.socket(family) as made:
        try:
            made.bind((address, 0))
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        return str(made.getsockname()[0])


def peer_of(server: socket.socket) -> str:
    with socket.socket() as client:
        try:
            client.connect(server.getsockname())
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        return str(client.getsockname()[0])


def pack(*texts: str) -> list[bytes]:
    return [socket.inet_pton(socket.AF_INET6 if ":" in t else socket.AF_INET, t) for t in texts]


def test_only_the_own_addresses_can_be_bound(group: cgroup.Group) -> None:
    addresses.restrict(directory(group), pack(OWN, SECOND))
    asked = (OWN, SECOND, "0.0.0.0", "127.0.0.1", "127.0.0.79")  # noqa: S104 - to see what it means
    found = inside(group, lambda: [bound(address) for address in asked])
    # Loopback means the own address; here these are loopback themselves.
    assert found == [OWN, OWN, OWN, OWN, OWN]
    addresses_outside = [bound(address) for address in asked]
    assert addresses_outside == list(asked)


def test_another_address_of_the_host_is_refused(group: cgroup.Group) -> None:
    """By an address that isn't loopback: 192.0.2.0/24 is for documents (RFC 5737)."""
    addresses.restrict(directory(group), pack("192.0.2.1"))

    def attempt() -> str:
        with socket.socket() as made:
            made.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND: needn't be there
            try:
                made.bind(("192.0.2.2", 0))
            except OSError as error:
                return errno.errorcode[error.errno or 0]
            return str(made.getsockname())

    assert inside(group, attempt) == "EPERM"


def test_what_connects_comes_from_the_own_address(group: cgroup.Group) -> None:
    addresses.restrict(directory(group), pack(OWN))
    with socket.create_server((OWN, 0)) as mine, socket.create_server(("127.0.0.9", 0)) as other:
        assert inside(group, lambda: peer_of(mine)) == OWN
        # The other is loopback: that means the own address, where nobody listens.
        assert inside(group, lambda: peer_of(other)) == "ECONNREFUSED"
        assert peer_of(other) != OWN


def test_datagrams_come_from_the_own_address(group: cgroup.Group) -> None:
    addresses.restrict(directory(group), pack(OWN))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((OWN, 0))
        server.settimeout(5)

        def send() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(b"x", server.getsockname())

        inside(group, send)
        assert server.recvfrom(8)[1][0] == OWN


def test_a_family_without_an_address_is_refused(group: cgroup.Group) -> None:
    addresses.restrict(directory(group), pack(OWN))
    assert inside(group, lambda: bound("::", socket.AF_INET6)) == "EPERM"
    with socket.create_server((OWN, 0)) as server:
        port = server.getsockname()[1]

        def mapped() -> str:
            with socket.socket(socket.AF_INET6) as client:
                try:
                    client.connect((f"::ffff:{OWN}", port))
                except OSError as error:
                    return errno.errorcode[error.errno or 0]
                return "connected"

        assert inside(group, mapped) == "EPERM"


def test_ipv6_has_the_same_rules(group: cgroup.Group) -> None:
    addresses.restrict(directory(group), pack("::1"))
    found = inside(group, lambda: [bound("::", socket.AF_INET6), bound("::1", socket.AF_INET6)])
    assert found == ["::1", "::1"]
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:

        def connected() -> str:
            with socket.socket(socket.AF_INET6) as client:
                client.connect(server.getsockname())
                return str(client.getsockname()[0])

        assert inside(group, connected) == "::1"


def test_a_mark_is_on_every_socket(group: cgroup.Group) -> None:
    addresses.mark(directory(group), 7)

    def marked() -> int:
        with socket.socket() as made:
            return made.getsockopt(socket.SOL_SOCKET, 36)  # SO_MARK

    assert inside(group, marked) == 7
    assert marked() == 0


def test_what_is_attached_is_read_back(group: cgroup.Group) -> None:
    assert not addresses.restricted(directory(group))
    addresses.restrict(directory(group), pack(OWN))
    assert addresses.restricted(directory(group))
    assert addresses.obstacle(directory(group)) is None
