"""The probes and metrics that plugins have registered, each contained by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isolate.compare.metric import Metric
from isolate.errors import PluginError
from isolate.plugins import Registry
from isolate.plugins.hooks import Hooks, warn
from isolate.probe.model import Probe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isolate.compare.metric import Options, Series


def probes() -> dict[str, type[Probe]]:
    """The classes by their ids, in the order of their registration."""
    registry = Registry()
    Hooks().register_probes(registry)
    return {name: found for name, _summary, found in _resolved(registry, Probe)}


def metrics(options: Options) -> list[tuple[Metric, Mapping[str, Series]]]:
    """An instance of each metric, with the series that it fills."""
    registry = Registry()
    Hooks().register_metrics(registry)
    made: list[tuple[Metric, Mapping[str, Series]]] = []
    for name, summary, found in _resolved(registry, Metric):
        metric: Metric = found(options)
        made.append((metric, metric.series(name, summary)))
    return made


def _resolved(registry: Registry, kind: type) -> Iterator[tuple[str, str, Any]]:
    """Name, summary and class of each; a broken one is told, and the others go on."""
    for name in registry:
        registration = registry.get(name)
        assert registration is not None  # noqa: S101 - for the type checker
        try:
            found = registration.resolve()
            if not (isinstance(found, type) and issubclass(found, kind)):
                raise PluginError(f"is no subclass of {kind.__module__}.{kind.__name__}")  # noqa: TRY301
        except Exception as error:  # noqa: BLE001 - a third party's module may raise anything
            warn(f"{name} is left out: {error}")
            continue
        yield name, registration.summary, found
