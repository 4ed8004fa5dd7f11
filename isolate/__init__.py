"""One container spec for every isolation technology, and proof of what each really isolates."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isolate.hookspecs import hookimpl

__all__ = ["hookimpl"]


def __getattr__(name: str) -> Any:
    """Public names are imported when they are used: most commands need none of them."""
    if name == "hookimpl":
        from isolate.hookspecs import hookimpl

        return hookimpl
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
