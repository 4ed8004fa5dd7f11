"""Attempts on the network: to reach a listener outside, to see links, to open raw sockets."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE = 2  # seconds for an answer
_SIOCGIFADDR = 0x8915  # netdevice(7)
_AF_VSOCK = 40


def say(host: str, port: int, token: str) -> str:
    """Say the token to a listener, by TCP."""
    with socket.create_connection((host, port), _PATIENCE) as made:
        made.sendall(token.encode())
    return "connected"


def say_anyhow(host: str, port: int, token: str) -> str:
    """Say it by TCP, and by UDP. Raises the error of TCP where that failed."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with made, contextlib.suppress(OSError):  # TCP's error says as much
        made.sendto(token.encode(), (host, port))
    return say(host, port, token)


def links() -> list[str]:
    """The addresses of the network cards that are seen here."""
    found = []
    for name in os.listdir("/sys/class/net") if os.path.isdir("/sys/class/net") else []:
        try:
            with open(f"/sys/class/net/{name}/address") as file:
                found.append(file.read().strip())
        except OSError:
            continue
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            found.append(_hardware_address(asking, name))
    return sorted({address for address in found if address.strip("0:")})


def _hardware_address(asking: socket.socket, name: str) -> str:
    siocgifhwaddr = 0x8927
    try:
        row = fcntl.ioctl(asking, siocgifhwaddr, struct.pack("256s", name.encode()))
    except OSError:
        return ""
    return ":".join(f"{byte:02x}" for byte in row[18:24])


def open_raw() -> Iterator[list[str]]:
    """Hold a packet and a raw socket. Raises the last error where none can be opened."""
    yield from _hold(
        [
            ("packet", socket.AF_PACKET, socket.SOCK_RAW, 0),
            ("raw", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
            ("raw6", socket.AF_INET6, socket.SOCK_RAW, 58),
        ]
    )


def open_vsock() -> Iterator[list[str]]:
    """Hold a socket of the family that leads from a guest to its hypervisor."""
    yield from _hold([("vsock", _AF_VSOCK, socket.SOCK_STREAM, 0)])


def _hold(kinds: list[tuple[str, int, int, int]]) -> Iterator[list[str]]:
    opened, refusal = {}, OSError(errno.EPERM, "refused")
    for name, family, kind, protocol in kinds:
        try:
            opened[name] = socket.socket(family, kind, protocol)
        except OSError as error:
            refusal = error
    if not opened:
        raise refusal
    yield sorted(opened)


def serve(token: str) -> Iterator[dict[str, object]]:
    """Say the token to everybody who connects; yields where."""
    listener = socket.create_server(("0.0.0.0", 0))  # noqa: S104 - it is to be reached
    abstract = socket.socket(socket.AF_UNIX)
    name = f"isolate-{os.urandom(8).hex()}"
    abstract.bind(f"\0{name}")
    abstract.listen()
    for each in (listener, abstract):
        threading.Thread(target=_greet, args=(each, token), daemon=True).start()
    yield {"port": listener.getsockname()[1], "addresses": _addresses(), "abstract": name}


def _greet(listener: socket.socket, token: str) -> None:
    while True:
        made, _ = listener.accept()
        with made:
            made.sendall(token.encode())


def _addresses() -> list[str]:
    found = ["127.0.0.1"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                row = fcntl.ioctl(asking, _SIOCGIFADDR, struct.pack("256s", name.encode()))
            except OSError:
                continue
            found.append(socket.inet_ntoa(row[20:24]))
    return sorted(set(found))


def ask(port: int, addresses: list[str], abstract: str) -> str:
    """What a listener says, at the first of its places that can be reached."""
    refusal = OSError(errno.ENETUNREACH, "none of them can be reached")
    places: list[tuple[int, tuple[str, int] | str]] = [
        (socket.AF_INET, (host, port)) for host in addresses
    ]
    for family, place in [*places, (socket.AF_UNIX, f"\0{abstract}")]:
        with socket.socket(family) as made:
            made.settimeout(_PATIENCE)
            try:
                made.connect(place)
                return made.recv(256).decode(errors="replace")
            except OSError as error:
                refusal = error
    raise refusal


def connect_path(path: str, token: str) -> str:
    """Say the token to the listener of a Unix socket in the file system."""
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(_PATIENCE)
        made.connect(path)
        made.sendall(token.encode())
    return "connected"
