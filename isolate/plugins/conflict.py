"""The other project named isolate: both distributions own the import package of that name."""

from __future__ import annotations

from isolate.backend.types import Problem
from isolate.plugins.scan import distributions
from isolate.spec.record import shown


def foreign_isolate() -> Problem | None:
    """The problem that the distribution `isolate` of another project shares this environment.

    It installs files into the same import package, and the later installation overwrites the
    earlier one's.
    """
    for distribution in distributions():
        if distribution.name == "isolate":
            version = shown(distribution.version) or "of unknown version"
            return Problem(
                what=f"the distribution isolate {version} of another project is installed here "
                "too, and both own the import package isolate",
                remedy="give isolate-runtime an environment of its own, or uninstall isolate and "
                "reinstall isolate-runtime",
            )
    return None
