"""User namespaces without a container: to act in as other ids, or to have for their maps."""

from __future__ import annotations

import os

from isolate.linux import idmap, namespaces, signals
from isolate.native.channel import pair

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from isolate.linux.idmap import Range
    from isolate.native.channel import Channel


class Holder:
    """A user namespace with these maps, for as long as the `with` block lasts; its value is the
    pid of the process that holds it.

    Only root may choose such maps. Mounts that were id-mapped with it keep its maps. Raises
    OSError.
    """

    def __init__(self, uids: Sequence[Range], gids: Sequence[Range]) -> None:
        self._maps = (uids, gids)
        self._pid = 0
        self._channel: Channel | None = None

    def __enter__(self) -> int:
        ours, theirs = pair()
        mask = signals.block(signals.EVERY)
        try:
            self._pid, pidfd = namespaces.clone(namespaces.CLONE_NEWUSER)
            if self._pid == 0:
                ours.close()
                _hold(theirs)
        finally:
            signals.set_mask(mask)
            theirs.close()
        os.close(pidfd)
        self._channel = ours
        try:
            idmap.write_maps(self._pid, *self._maps)
        except OSError:
            self.__exit__()
            raise
        return self._pid

    def __exit__(self, *_exception: object) -> None:
        if self._channel is not None:
            self._channel.close()
            os.waitpid(self._pid, 0)


def _hold(channel: Channel) -> NoReturn:
    """Live until the other end is closed, which the death of its process does too."""
    try:
        channel.receive()
    finally:
        os._exit(0)


def call(action: Callable[[], None]) -> bool:
    """Run `action` in a child as root of all subordinate ids; False where this user has none.

    Raises OSError where it fails.
    """
    maps = idmap.subordinate_maps()
    if maps is None:
        return False
    ours, theirs = pair()
    pid, pidfd = namespaces.clone(namespaces.CLONE_NEWUSER)
    if pid == 0:
        ours.close()
        _act(action, theirs)
    theirs.close()
    os.close(pidfd)
    try:
        idmap.write_with_helpers(pid, *maps)
        ours.send("mapped")
        message = ours.receive()
    finally:
        ours.close()
        os.waitpid(pid, 0)
    if message is not None:
        raise OSError(*message)
    return True


def _act(action: Callable[[], None], channel: Channel) -> NoReturn:
    try:
        if channel.receive() is not None:
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
            action()
    except OSError as error:
        channel.send(error.errno or 0, str(error.strerror), str(error.filename or ""))
    finally:
        os._exit(0)
