"""The hooks as typed methods; pluggy is imported only where a plugin listens."""

from __future__ import annotations

import os

from isolate.hookspecs import GROUP, OBSERVERS
from isolate.plugins.scan import entry_points

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from isolate.backend.types import ExitStatus, Handle, Usage
    from isolate.plugins.registry import Registry
    from isolate.plugins.relay import Relay
    from isolate.spec.model import Spec


def warn(message: str) -> None:
    """One warning line on standard error."""
    try:
        os.write(2, f"warning: {message}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        return  # closed or full: then nobody reads warnings


class Hooks:
    """All plugins' hooks. No method raises: what a plugin raises becomes a warning line.

    Args:
        warn: takes each warning, one printable line.
    """

    def __init__(self, warn: Callable[[str], None] = warn) -> None:
        self._warn = warn
        self._relays: dict[str, Relay] = {}

    def register_probes(self, registry: Registry) -> None:
        """Let the plugins fill `registry` with probes."""
        self._call(GROUP, "isolate_register_probes", registry=registry)

    def register_metrics(self, registry: Registry) -> None:
        """Let the plugins fill `registry` with metrics."""
        self._call(GROUP, "isolate_register_metrics", registry=registry)

    def container_created(self, container: Handle, spec: Spec) -> None:
        """Tell the observers that a container is made, its program not begun."""
        self._call(OBSERVERS, "isolate_container_created", container=container, spec=spec)

    def container_started(self, container: Handle) -> None:
        """Tell the observers that a container's program has been executed."""
        self._call(OBSERVERS, "isolate_container_started", container=container)

    def container_stopped(self, container: Handle, status: ExitStatus, usage: Usage) -> None:
        """Tell the observers that a container's program has ended, and how."""
        self._call(
            OBSERVERS, "isolate_container_stopped", container=container, status=status, usage=usage
        )

    def container_deleted(self, container_id: str) -> None:
        """Tell the observers that a container is gone."""
        self._call(OBSERVERS, "isolate_container_deleted", container_id=container_id)

    def _call(self, group: str, hook: str, **arguments: object) -> None:
        if group not in self._relays:
            points = entry_points(group)
            if not points:
                return
            from isolate.plugins.relay import Relay

            self._relays[group] = Relay(points, self._warn)
        self._relays[group].call(hook, arguments)
