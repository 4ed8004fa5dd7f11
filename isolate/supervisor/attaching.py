"""Attaching to a detached container: its log as it grows, and input for its terminal or fifo."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from typing import TYPE_CHECKING

from isolate.errors import StateError
from isolate.runtime import exits
from isolate.runtime.inspect import describe
from isolate.runtime.tty import RawTerminal
from isolate.supervisor import client, logs, streams

if TYPE_CHECKING:
    from isolate.state import Entry

_DETACH = b"\x10\x11"  # Ctrl-P Ctrl-Q
_ENSURE = 0.5
_SIZE = 0.5  # seconds between looks at the caller's terminal size


class Attached:
    """One attachment. Output comes by the log, so that it is in the log in any case."""

    def __init__(self, entry: Entry, *, interactive: bool) -> None:
        record = describe(entry)
        if not entry.kept() or record["status"] not in ("created", "running", "paused"):
            raise StateError(
                f"container {entry.id} can't be attached to: it is {record['status']}",
                hint="only detached containers that run can",
            )
        process = record["spec"].get("process", {})
        self._entry = entry
        self._terminal = bool(process.get("terminal"))
        self._input = interactive and (self._terminal or process.get("interactive") is not False)
        self._sink = -1
        self._raw: RawTerminal | None = None
        self._gone = threading.Event()
        self._looked = time.monotonic()

    def run(self) -> int | None:
        """Relay until the program ends, its exit status; None when the user detached."""
        try:
            self._open()
            rows = logs.read(self._entry.directory, follow=self._going_on, tail=0)
            if self._sink >= 0:
                threading.Thread(target=self._pass_input, daemon=True).start()
            for row in rows:
                sink = sys.stdout.buffer if row.get("stream") == "stdout" else sys.stderr.buffer
                sink.write(logs.data_of(row))
                sink.flush()
                if self._gone.is_set():
                    break
        finally:
            self._close()
        result = exits.read(self._entry.directory)
        return None if result is None else exits.shell_code(result)

    def _open(self) -> None:
        if not self._input:
            return
        if self._terminal:
            _reply, descriptors = client.request_with_descriptors(
                self._entry.store, "console", id=self._entry.id
            )
            self._sink = descriptors[0]
            if os.isatty(0):
                self._raw = RawTerminal(0)
                self._raw.pass_size(self._sink)
            return
        path = f"{self._entry.directory}/{streams.STDIN}"
        try:
            self._sink = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            self._sink = -1  # made without --interactive

    def _close(self) -> None:
        self._gone.set()
        if self._raw is not None:
            self._raw.close()
        if self._sink >= 0:
            os.close(self._sink)
            self._sink = -1

    def _going_on(self) -> bool:
        if self._gone.is_set() or exits.read(self._entry.directory) is not None:
            return False
        if time.monotonic() - self._looked > _ENSURE:
            self._looked = time.monotonic()
            client.ensure(self._entry.store)
        return self._entry.exists()

    def _pass_input(self) -> None:
        """The other thread: what is typed goes to the program, until the detach keys."""
        before = b""
        poll = select.poll()
        poll.register(0, select.POLLIN)
        while not self._gone.is_set():
            if self._raw is not None:
                self._raw.pass_size(self._sink)
            if not poll.poll(_SIZE * 1000):
                continue
            data = os.read(0, 4096)
            if not data:
                return
            if self._terminal and _DETACH in before + data:
                self._gone.set()
                return
            before = data[-1:]
            if not self._write(data):
                return

    def _write(self, data: bytes) -> bool:
        while data and not self._gone.is_set():
            try:
                data = data[os.write(self._sink, data) :]
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                return False
        return True
