"""Programs of the host's, carried into containers with their libraries at a private path."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from isolate.errors import HostError
from isolate.probe.subject import Contained
from isolate.rootfs.libraries import Libraries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isolate.probe.subject import Subject

_INSIDE = "/opt/isolate-tools"


class Tool:
    """A program that can be run there: its command line, and what a container needs for it."""

    __slots__ = ("argv", "overlay")

    def __init__(self, argv: list[str], overlay: dict[str, Any]) -> None:
        self.argv = argv
        self.overlay = overlay


def unavailable(program: str, subject: Subject) -> str | None:
    """Why `program` can't be used there; None where it can."""
    if shutil.which(program) is None:
        return f"{program} is not installed on this host"
    if isinstance(subject, Contained) and "mounts.bind" not in subject.claims:
        return f"{subject.name} can't show {program} inside: it has no bind mounts"
    return None


@contextmanager
def carried(program: str, subject: Subject) -> Iterator[Tool]:
    """The program, as it can be run there while the block lasts. Raises HostError, OSError.

    A container gets a directory with the program, the libraries that it needs and their loader.
    """
    path = shutil.which(program)
    if path is None:
        raise HostError(f"{program} is not installed", hint=f"apt-get install {program}")
    if not isinstance(subject, Contained):
        yield Tool([path], {})
        return
    with tempfile.TemporaryDirectory(prefix="isolate-tool-", dir="/var/tmp") as directory:
        os.chmod(directory, 0o755)  # noqa: S103 - ids that a user namespace maps must pass
        loader = _fill(directory, path)
        mount = {"source": directory, "target": _INSIDE, "readonly": True}
        argv = [f"{_INSIDE}/{loader}", "--library-path", _INSIDE, f"{_INSIDE}/{program}"]
        yield Tool(argv, {"mounts": [mount]})


def _fill(directory: str, path: str) -> str:
    """Copy the program and all that it needs; the name of its loader."""
    libraries = Libraries()
    program = libraries.add(os.path.realpath(path))
    files = {os.path.basename(path): path, **libraries.found}
    if program.interpreter is None:
        raise HostError(f"{path} has no dynamic loader", hint="install the distribution's own")
    loader = os.path.basename(program.interpreter)
    files[loader] = program.interpreter
    for name, source in files.items():
        shutil.copyfile(source, f"{directory}/{name}")
        os.chmod(f"{directory}/{name}", 0o755)  # noqa: S103 - as above
    return loader


def timed(work: str, empty: str) -> str:
    """A shell script that does both between the marks of a workload, and says nothing else."""
    return (
        f"{empty} </dev/null >/dev/null 2>&1; echo begin; read -r go; "
        f"{work} </dev/null >/dev/null || exit; echo middle; read -r go; "
        f"{empty} </dev/null >/dev/null || exit; echo end; read -r go"
    )
