"""A plugin whose backend lacks methods."""

from __future__ import annotations

from isolate.backend import Backend
from isolate.hookspecs import hookimpl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.plugins import Registry


class Incomplete(Backend):
    """Has a name and no more."""

    api_version = 1
    name = "incomplete"
    summary = "for the tests"


@hookimpl
def isolate_register_backends(registry: Registry) -> None:
    registry.add("incomplete", Incomplete)
