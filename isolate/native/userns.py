"""An action inside a user namespace of one's own subordinate ids: to reach files of those ids."""

from __future__ import annotations

import os

from isolate.linux import idmap, namespaces
from isolate.native.channel import pair

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from isolate.native.channel import Channel


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
