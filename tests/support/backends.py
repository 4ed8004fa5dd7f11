"""Our own backends by what they are able to do: a new one is tested as soon as it registers."""

from __future__ import annotations

from isolate.plugins import catalogue, load
from tests.support import needs

OWN = "isolate-runtime"


def able(*abilities: type, features: tuple[str, ...] = ()) -> list[str]:
    """The names of those that have these abilities, and promise these features here."""
    names = [entry.name for entry in catalogue() if entry.distribution == OWN]
    return [name for name in names if _is_able(name, abilities, features)]


def _is_able(name: str, abilities: tuple[type, ...], features: tuple[str, ...]) -> bool:
    backend = load(name)
    return all(isinstance(backend, ability) for ability in abilities) and (
        not features or backend.capabilities() >= set(features)
    )


def require(name: str) -> None:
    """Go on where the backend is usable on this host."""
    problems = load(name).check()
    needs.require_that(not problems, name, "; ".join(problem.what for problem in problems))
