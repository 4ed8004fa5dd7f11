"""The command line: dispatches the hot verb before anything slow is imported."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> int:
    """The command `isolate`; its exit status."""
    words = sys.argv[1:]
    if words[:1] == ["run"]:
        import _signal  # type: ignore[import-not-found] # the C half of signal, loaded already
        import gc  # not above: a verb of that name is a module of this package

        # Ctrl-C ends us at once, without a traceback, until there is something to clean up.
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
        gc.disable()  # a process of one run makes less garbage than looking for it would cost
        from isolate.cli.run import main as run

        status = run(words[1:])
        if status is not None:
            _leave(status)
        gc.enable()
    from isolate.cli.app import main as full

    return full(words)


def _leave(status: int) -> NoReturn:
    """End now: to take the interpreter apart in good order costs as much as to start it."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except BrokenPipeError:
                continue
    os._exit(status)
