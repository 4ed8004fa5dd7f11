"""A short errand in a forked child: for what a process may not do to itself, such as setns(2)."""

from __future__ import annotations

import os

from isolate.linux import namespaces, prctl, signals
from isolate.native.channel import pair

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from isolate.native.channel import Channel


def run(action: Callable[[], None]) -> None:
    """Run `action` in a child, which dies with this process, and wait for it.

    Raises OSError where it raised one, and ChildProcessError where it died.
    """
    ours, theirs = pair()
    mask = signals.block(signals.EVERY)
    try:
        pid, pidfd = namespaces.clone(0)
        if pid == 0:
            ours.close()
            _act(action, theirs)
    finally:
        signals.set_mask(mask)
        theirs.close()
    os.close(pidfd)
    try:
        message = ours.receive()
    finally:
        ours.close()
        _pid, status = os.waitpid(pid, 0)
    if message is not None:
        raise OSError(*message)
    if status != 0:
        raise ChildProcessError(0, f"a helper process died (wait status {status})")


def _act(action: Callable[[], None], channel: Channel) -> NoReturn:
    status = 1
    try:
        prctl.set_pdeathsig(signals.SIGKILL)
        if not channel.is_closed():  # else the parent died before the call above
            action()
        status = 0
    except OSError as error:
        channel.send(error.errno or 0, str(error.strerror), str(error.filename or ""))
    finally:
        os._exit(status)
