"""No silent downgrade: a spec that a backend can't honour is refused before anything is made."""

from __future__ import annotations

from isolate.backend.features import required, waivable
from isolate.errors import HostError, IsolateError, UnsupportedError
from isolate.plugins import catalogue, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from isolate.backend.base import Backend
    from isolate.spec.model import Spec


def require_usable(backend: Backend) -> None:
    """Raises HostError with every problem of a backend that can't work here."""
    problems = backend.check()
    if problems:
        raise HostError(
            f"backend {backend.name} can't work here: "
            + "; ".join(problem.what for problem in problems),
            hint="; ".join(dict.fromkeys(problem.remedy for problem in problems)),
        )


def waived(spec: Spec, backend: Backend) -> frozenset[str]:
    """The asked features that are missing and may be. Raises UnsupportedError for the others."""
    missing = required(spec) - backend.capabilities()
    refused = missing - waivable(spec)
    if refused:
        raise UnsupportedError(
            f"backend {backend.name} can't honour {', '.join(sorted(refused))} here",
            hint=_remedy(refused, spec),
        )
    return missing


def _remedy(refused: frozenset[str], spec: Spec) -> str:
    able = able_backends(required(spec) - waivable(spec))
    flags = " ".join(f"--allow-degraded {feature}" for feature in sorted(refused))
    others = f"backends that can: {', '.join(able)}" if able else "no backend here can"
    return f"{others}; to go without: {flags}"


def able_backends(features: Iterable[str]) -> list[str]:
    """The usable backends that promise all of `features`, in the order of the catalogue."""
    wanted = frozenset(features)
    return [name for name in usable_backends() if wanted <= load(name).capabilities()]


def usable_backends() -> list[str]:
    """The names of the backends that work on this host."""
    names = []
    for row in catalogue():
        if row.problem is None:
            try:
                if not load(row.name).check():
                    names.append(row.name)
            except IsolateError:
                continue  # `isolate backends` says why
    return names
