"""isolate: one container spec for every isolation technology, and proof of what each isolates.

Names are imported when they are first used: `import isolate` itself costs nothing, because
`isolate run` passes through it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from isolate import aio
    from isolate.api.pool import Pool
    from isolate.api.result import Completed, ProgramError, Result
    from isolate.api.run import run
    from isolate.api.sandbox import Sandbox
    from isolate.errors import IsolateError
    from isolate.hookspecs import hookimpl
    from isolate.spec.model import Spec

__version__ = "0.1.0"

__all__ = [
    "Completed",
    "IsolateError",
    "Pool",
    "ProgramError",
    "Result",
    "Sandbox",
    "Spec",
    "__version__",
    "aio",
    "hookimpl",
    "run",
]

_HOMES = {
    "Completed": "isolate.api.result",
    "IsolateError": "isolate.errors",
    "Pool": "isolate.api.pool",
    "ProgramError": "isolate.api.result",
    "Result": "isolate.api.result",
    "Sandbox": "isolate.api.sandbox",
    "run": "isolate.api.run",
    "Spec": "isolate.spec.model",
    "hookimpl": "isolate.hookspecs",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name == "aio":
        return importlib.import_module("isolate.aio")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'isolate' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
