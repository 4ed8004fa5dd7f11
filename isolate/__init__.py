"""isolate: one container spec for every isolation technology, and proof of what each isolates.

Names are imported when they are first used: `import isolate` itself costs nothing, because
`isolate run` passes through it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isolate.errors import IsolateError
    from isolate.hookspecs import hookimpl
    from isolate.spec.model import Spec

__version__ = "0.1.0"

__all__ = ["IsolateError", "Spec", "__version__", "hookimpl"]

_HOMES = {
    "IsolateError": "isolate.errors",
    "Spec": "isolate.spec.model",
    "hookimpl": "isolate.hookspecs",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'isolate' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(home), name)
