"""A plugin whose backend has a bug in its check."""

from __future__ import annotations

from isolate_test_good import Good

from isolate.hookspecs import hookimpl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.backend import Problem
    from isolate.plugins import Registry


class Raising(Good):
    """Divides by zero."""

    name = "raising"

    def check(self) -> list[Problem]:
        raise ZeroDivisionError("a bug of the plugin")


@hookimpl
def isolate_register_backends(registry: Registry) -> None:
    registry.add("raising", Raising)
