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
from isolate.backend.abilities import Executes
from isolate.backend.features import required
from isolate.errors import IsolateError
from isolate.plugins import load
from isolate.probe import guest
from isolate.spec import meaning
from isolate.spec.load import merge
from isolate.spec.model import VIEWS, Spec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PATIENCE = 60.0  # seconds for a container with all that it runs
_GRACE = 10.0  # seconds in which isolate must end once it was told to
HOST = "host"
_ALONE = ("-I", "-S")  # without site, and without what the environment says


class Done:
    """A program that has ended, or that was ended: `status` None."""

    def __init__(self, status: int | None, stdout: bytes, stderr: bytes) -> None:
        self.status = status
        self.stdout = stdout
        self.stderr = stderr

    @property
    def words(self) -> str:
        """Why it failed, in one line: isolate's own `error:` line where there is one."""
        ended = "it didn't end in time" if self.status is None else f"exit status {self.status}"
        return error_line(self.stderr) or ended


def error_line(stderr: bytes) -> str:
    """The `error:` line of isolate, or the last one; empty where nothing was said."""
    lines = stderr.decode(errors="replace").splitlines()
    said = [line for line in lines if line.startswith("error: ")] or lines[-1:]
    return said[0].removeprefix("error: ") if said else ""


class Subject(ABC):
    """Where a program can be run.

    Attributes:
        name: the backend's name; `host` for the bare host.
        contains: whether it makes a container; False for the bare host.
        claims: the features that it promises here.
        hung: whether a program took longer than anybody waits; it isn't asked again.
    """

    name: str
    contains: bool = True
    claims: frozenset[str] = frozenset()
    hung: bool = False

    @abstractmethod
    def python(self) -> list[str]:
        """The command line that runs Python there, without site and the user's settings."""

    @abstractmethod
    def command(
        self, argv: Sequence[str], overlay: Mapping[str, Any], name: str | None = None
    ) -> list[str]:
        """The command of the host that runs `argv` there, in a container of that name.

        `overlay` is more of a spec document.
        """

    def further(self, name: str, argv: Sequence[str]) -> list[str] | None:
        """The command that runs `argv` too in the running container; None where there is none."""
        return None

    def launcher(self, argv: Sequence[str], name: str) -> list[str]:
        """The command whose process looks after the program `argv` as long as that runs."""
        return self.command(argv, {}, name)

    def missing(self, overlay: Mapping[str, Any]) -> frozenset[str]:
        """The features that `overlay` asks for and that it lacks; `command` waives them."""
        return frozenset()

    def promises(self, feature: str) -> bool | None:
        """Whether it promises a feature here; None where it does so on request only, and isn't
        asked."""
        return feature in self.claims

    def layers(self) -> tuple[str, ...]:
        """The host's directories of which the root is made; none where it is the host's own."""
        return ()

    @contextmanager
    def launch(
        self,
        argv: Sequence[str],
        overlay: Mapping[str, Any] | None = None,
        *,
        prefix: Sequence[str] = (),
        name: str | None = None,
        **options: Any,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The running command, ended at the latest with the block; `name` is the container's.

        `prefix` is a command of the host that executes the rest; `options` are Popen's.
        """
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [*prefix, *self.command(argv, overlay or {}, name)]
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
    contains = False

    def python(self) -> list[str]:
        return [os.path.realpath(sys.executable), *_ALONE]

    def command(
        self, argv: Sequence[str], overlay: Mapping[str, Any], name: str | None = None
    ) -> list[str]:
        return list(argv)

    def further(self, name: str, argv: Sequence[str]) -> list[str]:
        return list(argv)

    def launcher(self, argv: Sequence[str], name: str) -> list[str]:
        code = "import subprocess, sys; subprocess.run(sys.argv[1:])"
        return [*self.python(), "-c", code, *argv]


class Contained(Subject):
    """Containers of a backend, all from one spec document.

    Args:
        backend: its name.
        document: the spec as plain data, without the program.
        state: the state directory of these containers.
        name: what this subject is called, where that isn't the backend's name.

    Raises IsolateError where the backend or the root can't be had.
    """

    def __init__(
        self, backend: str, document: Mapping[str, Any], state: str, *, name: str | None = None
    ) -> None:
        self.backend = backend
        self.name = name or backend
        self.state = os.path.abspath(state)
        self.document = dict(document)
        spec = Spec.build(merge(self.document, {"process": {"args": ["x"]}}), "")
        self.claims = load(backend).capabilities() - _given_up(spec)
        self._asked = required(spec)
        self._root = rootfs.prepare(spec.root.source)
        self._guest = None if self._root.python else guest.Python()
        if self._guest is not None:
            self.document = merge(self.document, self._guest.overlay)
        self._specs = tempfile.TemporaryDirectory(prefix="isolate-specs-")

    def close(self) -> None:
        """Remove the files that it has written, and let go of what it has held."""
        self._specs.cleanup()
        if self._guest is not None:
            self._guest.close()

    def python(self) -> list[str]:
        if self._guest is None:
            return [str(self._root.python), *_ALONE]
        if "mounts.bind" not in self.claims:
            raise IsolateError(
                f"the root {self._root.source} has no Python, and {self.name} can't lend it one "
                "(mounts.bind)",
                hint="use --rootfs=base",
            )
        return [*self._guest.command, *_ALONE]

    def layers(self) -> tuple[str, ...]:
        return self._root.layers

    def spec(self, argv: Sequence[str], overlay: Mapping[str, Any]) -> dict[str, Any]:
        """The whole document of a container, with the waivers that it needs."""
        merged = merge(merge(self.document, dict(overlay)), {"process": {"args": list(argv)}})
        waived = {*merged.get("allow_degraded", ()), *self.missing(overlay)}
        return {**merged, "allow_degraded": sorted(waived)}

    def promises(self, feature: str) -> bool | None:
        if feature.startswith("privileges.") and feature not in self._asked:
            return None
        return super().promises(feature)

    def missing(self, overlay: Mapping[str, Any]) -> frozenset[str]:
        merged = merge(merge(self.document, dict(overlay)), {"process": {"args": ["x"]}})
        return required(Spec.build(merged, "spec")) - self.claims

    def command(
        self, argv: Sequence[str], overlay: Mapping[str, Any], name: str | None = None
    ) -> list[str]:
        return [*self._isolate("run"), *self._chosen(argv, overlay, name)]

    def detach(self, argv: Sequence[str], name: str) -> str:
        """Start a container and leave it to its supervisor; isolate's words where that failed."""
        return self._quietly("run", "--detach", *self._chosen(argv, {}, name))

    def delete(self, name: str) -> str:
        """Delete a container, a running one too; isolate's words where that failed."""
        return self._quietly("delete", "--force", name)

    def supervisors(self) -> list[int]:
        """The pids of the processes that look after detached containers."""
        from isolate.runtime.stores import open_store
        from isolate.supervisor import client

        told = client.request(open_store(self.state), "ping")
        return [told[key] for key in ("guardian", "pid") if told[key] is not None]

    def collect(self) -> str:
        """Remove what killed launchers have left; isolate's words where that failed."""
        # Another cache, so that it drops none of the user's roots.
        return self._quietly("gc", env={**os.environ, "ISOLATE_CACHE": self._specs.name})

    def _quietly(self, *words: str, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            [*self._isolate(words[0]), *words[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=PATIENCE,
            env=env,
        )
        return error_line(done.stderr) if done.returncode else ""

    def further(self, name: str, argv: Sequence[str]) -> list[str] | None:
        if not isinstance(load(self.backend), Executes):
            return None
        return [*self._isolate("exec"), name, "--", *argv]

    def _isolate(self, verb: str) -> list[str]:
        return [sys.executable, "-P", "-m", "isolate", verb, f"--root={self.state}"]

    def _chosen(
        self, argv: Sequence[str], overlay: Mapping[str, Any], name: str | None
    ) -> list[str]:
        if self.hung:
            raise IsolateError(f"{self.name} hung, and isn't asked again")
        file = os.path.join(self._specs.name, f"{secrets.token_hex(8)}.json")
        with open(file, "w", encoding="utf-8") as stream:
            json.dump(self.spec(argv, overlay), stream)
        named = [f"--name={name}"] if name else []
        return [f"--backend={self.backend}", f"--spec={file}", *named]


def _given_up(spec: Spec) -> frozenset[str]:
    """The features that this spec does without: what the backend then no longer claims."""
    given_up = {f"view.{view}" for view in set(VIEWS) - meaning.views(spec)}
    if spec.privileges.privileged:
        given_up.add("root.fence")
    if spec.root.source == "host":
        given_up.add("root")
    return frozenset(given_up)
