"""Mutations of the harness: by which broken configuration each probe is turned to `exposed`, and
by which sound one to `isolated`.

Each module here has a `TABLE` of some groups. A probe of the catalogue that stands in none fails
`tests/privileged/test_probe_mutations.py`; the configurations are those of
`tests/support/configurations.py`.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Mutation:
    """What turns one probe.

    Attributes:
        exposed: configurations in which it must find the host exposed.
        isolated: configurations in which it must find it isolated.
        wants: files of the kernel's, one of which the probe needs to prove anything.
        stand_in: attributes of the probe's class that let it try the same on files which every
            kernel has, where those aren't there.
    """

    exposed: tuple[str, ...]
    isolated: tuple[str, ...]
    wants: tuple[str, ...] = ()
    stand_in: dict[str, Any] = field(default_factory=dict)

    def __contains__(self, configuration: str) -> bool:
        return configuration in (*self.exposed, *self.isolated)


def table() -> dict[str, Mutation]:
    """The tables of all modules."""
    found: dict[str, Mutation] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        rows: dict[str, Mutation] = importlib.import_module(module.name).TABLE
        assert not rows.keys() & found.keys(), f"{module.name} has rows that another has"
        found |= rows
    return found
