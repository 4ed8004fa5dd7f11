"""Verbs that plugins add to the command line, found by their entry points; see hookspecs."""

from __future__ import annotations

from isolate.errors import PluginError
from isolate.hookspecs import COMMANDS
from isolate.plugins.contain import contained
from isolate.plugins.registry import find
from isolate.plugins.scan import entry_points
from isolate.spec.record import quoted, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def names() -> list[str]:
    """The verbs, each once. Imports nothing."""
    return list(dict.fromkeys(point.name for point in entry_points(COMMANDS)))


def load(name: str) -> Callable[..., Any]:
    """The function behind a verb.

    Raises PluginError: several distributions have it, or it is broken.
    """
    points = [point for point in entry_points(COMMANDS) if point.name == name]
    if not points:
        raise PluginError(f"there is no command {quoted(name)}")
    owners = [shown(point.distribution.name) for point in points]
    if len(points) > 1:
        raise PluginError(
            f"the command {shown(name)} is added by {' and by '.join(owners)}",
            hint="uninstall one of them",
        )
    who = f"command {shown(name)} of {owners[0]}"
    function = contained(who, "can't be imported", lambda: find(points[0].value))
    if not callable(function):
        raise PluginError(f"{who}: {quoted(points[0].value)} is no function")
    made: Callable[..., Any] = function
    return made
