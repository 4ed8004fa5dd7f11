"""Registers the catalogue's probes, as a third party's plugin registers its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isolate.hookspecs import hookimpl

if TYPE_CHECKING:
    from isolate.plugins import Registry

_CATALOGUE = "isolate.probe.catalogue"

# The order of the matrix.
PROBES = {
    "fs.direct": ("fs:Direct", "open a file of the host by its path"),
}


@hookimpl
def isolate_register_probes(registry: Registry) -> None:
    """Register them; each is imported when it is wanted."""
    for name, (place, summary) in PROBES.items():
        registry.add(name, f"{_CATALOGUE}.{place}", summary=summary)
