"""A plugin that takes a name which another has."""

from __future__ import annotations

from isolate_test_good import Good

from isolate.hookspecs import hookimpl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.plugins import Registry


class Duplicate(Good):
    """Would be `chroot`, if it could."""

    name = "chroot"


@hookimpl
def isolate_register_backends(registry: Registry) -> None:
    registry.add("chroot", Duplicate)
