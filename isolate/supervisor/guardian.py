"""The guardian: restarts a killed worker, adopts its children, keeps how they end. Nothing else.

The supervisor is a pair. The worker does the work; the guardian, its parent, holds what must not
go away with it: the listening socket, the lock, the far ends of streams, and, as the child
subreaper, the containers themselves. When both are killed at once, the containers go on with
the host's init as their parent, and the next command starts a new pair that finds them.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from typing import NoReturn

from isolate.linux import prctl, signals
from isolate.linux.title import set_title
from isolate.native import remains
from isolate.state import lock
from isolate.state import root as state_root
from isolate.supervisor import protocol, streams, worker

_CRASHES = 10  # of workers within _WINDOW seconds; then the next one starts after _BREATH
_WINDOW = 10.0
_BREATH = 2.0
_BACKLOG = 256


def main(root: str) -> NoReturn:
    """Become the supervisor of a state directory, in the background; the caller goes on at once."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.closerange(3, 4096)
    os.chdir("/")
    os.umask(0o022)
    state_root.prepare(root)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    held = os.open(f"{root}/{protocol.LOCK}", flags, 0o600)
    if not lock.try_take(held):
        os._exit(0)  # another was faster
    _standard_streams(root)
    prctl.set_child_subreaper(True)
    set_title(f"isolate supervisor {root}")
    try:
        Guardian(root, _listen(root)).run()
    except BaseException:  # noqa: BLE001 - the log must have it, whatever it is
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(1)


def _standard_streams(root: str) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    path = f"{root}/{protocol.LOG}"
    null, log = os.open("/dev/null", os.O_RDONLY), os.open(path, flags, 0o600)
    for number, descriptor in enumerate((null, log, log)):
        os.dup2(descriptor, number)
    os.close(null)
    os.close(log)


def _listen(root: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    path, directory = protocol.address(root)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{root}/{protocol.SOCKET}")
    before = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(before)
        os.close(directory)
    listener.listen(_BACKLOG)
    listener.settimeout(0)
    return listener


def _ready(*descriptors: int, patience: float | None = None) -> set[int]:
    """Those that can be read, or whose other end is gone."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _events in poll.poll(patience)}


class Held:
    """What the guardian holds for one container: its first process's name, its open streams."""

    def __init__(self, directory: str, pid: int, start_time: int, master: int) -> None:
        self.directory = directory
        self.pid = pid
        self.start_time = start_time
        self.master = master
        self._fifos = _open_fifos(directory) if master < 0 else []

    def close(self) -> None:
        """Let go of the streams."""
        for descriptor in (*self._fifos, *([self.master] if self.master >= 0 else [])):
            os.close(descriptor)


def _open_fifos(directory: str) -> list[int]:
    """Both ends of each: what is in them then outlives the program and the worker."""
    found = []
    for name in (streams.STDIN, *streams.STREAMS):
        try:
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
            found.append(os.open(f"{directory}/{name}", flags))
        except OSError:
            continue
    return found


class Guardian:
    """The parent of the worker."""

    def __init__(self, root: str, listener: socket.socket) -> None:
        self._root = root
        self._listener = listener
        self._held: dict[str, Held] = {}
        self._worker = 0
        self._told: socket.socket | None = None
        self._crashes: list[float] = []

    def run(self) -> NoReturn:
        """Go on until a worker ends because nothing is left to do."""
        signals.block(signals.set_of(signals.SIGCHLD, signals.SIGTERM, signals.SIGHUP))
        caught = signals.signalfd(signals.set_of(signals.SIGCHLD, signals.SIGTERM))
        self._start_worker()
        while True:
            told = self._told
            ready = _ready(caught, *([] if told is None else [told.fileno()]))
            if told is not None and told.fileno() in ready:
                self._listen_once(told)
            if caught in ready and signals.SIGTERM in signals.read_signals(caught):
                os.kill(self._worker, signal.SIGTERM)
            self._reap()

    def _start_worker(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            ours.close()
            if self._told is not None:
                self._told.close()
            masters = {name: held.master for name, held in self._held.items()}
            try:
                worker.main(self._root, self._listener, theirs, masters)
            except BaseException:  # noqa: BLE001 - the log must have it, whatever it is
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(1)
        theirs.close()
        if self._told is not None:
            self._told.close()
        self._told, self._worker = ours, pid

    def _listen_once(self, told: socket.socket) -> None:
        try:
            message, descriptors = protocol.receive(told)
        except protocol.Gone:
            told.close()
            self._told = None
            return
        self._obey(message, descriptors[0] if descriptors else -1)

    def _obey(self, message: dict[str, object], master: int) -> None:
        """Hold a container's streams and know its process, or let go."""
        name = str(message["id"])
        former = self._held.pop(name, None)
        if message["action"] == "hold":
            directory = f"{self._root}/{state_root.CONTAINERS}/{name}"
            pid, start_time = int(str(message["pid"])), int(str(message["start_time"]))
            if former is not None and (former.pid, former.start_time) == (pid, start_time):
                if master >= 0:
                    os.close(master)
                self._held[name] = former
                return
            self._held[name] = Held(directory, pid, start_time, master)
        if former is not None:
            former.close()

    def _reap(self) -> None:
        """Reap all that have ended, keeping first how those ended that are a container's."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                found = None
            if found is None:
                return
            if found.si_pid != self._worker:
                self._keep(found.si_pid, remains.word(found.si_code, found.si_status))
            _pid, status = os.waitpid(found.si_pid, 0)
            if found.si_pid == self._worker:
                self._worker_ended(status)

    def _keep(self, pid: int, status: int) -> None:
        if self._told is not None:
            self._drain(self._told)
        for held in self._held.values():
            if held.pid == pid:
                try:
                    remains.write_reaped(held.directory, pid, held.start_time, status)
                except OSError as error:
                    sys.stderr.write(f"{json.dumps(held.directory)}: {error}\n")

    def _drain(self, told: socket.socket) -> None:
        """Hear what the worker had said before it died."""
        while self._told is told and _ready(told.fileno(), patience=0):
            self._listen_once(told)

    def _worker_ended(self, status: int) -> None:
        if status == 0:
            os._exit(0)
        now = time.monotonic()
        self._crashes = [*(at for at in self._crashes if now - at < _WINDOW), now]
        if len(self._crashes) > _CRASHES:
            time.sleep(_BREATH)
        if self._told is not None:
            self._drain(self._told)
        self._start_worker()
