"""The launching process: takes a request a line from standard input, answers each with a line.

One for each subject: single-threaded and small, so that neither the comparing process's size nor
another subject's remains are in what is measured.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

from isolate.compare.launch import memory
from isolate.compare.launch.program import InContainer, OnHost, Program, TooLateError
from isolate.errors import IsolateError
from isolate.runtime.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from isolate.compare.launch.program import Vehicle


class Server:
    """The requests by name; `held` are the programs that wait for `release`."""

    def __init__(self, state: str) -> None:
        self._store = open_store(state)
        self.held: list[Program] = []

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what one request says."""
        does: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "launch": self.launch,
            "spawn": self.spawn,
            "hold": self.hold,
            "release": self.release,
            "memory": self.memory,
            "burst": self.burst,
        }
        return does[request["do"]](request)

    def launch(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run a program to its end, or to its first line if it is to be killed then."""
        with self._program(request) as program:
            deadline = _deadline(request)
            program.launch()
            if request["kill"]:
                program.read(lambda: bool(program.marks), deadline)
                _expect_a_line(program)
                program.kill(deadline)
            else:
                program.finish(deadline)
        return {
            "times": program.times,
            "marks": program.marks,
            "usage": program.usage.to_dict(),
            "receipt": program.vehicle.receipt(),
        }

    def spawn(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run a command of the host: the wall time from the call to its end."""
        with Program(OnHost(request["argv"])) as program:
            program.launch()
            program.finish(_deadline(request))
        return {"seconds": program.times["ended"] - program.times["began"]}

    def hold(self, request: dict[str, Any]) -> dict[str, Any]:
        """Launch a program and keep it once it has said a line: the seconds until then."""
        _allow_many_files()
        program = self._program(request, keep=True)
        self.held.append(program)
        program.launch()
        program.read(lambda: bool(program.marks), _deadline(request))
        _expect_a_line(program)
        return {"seconds": program.marks[0][0] - program.times["began"]}

    def release(self, _request: dict[str, Any]) -> dict[str, Any]:
        """End every held program."""
        errors = []
        while self.held:
            try:
                self.held.pop().remove()
            except (IsolateError, OSError) as error:
                errors.append(str(error))
        if errors:
            raise IsolateError(errors[0])
        return {}

    def memory(self, _request: dict[str, Any]) -> dict[str, Any]:
        """What the host has left, and the proportional set size of what is held."""
        names = [program.vehicle.name for program in self.held]
        return {"available": memory.available(), "pss": memory.proportional(names)}

    def burst(self, request: dict[str, Any]) -> dict[str, Any]:
        """Launch `count` programs at once, each by a child: seconds until the last has spoken."""
        ready, say_ready = os.pipe()
        go, say_go = os.pipe()
        told, tell = os.pipe()
        children = [
            _fork(lambda: self._launch_on_go(request, (say_ready, go, tell)), close=say_go)
            for _ in range(request["count"])
        ]
        for descriptor in (say_ready, go, tell):
            os.close(descriptor)
        _read(ready, len(children))
        began = time.monotonic()
        os.close(say_go)
        said = _read_all(told)
        for pid in children:
            os.waitpid(pid, 0)
        for descriptor in (ready, told):
            os.close(descriptor)
        answers = [json.loads(line) for line in said.splitlines()]
        errors = [answer["error"] for answer in answers if "error" in answer]
        if errors or len(answers) != len(children):
            raise IsolateError(errors[0] if errors else "a child that launches died")
        return {"seconds": max(answer["spoke"] for answer in answers) - began}

    def _launch_on_go(self, request: dict[str, Any], pipes: tuple[int, int, int]) -> None:
        ready, go, tell = pipes
        os.write(ready, b"r")
        os.read(go, 1)  # its end is the sign
        try:
            with self._program(request) as program:
                program.launch()
                program.read(lambda: bool(program.marks), _deadline(request))
                _expect_a_line(program)
                program.kill(_deadline(request))
            said: dict[str, Any] = {"spoke": program.marks[0][0]}
        except (IsolateError, OSError) as error:
            said = {"error": str(error)}
        os.write(tell, json.dumps(said).encode() + b"\n")

    def _program(self, request: dict[str, Any], *, keep: bool = False) -> Program:
        argv, backend = request["argv"], request["backend"]
        vehicle: Vehicle = OnHost(argv)
        if backend is not None:
            vehicle = InContainer(backend, request["spec"], self._store)
        stays = keep or request.get("kill") or request["do"] == "burst"
        stdin = None if stays else request.get("stdin", "").encode()
        return Program(vehicle, stdin, paced=request.get("paced", False))


def _deadline(request: dict[str, Any]) -> float:
    return time.monotonic() + float(request["patience"])


def _allow_many_files() -> None:
    """What is held has descriptors here: as many as may be had."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _expect_a_line(program: Program) -> None:
    if not program.marks:
        raise IsolateError(f"the program said nothing: {program.last_words()}")


def _fork(function: Callable[[], None], *, close: int) -> int:
    """A child that does one thing; its pid."""
    pid = os.fork()
    if pid == 0:
        os.close(close)
        try:
            function()
        finally:
            os._exit(0)
    return pid


def _read(descriptor: int, count: int) -> None:
    while count > 0:
        count -= len(os.read(descriptor, count)) or count


def _read_all(descriptor: int) -> bytes:
    parts = []
    while part := os.read(descriptor, 65536):
        parts.append(part)
    return b"".join(parts)


def main(state: str) -> None:
    """Serve until standard input ends; then end what is held."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the comparing process decides what it means
    answers = os.dup(1)
    os.dup2(2, 1)  # what a backend prints is no answer
    server = Server(state)
    try:
        for line in sys.stdin:
            os.write(answers, json.dumps(_answer(server, json.loads(line))).encode() + b"\n")
    finally:
        server.release({})


def _answer(server: Server, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return server.answer(request)
    except TooLateError as error:
        return {"late": error.message}
    except (IsolateError, OSError) as error:
        return {"error": str(error)}
    except Exception as error:  # noqa: BLE001 - a third party's backend may raise anything
        traceback.print_exc()
        return {"error": f"a bug: {type(error).__name__}: {error}"}


if __name__ == "__main__":
    main(sys.argv[1])
