"""Calling into plugins, so that whatever they raise or print hurts nobody but them."""

from __future__ import annotations

import os
import sys

from isolate.errors import PluginError
from isolate.spec.record import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Result = TypeVar("Result")


def contained(who: str, doing: str, call: Callable[[], Result]) -> Result:
    """What `call` returns. Whatever it raises becomes a PluginError `WHO: DOING: REASON`.

    SystemExit and KeyboardInterrupt too: a plugin must not end the command, and which of the two
    pressed Ctrl-C can't be told. What it prints goes to standard error, for standard output
    may be JSON or the program's own.
    """
    try:
        with _StdoutAside():
            return call()
    except PluginError as error:
        hint = shown(error.hint, 300) if error.hint is not None else None
        raise PluginError(f"{who}: {shown(error.message, 300)}", hint=hint) from error
    except BaseException as error:
        raise PluginError(f"{who}: {doing}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    try:
        text = shown(str(error).strip().partition("\n")[0], 200)
    except Exception:  # noqa: BLE001 - its __str__ is a stranger's code as well
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class _StdoutAside:
    """Standard output leads to standard error for a while, both Python's and the descriptor.

    With other threads running nothing is changed: it is their standard output too.
    """

    def __enter__(self) -> None:
        threading = sys.modules.get("threading")
        self._alone = threading is None or threading.active_count() == 1
        if not self._alone:
            return
        self._stdout, self._saved = sys.stdout, -1
        _flush(self._stdout, sys.__stdout__)
        try:
            self._saved = os.dup(1)
            os.dup2(2, 1)
        except OSError:
            pass  # one of them is closed: nothing to protect, or nowhere to lead it
        sys.stdout = sys.stderr

    def __exit__(self, *_raised: object) -> None:
        if not self._alone:
            return
        sys.stdout = self._stdout
        _flush(self._stdout, sys.__stdout__)  # what was kept back, while it still leads aside
        if self._saved != -1:
            os.dup2(self._saved, 1)
            os.close(self._saved)


def _flush(*streams: Any) -> None:
    for stream in streams:
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue  # its reader is gone, it is closed, or there is none
