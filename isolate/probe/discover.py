"""The probes of all plugins, by their ids; a broken one is named and left out."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from isolate.errors import IsolateError, PluginError
from isolate.plugins import Registry
from isolate.plugins.contain import contained
from isolate.plugins.hooks import Hooks, warn
from isolate.probe import bundle
from isolate.probe.model import InsideProbe, Probe
from isolate.spec.record import quoted, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from isolate.plugins.registry import Registration

_WORDS = 300  # characters of a line
_ID = re.compile(r"[a-z0-9_-]+\.[a-z0-9_.-]+")


class Found:
    """A probe that can be used.

    Attributes:
        probe: its class.
        summary: the line that lists have of it.
        attempt: what it does, in the first paragraph of its class's docstring.
    """

    __slots__ = ("attempt", "probe", "summary")

    def __init__(self, probe: type[Probe], summary: str) -> None:
        self.probe = probe
        self.summary = shown(summary, _WORDS)
        paragraph = (probe.__doc__ or "").strip().partition("\n\n")[0]
        self.attempt = shown(" ".join(paragraph.split()), _WORDS)


class _FirstStands(Registry):
    """A registry in which nobody takes another's name, or ends another's registration by it."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        super().__init__()
        self._warn = warn

    def add(self, name: str, target: str | type, *, summary: str = "") -> None:
        if self.get(name) is None:
            super().add(name, target, summary=summary)
        else:
            self._warn(f"probe {shown(name)} is registered twice: the first one stands")


def discover(warn: Callable[[str], None] = warn) -> dict[str, Found]:
    """Every probe that is registered and sound, in the order of registration.

    Args:
        warn: is told of each broken one, in one printable line.
    """
    registry = _FirstStands(warn)
    Hooks(warn).register_probes(registry)
    found = {}
    for name in registry:
        registration = registry.get(name)
        if registration is None:
            continue
        try:
            found[name] = contained(
                f"probe {shown(name)}", "is broken", partial(_checked, name, registration)
            )
        except PluginError as error:
            warn(error.message)
    return found


def chosen(found: dict[str, Found], only: str | None) -> dict[str, type[Probe]]:
    """The classes of all, of a group, or of the one whose id is given. Raises IsolateError."""
    classes = {
        name: row.probe
        for name, row in found.items()
        if only is None or name == only or name.startswith(f"{only}.")
    }
    if not classes:
        groups = dict.fromkeys(name.partition(".")[0] for name in found)
        raise IsolateError(
            f"there is no probe {quoted(only)}",
            hint=f"a whole id as in fs.direct, or a group: {', '.join(groups)}",
        )
    return classes


def _checked(name: str, registration: Registration) -> Found:
    """The class, once it is known to have what a report says of it. Runs the plugin's code."""
    if not _ID.fullmatch(name):
        raise PluginError("its id is not GROUP.NAME of lower-case letters, digits and '_'")
    probe = registration.resolve()
    if not (isinstance(probe, type) and issubclass(probe, Probe)):
        raise PluginError("is no subclass of isolate.probe.Probe")
    for attribute in ("meaning", "remedy"):
        text = getattr(probe, attribute, None)
        if not isinstance(text, str) or not text or not text.isprintable():
            raise PluginError(f"its {attribute} is {quoted(text)}, not a line of text")
    if missing := sorted(probe.__abstractmethods__):
        raise PluginError(f"lacks the methods {', '.join(missing)}")
    if issubclass(probe, InsideProbe):
        bundle.plan([{"call": probe.attempt}], "")  # all that it imports can be carried inside
    return Found(probe, registration.summary)
