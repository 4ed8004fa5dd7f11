"""The launcher's half of a launch: sources opened before the clone, maps written after it."""

from __future__ import annotations

import os

from isolate.errors import HostError
from isolate.linux import detached
from isolate.native import limits, maps
from isolate.native.mount_steps import Bind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from isolate.backend.types import Context
    from isolate.native.channel import Channel
    from isolate.native.prepared import Prepared
    from isolate.native.roots import PreparedRoot
    from isolate.native.step import Step
    from isolate.spec.model import Spec

MAPPED = "mapped"  # the word by which the child learns that this half is done


def open_binds(steps: Sequence[Step], prepared: Prepared) -> None:
    """Root opens the sources of volumes itself: the container's root may not reach them."""
    if os.geteuid() != 0:
        return
    for step in steps:
        if isinstance(step, Bind):
            try:
                if detached.native():
                    prepared[step.name] = step.open()
                else:  # it is opened where it will be mounted; see `staging`
                    os.stat(step.source)
            except OSError as error:
                raise HostError(
                    f"{step.source} can't be shown in the container: {error.strerror}",
                    hint="the source of a volume must exist on the host",
                ) from None


class LauncherHalf:
    """The launcher's half of a launch, while the child runs its own."""

    def __init__(
        self,
        spec: Spec,
        context: Context,
        asked: maps.Maps | None,
        root: PreparedRoot,
        steps: Sequence[Step],
    ) -> None:
        self._spec = spec
        self._context = context
        self._maps = asked
        self._root = root
        self._binds = [step for step in steps if isinstance(step, Bind)]

    def do(self, pid: int, channel: Channel) -> None:
        """Maps first: until they are written the child can create nothing."""
        limits.record_process(self._context, pid)
        self._context.checkpoint("cloned")
        if self._spec.process.oom_score_adj is not None:
            limits.write_oom_score_adj(pid, self._spec.process.oom_score_adj)
        if self._maps is not None:
            maps.write(self._maps, pid)
            self._context.checkpoint("mapped")
        self._root.configure(pid, self._maps.uids if self._maps else None, self._binds)
        self._root.hand_over(pid, channel, self._binds)
        self._context.checkpoint("configured")
        channel.send(MAPPED)
