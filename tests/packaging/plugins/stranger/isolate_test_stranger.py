"""A plugin that registers what is no backend."""

from __future__ import annotations

from isolate.hookspecs import hookimpl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.plugins import Registry


class Stranger:
    """Knows nothing of isolate."""


@hookimpl
def isolate_register_backends(registry: Registry) -> None:
    registry.add("stranger", Stranger)
