"""The one user of pluggy: plugins in, untyped calls out, each plugin contained by itself.

pluggy's own loading stops at the first broken plugin, and its calls at the first exception; so
both are done here for one plugin at a time.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pluggy

from isolate import hookspecs
from isolate.errors import PluginError
from isolate.plugins.contain import contained
from isolate.plugins.registry import find
from isolate.spec.record import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from isolate.plugins.scan import EntryPoint


class Relay:
    """Some entry points' plugins, and calls to their hooks."""

    def __init__(self, points: Iterable[EntryPoint], warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        for point in points:
            self._guarded(_who(point), "can't be registered", partial(self._add, point))

    def call(self, hook: str, arguments: dict[str, object]) -> None:
        """Call a hook in every plugin that has it, in pluggy's order."""
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            values = [arguments[name] for name in implementation.argnames]
            self._guarded(
                implementation.plugin_name,
                hook,
                partial(implementation.function, *values),
            )

    def _add(self, point: EntryPoint) -> None:
        plugin = find(point.value)
        if self._manager.is_registered(plugin):
            return  # two entry points may name one module
        name = self._manager.register(plugin, _who(point))
        try:
            self._refuse_strange(plugin)
        except PluginError:
            self._manager.unregister(name=name)
            raise

    def _refuse_strange(self, plugin: Any) -> None:
        for caller in self._manager.get_hookcallers(plugin) or ():
            own = [one for one in caller.get_hookimpls() if one.plugin is plugin]
            if any(one.wrapper or one.hookwrapper for one in own):
                raise PluginError(f"{shown(caller.name)} is a wrapper: a hook here can't veto")
            if caller.spec is None and not all(one.optionalhook for one in own):
                raise PluginError(f"{shown(caller.name)} is no hook of this version of isolate")

    def _guarded(self, who: str, doing: str, call: Callable[[], object]) -> None:
        try:
            contained(who, doing, call)
        except PluginError as error:
            self._warn(error.message)


def _who(point: EntryPoint) -> str:
    return f"plugin {shown(point.name)} of {shown(point.distribution.name)}"
