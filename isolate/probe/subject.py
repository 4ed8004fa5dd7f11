"""What probes are tried on: the bare host, or a backend's containers, by isolate's command line.

Containers are made by processes of their own: one that hangs, or crashes isolate, costs a verdict
and not the comparison.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from isolate import rootfs
from isolate.backend.features import required
from isolate.errors import IsolateError
from isolate.plugins import load
from isolate.spec.load import merge
from isolate.spec.model import Spec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PATIENCE = 60.0  # seconds for a container with all that it runs
_GRACE = 10.0  # seconds in which isolate must end once it was told to
HOST = "host"


class Done:
    """A program that has ended, or that was ended: `status` None."""

    def __init__(self, status: int | None, stdout: bytes, stderr: bytes) -> None:
        self.status = status
        self.stdout = stdout
        self.stderr = stderr

    @property
    def words(self) -> str:
        """Why it failed, in one line: isolate's own `error:` line where there is one."""
        lines = self.stderr.decode(errors="replace").splitlines()
        said = [line for line in lines if line.startswith("error: ")] or lines[-1:]
        ended = "it didn't end in time" if self.status is None else f"exit status {self.status}"
        return said[0].removeprefix("error: ") if said else ended


class Subject(ABC):
    """Where a program can be run.

    Attributes:
        name: the backend's name; `host` for the bare host.
        claims: the features that it promises here.
        hung: whether a program took longer than anybody waits; it isn't asked again.
    """

    name: str
    claims: frozenset[str] = frozenset()
    hung: bool = False

    @abstractmethod
    def python(self) -> list[str]:
        """The command line that runs Python there, without site and the user's settings."""

    @abstractmethod
    def command(self, argv: Sequence[str], overlay: Mapping[str, Any]) -> list[str]:
        """The command of the host that runs `argv` there; `overlay` is more of a spec document."""

    def missing(self, overlay: Mapping[str, Any]) -> frozenset[str]:
        """The features that `overlay` asks for and that it lacks; `command` waives them."""
        return frozenset()

    @contextmanager
    def launch(
        self,
        argv: Sequence[str],
        overlay: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The running command, ended at the latest with the block. `options` are Popen's."""
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = self.command(argv, overlay or {})
        with subprocess.Popen(command, **{**streams, **options}) as running:
            try:
                yield running
            finally:
                _end(running)

    def run(
        self,
        argv: Sequence[str],
        overlay: Mapping[str, Any] | None = None,
        *,
        stdin: bytes = b"",
        patience: float = PATIENCE,
    ) -> Done:
        """Run a program to its end; after `patience` seconds it is ended."""
        with self.launch(argv, overlay) as running:
            try:
                stdout, stderr = running.communicate(stdin, patience)
            except subprocess.TimeoutExpired:
                self.hung = patience >= PATIENCE  # less is a probe's own bound
                _end(running)
                stdout, stderr = running.communicate()
                return Done(None, stdout, stderr)
            return Done(running.returncode, stdout, stderr)


def _end(running: subprocess.Popen[bytes]) -> None:
    """End a command: politely, so that it cleans up behind itself, and then for certain."""
    if running.poll() is not None:
        return
    running.send_signal(signal.SIGTERM)
    try:
        running.wait(_GRACE)
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()


class Bare(Subject):
    """The host itself: the positive control, and the baseline of what is measured."""

    name = HOST

    def python(self) -> list[str]:
        return [os.path.realpath(sys.executable), "-I", "-S"]

    def command(self, argv: Sequence[str], overlay: Mapping[str, Any]) -> list[str]:
        return list(argv)


class Contained(Subject):
    """Containers of a backend, all from one spec document.

    Args:
        backend: its name.
        document: the spec as plain data, without the program.
        state: the state directory of these containers.
        name: what this subject is called, where that isn't the backend's name.
    """

    def __init__(
        self, backend: str, document: Mapping[str, Any], state: str, *, name: str | None = None
    ) -> None:
        self.backend = backend
        self.name = name or backend
        self.document = dict(document)
        self.state = state
        self.claims = load(backend).capabilities()
        self._root = str(self.document.get("root", {}).get("source", "base"))
        self._specs = tempfile.TemporaryDirectory(prefix="isolate-specs-")

    def close(self) -> None:
        """Remove the files that it has written."""
        self._specs.cleanup()

    def python(self) -> list[str]:
        found = rootfs.prepare(self._root).python
        if found is None:
            raise IsolateError(
                f"the root {self._root} has no Python", hint="compare on --rootfs=base"
            )
        return [found, "-I", "-S"]

    def spec(self, argv: Sequence[str], overlay: Mapping[str, Any]) -> dict[str, Any]:
        """The whole document of a container, with the waivers that it needs."""
        merged = merge(merge(self.document, dict(overlay)), {"process": {"args": list(argv)}})
        waived = {*merged.get("allow_degraded", ()), *self.missing(overlay)}
        return {**merged, "allow_degraded": sorted(waived)}

    def missing(self, overlay: Mapping[str, Any]) -> frozenset[str]:
        merged = merge(merge(self.document, dict(overlay)), {"process": {"args": ["x"]}})
        return required(Spec.build(merged, "spec")) - self.claims

    def command(self, argv: Sequence[str], overlay: Mapping[str, Any]) -> list[str]:
        if self.hung:
            raise IsolateError(f"{self.name} hung, and isn't asked again")
        file = os.path.join(self._specs.name, f"{secrets.token_hex(8)}.json")
        with open(file, "w", encoding="utf-8") as stream:
            json.dump(self.spec(argv, overlay), stream)
        return [
            *(sys.executable, "-P", "-m", "isolate", "run", f"--root={self.state}"),
            *(f"--backend={self.backend}", f"--spec={file}"),
        ]
