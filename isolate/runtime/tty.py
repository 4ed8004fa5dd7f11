"""The caller's terminal while a container's terminal is relayed to it: raw, and restored after."""

from __future__ import annotations

import os

from isolate.linux import terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class RawTerminal:
    """Puts the caller's terminal in raw mode; restores it, even when this process is killed.

    A small guard process waits for the end of this one and restores the terminal if we could not.
    """

    def __init__(self, descriptor: int) -> None:
        import termios
        import tty

        self._descriptor = descriptor
        self._before: list[Any] = termios.tcgetattr(descriptor)
        self._guard, self._alive = self._start_guard()
        tty.setraw(descriptor)

    def _start_guard(self) -> tuple[int, int]:
        read_end, write_end = os.pipe()
        guard = os.fork()
        if guard:
            os.close(read_end)
            return guard, write_end
        os.close(write_end)
        os.setsid()  # a Ctrl-C or hang-up of the terminal's session isn't for the guard
        orderly = os.read(read_end, 1)
        if not orderly:
            self._restore()
        os._exit(0)

    def _restore(self) -> None:
        import termios

        try:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)
        except (termios.error, OSError):
            return  # the terminal is gone

    def close(self) -> None:
        """Restore the terminal and end the guard."""
        self._restore()
        os.write(self._alive, b"1")
        os.close(self._alive)
        os.waitpid(self._guard, 0)

    def pass_size(self, master: int) -> None:
        """Give the container's terminal the size of the caller's."""
        terminal.set_window_size(master, terminal.window_size(self._descriptor))
