"""Runs one container and dies by SIGKILL at a named point; a program of its own, see `faults`.

Arguments, as JSON: `state`, `backend`, `id`, `spec`, `at` (the number of the point, or null) and
`trace` (a file for the names of the points that were passed).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from isolate.plugins import load
from isolate.runtime import lifecycle, run
from isolate.runtime.stores import open_store
from isolate.spec.model import Spec

if TYPE_CHECKING:
    from collections.abc import Callable


class Points:
    """Counts the points that are passed and dies at the chosen one."""

    def __init__(self, at: int | None, trace: str) -> None:
        self._at = at
        self._count = 0
        self._trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def __call__(self, name: str) -> None:
        os.write(self._trace, f"{name}\n".encode())
        if self._count == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._count += 1

    def around(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        """A call with a point before and one after it."""

        def watched(*args: Any, **options: Any) -> Any:
            self(f"before {name}")
            result = call(*args, **options)
            self(f"after {name}")
            return result

        return watched


def main(text: str) -> int:
    """Run; the exit status of the program."""
    asked = json.loads(text)
    point = Points(asked["at"], asked["trace"])
    backend = load(asked["backend"])
    for name in ("start", "wait", "delete", "usage"):
        setattr(backend, name, point.around(getattr(backend, name), name))
    names = vars(lifecycle)
    names["collect_entry"] = point.around(names["collect_entry"], "collect")
    spec = Spec.build(asked["spec"], "")
    result = run.run(backend, spec, open_store(asked["state"]), id=asked["id"], checkpoint=point)
    return result.exit_status


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
