"""Registers the runc and crun backends, as any third party's plugin registers its own."""

from __future__ import annotations

from isolate.hookspecs import hookimpl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.plugins.registry import Registry


@hookimpl
def isolate_register_backends(registry: Registry) -> None:
    """Register `runc` and `crun`, one class; it is imported when one is chosen."""
    registry.add("runc", "isolate_runc.backend:RuncBackend")
    registry.add("crun", "isolate_runc.backend:CrunBackend")
