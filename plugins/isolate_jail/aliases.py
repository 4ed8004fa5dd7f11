"""A jail's addresses as aliases of the host's interfaces, as long as the jail is there.

Each bears isolate's mark in the kernel, so what was there before is never taken away.
"""

from __future__ import annotations

import errno

from isolate.errors import HostError, SpecError, StateError
from isolate.linux import address
from isolate_jail.kinds import split_address
from isolate_jail.parameters import FAMILIES, PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from isolate.state import Journal
    from isolate_jail.parameters import Jail


class Alias:
    """An address, packed and as text, for an interface."""

    __slots__ = ("interface", "packed", "prefix", "text")

    def __init__(self, interface: str, text: str, packed: bytes, prefix: int) -> None:
        self.interface = interface
        self.text = text
        self.packed = packed
        self.prefix = prefix


def of(jail: Jail) -> Iterator[Alias]:
    """Those that have an interface: by `interface`, or `interface|address` of their own.

    Without a length of its own an address is alone on its network, as with jail(8).
    """
    import _socket

    for family, number in FAMILIES.items():
        for given in jail[f"{family}.addr"]:
            interface, text, prefix = split_address(given)
            interface = interface or jail["interface"] or ""
            if interface:
                packed = _socket.inet_pton(number, text)
                yield Alias(interface, text, packed, int(prefix or 8 * len(packed)))


def add(jail: Jail, journal: Journal) -> None:
    """Give the interfaces the addresses that they haven't yet.

    Raises HostError, StateError; what was added before is in the journal.
    """
    for alias in of(jail):
        there = _there(alias)
        if there == address.PROTOCOL:
            raise StateError(
                f"{alias.text} on {alias.interface} is another jail's",
                hint="give each jail an address of its own, or leave the interface out",
            )
        if there is None:
            journal.record("address", interface=alias.interface, address=alias.text)
            _add(alias)


def remove(jail: Jail) -> None:
    """Take them back. Raises HostError."""
    for alias in of(jail):
        try:
            address.delete_own_address(alias.interface, alias.packed)
        except OSError as error:
            raise _failed(alias, error) from None


def _there(alias: Alias) -> int | None:
    try:
        return address.address_protocol(alias.interface, alias.packed)
    except OSError as error:
        if error.errno == errno.ENODEV:
            raise SpecError(
                f"{PATH}.interface", f"there is no {alias.interface}", hint="`ip link` lists them"
            ) from None
        raise _failed(alias, error) from None


def _add(alias: Alias) -> None:
    try:
        address.add_own_address(alias.interface, alias.packed, alias.prefix)
    except OSError as error:
        raise _failed(alias, error) from None


def _failed(alias: Alias, error: OSError) -> HostError:
    if error.errno == errno.EOPNOTSUPP:
        why = "the kernel doesn't mark addresses, so it couldn't be taken back for sure"
        return HostError(
            f"{alias.text} on {alias.interface}: {why}", hint="use Linux 5.18 or later"
        )
    return HostError(
        f"{alias.text} on {alias.interface}: {error.strerror}", hint="addresses need root"
    )
