"""A process of the host's that no container should reach: it holds the token, and waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isolate.probe.model import Scene

SIGNAL = signal.SIGUSR1
ROOM = 32  # bytes of its memory that hold the token

# The signal stays pending, so that the host can see that it came, however late it looks.
_PROGRAM = f"""
import ctypes, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [{int(SIGNAL)}])
memory = ctypes.create_string_buffer(sys.argv[1].encode(), {ROOM})
print(ctypes.addressof(memory), flush=True)
sys.stdin.read()
"""


class Canary:
    """The running process.

    Attributes:
        pid: its process id on the host.
        address: where in its memory the token is.
    """

    def __init__(self, scene: Scene) -> None:
        command = [sys.executable, "-I", "-S", "-c", _PROGRAM, scene.token]
        reader, writer = os.pipe()
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=writer)
        scene.cleanup(self._end)
        os.close(writer)
        self.pid = self._process.pid
        with open(reader, encoding="ascii") as said:
            self.address = int(said.readline())

    def signalled(self) -> bool:
        """Whether the signal has come to it."""
        with open(f"/proc/{self.pid}/status", encoding="utf-8") as file:
            rows = dict(line.split(":", 1) for line in file)
        pending = int(rows["ShdPnd"], 16) | int(rows["SigPnd"], 16)
        return bool(pending >> (SIGNAL - 1) & 1)

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()
