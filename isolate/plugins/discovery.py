"""Backends by name: found by their entry points, made by their plugins, refused when broken.

The entry point's name is the backend's name. When two distributions have one name, neither
wins: `DISTRIBUTION:NAME` says which is meant, and the bare name is refused.
"""

from __future__ import annotations

from isolate.backend.base import API_VERSION, Backend
from isolate.errors import PluginError
from isolate.hookspecs import GROUP
from isolate.plugins.contain import contained
from isolate.plugins.registry import Registry, find
from isolate.plugins.scan import entry_points, normalized
from isolate.spec.record import quoted, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from isolate.plugins.scan import EntryPoint

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_NAME_RULE = "allowed: letters, digits, '.', '_' and '-'"
_REGISTER = "isolate_register_backends"


class Entry:
    """A row of the catalogue: a backend, or why there is none.

    Attributes:
        name: the backend's name.
        distribution: the normalized name of the distribution that it comes from.
        version: that distribution's version.
        module: where the plugin is.
        backend: the backend; None where it is broken.
        problem: why it is broken, in one printable line; None where it isn't.
    """

    __slots__ = ("backend", "distribution", "module", "name", "problem", "version")

    def __init__(self, point: EntryPoint, backend: Backend | None, problem: str | None) -> None:
        self.name = shown(point.name)
        self.distribution = shown(point.distribution.name)
        self.version = shown(point.distribution.version)
        self.module = shown(point.value)
        self.backend = backend
        self.problem = problem

    @property
    def qualified(self) -> str:
        """The name that stays unambiguous, whatever else is installed: DISTRIBUTION:NAME."""
        return f"{self.distribution}:{self.name}"


def load(name: str) -> Backend:
    """The backend of a name, NAME or DISTRIBUTION:NAME. Imports no other plugin.

    Raises PluginError: there is none, there are several, or it is broken.
    """
    distribution, colon, bare = name.rpartition(":")
    points = [
        point
        for point in entry_points(GROUP)
        if point.name == bare and (not colon or point.distribution.name == normalized(distribution))
    ]
    if not points:
        raise PluginError(f"there is no backend {quoted(name)}", hint=_names_hint(bare))
    if len(points) > 1:
        raise _ambiguous(points)
    backend = _backend_of(points[0])
    if backend is None:
        raise PluginError(f"{_who(points[0])}: has no backend", hint=_names_hint(bare))
    return backend


def catalogue() -> list[Entry]:
    """Every backend in the order of the names, the broken ones with the reason.

    Imports every plugin. Plugins without a backend (probes, metrics) are left out.
    """
    points = entry_points(GROUP)
    entries = []
    for point in points:
        same = [other for other in points if other.name == point.name]
        try:
            if len(same) > 1:
                raise _ambiguous(same)
            backend = _backend_of(point)
        except PluginError as error:
            entries.append(Entry(point, None, error.message))
        else:
            entries += [Entry(point, backend, None)] if backend is not None else []
    return entries


def _backend_of(point: EntryPoint) -> Backend | None:
    """The backend that the plugin registers under its entry point's name; None if it hasn't any."""
    who = _who(point)
    plugin = contained(who, "can't be imported", lambda: find(point.value))
    hook = contained(who, "is broken", lambda: getattr(plugin, _REGISTER, None))
    if hook is None:
        return None
    registry = Registry()
    contained(who, f"{_REGISTER} failed", lambda: _register(hook, registry, point))
    made = contained(who, "can't make the backend", lambda: _make(registry, point.name))
    contained(who, "is broken", lambda: _check_instance(made, point.name))
    return made


def _register(hook: Any, registry: Registry, point: EntryPoint) -> None:
    """Ask the plugin, as pluggy would; a name that has no entry point could never be found."""
    if getattr(hook, "isolate_impl", None) is None:
        raise PluginError(f"{_REGISTER} lacks its mark", hint="@isolate.hookimpl")
    if not _NAME.issuperset(point.name) or point.name[:1] in ("", "-", "."):
        raise PluginError("its entry point's name is no name for a backend", hint=_NAME_RULE)
    hook(registry=registry)
    named = {one.name for one in point.distribution.points if one.group == GROUP}
    for name in registry:
        if name not in named:
            raise PluginError(f"registers {quoted(name)}, but has no entry point of that name")
    if registry.get(point.name) is None:
        raise PluginError(f"registers no backend {quoted(point.name)}")


def _make(registry: Registry, name: str) -> Backend:
    registration = registry.get(name)
    return _checked(registration.resolve() if registration is not None else None)()


def _checked(found: Any) -> type[Backend]:
    if not (isinstance(found, type) and issubclass(found, Backend)):
        name = found.__name__ if isinstance(found, type) else shown(found)
        raise PluginError(f"{shown(name)} is no subclass of isolate.backend.Backend")
    version = getattr(found, "api_version", None)
    if version is None:
        raise PluginError(
            f"{shown(found.__name__)} doesn't say which version of the plugin interface it is made "
            "for",
            hint=f"say so in the class: api_version = {API_VERSION}",
        )
    if version != API_VERSION:
        raise PluginError(
            f"{shown(found.__name__)} is made for version {shown(version)} of the plugin "
            f"interface, this isolate has version {API_VERSION}",
            hint="install versions of both that go together",
        )
    missing = sorted(found.__abstractmethods__)
    if missing:
        raise PluginError(f"{shown(found.__name__)} lacks the methods {', '.join(missing)}")
    return found


def _check_instance(backend: Backend, name: str) -> None:
    for attribute in ("name", "summary"):
        value = getattr(backend, attribute, None)
        if not isinstance(value, str) or value == "" or not value.isprintable():
            raise PluginError(f"its {attribute} is {quoted(value)}, not a line of text")
    if backend.name != name:
        raise PluginError(f"calls itself {quoted(backend.name)}, its entry point {quoted(name)}")


def _ambiguous(points: list[EntryPoint]) -> PluginError:
    name = shown(points[0].name)
    owners = list(dict.fromkeys(shown(point.distribution.name) for point in points))
    if len(owners) == 1:
        return PluginError(f"{owners[0]} has two entry points named {name}")
    return PluginError(
        f"{name} is registered by {' and by '.join(owners)}",
        hint=f"say which: {', or '.join(f'{owner}:{name}' for owner in owners)}",
    )


def _who(point: EntryPoint) -> str:
    """The plugin as messages name it."""
    return f"plugin {shown(point.name)} of {shown(point.distribution.name)}"


def _names_hint(wrong: str) -> str:
    names = sorted({shown(point.name) for point in entry_points(GROUP)})
    listed = f"the backends are: {', '.join(names)}" if names else "no backend is installed"
    close = _closest(wrong, names)
    return f"did you mean {close}? {listed}" if close else listed


def _closest(wrong: str, names: Iterable[str]) -> str | None:
    from difflib import get_close_matches

    return next(iter(get_close_matches(wrong[:40], names, n=1)), None)
