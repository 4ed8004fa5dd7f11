"""A plugin made for another version of the plugin interface."""

from __future__ import annotations

from isolate_test_good import Good

from isolate.hookspecs import hookimpl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.plugins import Registry


class Future(Good):
    """Written for an isolate that isn't there yet."""

    name = "future"
    api_version = 99


@hookimpl
def isolate_register_backends(registry: Registry) -> None:
    registry.add("future", "isolate_test_future:Future")
