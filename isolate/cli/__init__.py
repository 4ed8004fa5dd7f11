"""The command line: dispatches the hot verb before anything slow is imported."""

from __future__ import annotations

import sys


def main() -> int:
    """The command `isolate`; its exit status."""
    words = sys.argv[1:]
    if words[:1] == ["run"]:
        import _signal  # type: ignore[import-not-found] # the C half of signal, loaded already

        # Ctrl-C ends us at once, without a traceback, until there is something to clean up.
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
        from isolate.cli.run import main as run

        status = run(words[1:])
        if status is not None:
            return status
    from isolate.cli.app import main as full

    return full(words)
