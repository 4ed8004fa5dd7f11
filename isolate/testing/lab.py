"""Where a backend is tried out: containers in a state directory of the test's own."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from typing import TYPE_CHECKING, Any

from isolate import rootfs
from isolate.backend.types import ExitStatus
from isolate.errors import IsolateError
from isolate.plugins import load
from isolate.runtime.lifecycle import Container
from isolate.runtime.run import run
from isolate.runtime.stores import open_store
from isolate.spec.load import merge
from isolate.spec.model import Spec
from isolate.testing import processes
from isolate.testing.hold import breach, same
from isolate.testing.traces import Traces

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from isolate.backend import Backend, Handle
    from isolate.runtime.result import Result
    from isolate.state import Store

Document = dict[str, Any]
PATIENCE = 20.0  # seconds that a program may take to say what it is awaited to say

_PRELUDE = """
import json, os, sys, time
def emit(value):
    sys.stdout.write(json.dumps(value) + "\\n")
    sys.stdout.flush()
def attempt(call, *args):
    try:
        call(*args)
    except OSError as error:
        return error.errno or -1
    return 0
def read(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return None
def link(path):
    try:
        return os.readlink(path)
    except OSError:
        return None
"""


class Ran:
    """A program that was run to its end: the result, and what it wrote."""

    def __init__(self, result: Result, stdout: bytes, stderr: bytes) -> None:
        self.result = result
        self.stdout = stdout
        self.stderr = stderr

    @property
    def status(self) -> ExitStatus:
        """How it ended."""
        return ExitStatus(code=self.result.exit_code, signal=self.result.signal)


class Lab:
    """One backend, one state directory, and the marks by which its traces are found.

    Args:
        name: the backend's name.
        directory: an empty directory of this user's.
        root: the root filesystem of the containers; it holds `sh`, coreutils and a Python.
    """

    def __init__(self, name: str, directory: str, root: str = "base") -> None:
        self.name = name
        self.directory = directory
        self.state = f"{directory}/state"
        self.token = f"ct{secrets.token_hex(4)}"
        self._root = root
        self._count = 0
        self._alive: list[Live] = []
        self.traces = Traces(self.token, self.state)

    @property
    def backend(self) -> Backend:
        """The backend; a new instance each time, for they hold no state."""
        return load(self.name)

    @property
    def claims(self) -> frozenset[str]:
        """What it promises here."""
        return self.backend.capabilities()

    @property
    def store(self) -> Store:
        """The lab's state directory."""
        return open_store(self.state)

    @property
    def marker(self) -> str:
        """The path of a file of the host that no container should see."""
        path = f"{self.directory}/only-on-the-host"
        if not os.path.exists(path):
            with open(path, "w", encoding="ascii") as file:
                file.write(self.token)
        return path

    def new_id(self) -> str:
        """An id for a container, from which its traces can be told."""
        self._count += 1
        return f"{self.token}-{self._count}"

    def spec(self, args: Sequence[str], *documents: Document) -> Spec:
        """A spec for `args`: the documents, one over the other."""
        merged: Document = {
            "process": {"args": list(args), "env": {processes.PROGRAM: self.token}},
            "root": {"source": self._root},
        }
        for document in documents:
            merged = merge(merged, document)
        if "root" not in self.claims:
            merged = merge(merged, {"allow_degraded": ["root"]})
        return Spec.build(merged, "")

    def python(self) -> str:
        """The Python inside."""
        return rootfs.prepare(self._root).python or "python3"

    def script(self, source: str, *values: object) -> list[str]:
        """The command line of a Python program inside. `values` are in its list `given`; it has
        `emit(value)`, `attempt(call, ...)` (0 or the errno), `read(path)` and `link(path)`."""
        given = f"given = json.loads({json.dumps(json.dumps(values))})\n"
        return [self.python(), "-I", "-S", "-c", _PRELUDE + given + source]

    def run(self, args: Sequence[str], *documents: Document, stdin: bytes = b"") -> Ran:
        """Run a program to its end, as `isolate run` does. Raises IsolateError."""
        spec = self.spec(args, *documents)
        files = [_file(stdin), _file(), _file()]
        try:
            result = run(
                self.backend,
                spec,
                self.store,
                id=self.new_id(),
                stdio=(files[0], files[1], files[2]),
            )
            return Ran(result, _content(files[1]), _content(files[2]))
        finally:
            for descriptor in files:
                os.close(descriptor)

    def ask(self, source: str, *documents: Document, given: Sequence[object] = ()) -> Any:
        """What a Python program inside emitted; it must end with exit code 0."""
        ran = self.run(self.script(source, *given), *documents)
        if ran.result.exit_status != 0:
            breach(f"a probe inside ended with {ran.status}: {ran.stderr.decode(errors='replace')}")
        return _decoded(ran.stdout)

    def create(self, args: Sequence[str], *documents: Document) -> Live:
        """A container that is created and not started; the lab deletes it at last."""
        name = self.new_id()
        mark = {"process": {"env": {processes.CONTAINER: name}}}
        live = Live(self, self.spec(args, *documents, mark), name)
        self._alive.append(live)
        live.create()
        return live

    def start(self, args: Sequence[str], *documents: Document) -> Live:
        """A container whose program runs."""
        live = self.create(args, *documents)
        live.start()
        return live

    def close(self) -> None:
        """Delete every container that the lab still has."""
        while self._alive:
            self._alive.pop().close()


class Live:
    """A container that is acted upon by one method of the backend after another."""

    def __init__(self, lab: Lab, spec: Spec, name: str) -> None:
        self._lab = lab
        self._name = name
        self.spec = spec
        self.container = Container(lab.backend, spec, lab.store, id=name)
        self.master = -1
        self._files = [_file(), _file(), _file()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    @property
    def handle(self) -> Handle:
        """Its handle, as another process would have it: from JSON."""
        handle = self.container.running_handle
        return type(handle).build(json.loads(json.dumps(handle.to_dict())), "handle")

    def create(self) -> None:
        """Make it, with files as its standard streams or a terminal."""
        stdin, stdout, stderr = self._files
        self.container.create((stdin, stdout, stderr), self._take_console)

    def _take_console(self, master: int) -> None:
        self.master = master

    def start(self) -> None:
        """Execute the program."""
        self.container.start()

    def status(self) -> str:
        """The backend's word."""
        return self._lab.backend.status(self.handle)

    def kill(self, signal: int, *, everyone: bool = False) -> None:
        """Send a signal."""
        self._lab.backend.kill(self.handle, signal, everyone=everyone)

    def wait(self, timeout: float = PATIENCE) -> ExitStatus:
        """How it ended; a breach when it doesn't in time."""
        deadline = time.monotonic() + timeout
        while True:
            status = self._lab.backend.wait(self.handle, 0.05)
            if status is not None:
                return status
            if time.monotonic() > deadline:
                breach(f"the program hasn't ended after {timeout} s")

    def output(self) -> bytes:
        """What it has written to standard output."""
        return _content(self._files[1])

    def errors(self) -> bytes:
        """What it has written to standard error."""
        return _content(self._files[2])

    def expect(self, text: bytes) -> None:
        """Wait until it has written `text`."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.output():
            if time.monotonic() > deadline:
                breach(
                    f"the program hasn't written {text!r}, but {self.output()!r} and "
                    f"{self.errors()!r}"
                )
            time.sleep(0.01)

    def emitted(self) -> Any:
        """The first value that a script emitted."""
        self.expect(b"\n")
        return _decoded(self.output())

    def pids(self) -> set[int]:
        """The host's pids of the program and what it started; empty where the host has no such
        processes (a kernel of its own)."""
        return processes.marked(processes.CONTAINER, self._name)

    def delete(self) -> None:
        """Delete it as the runtime does: the backend's part, then the journal's."""
        self.container.delete()

    def close(self) -> None:
        """Delete it and close its streams."""
        try:
            self.delete()
        finally:
            for descriptor in (*self._files, self.master):
                if descriptor >= 0:
                    os.close(descriptor)
            self._files, self.master = [], -1


def elsewhere(source: str, *values: object) -> Any:
    """What a Python program in a new process on the host prints as JSON; `given` holds `values`."""
    import subprocess

    program = f"import json, sys\ngiven = json.loads(sys.stdin.read())\n{source}"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    same(done.returncode, 0, f"a new process failed:\n{done.stderr}\nits exit status")
    return json.loads(done.stdout or "null")


def errors_of(call: Any, *args: Any) -> IsolateError | None:
    """The IsolateError that a call raises; any other exception goes on: it is a bug."""
    try:
        call(*args)
    except IsolateError as error:
        return error
    return None


def _file(content: bytes = b"") -> int:
    """An anonymous file as a standard stream: it never blocks, and keeps every byte."""
    descriptor = os.memfd_create("isolate-contract")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _content(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def _decoded(output: bytes) -> Any:
    try:
        return json.loads(output.splitlines()[0])
    except (ValueError, IndexError):
        breach(f"a probe inside wrote {output[:200]!r}, which is no JSON")
