"""Registers the bubblewrap backend, as any third party's plugin registers its own."""

from __future__ import annotations

from isolate.hookspecs import hookimpl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.plugins.registry import Registry


@hookimpl
def isolate_register_backends(registry: Registry) -> None:
    """Register `bubblewrap`; its class is imported when it is chosen."""
    registry.add("bubblewrap", "isolate_bubblewrap.backend:BubblewrapBackend")
