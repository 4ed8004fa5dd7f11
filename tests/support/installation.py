"""An installation of isolate that every user can read, whoever owns the checkout and its venv."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import os
import shutil
import stat
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

from tests.support import session

DISTRIBUTION = "isolate-runtime"


class Installation(NamedTuple):
    """How to run isolate: the interpreter, and what PYTHONPATH must hold."""

    python: str
    path: str | None


def own() -> Installation:
    """The environment that the tests run in."""
    return Installation(sys.executable, None)


@functools.cache
def for_anyone() -> Installation:
    """This environment where it is open to all, else a copy of what isolate needs of it."""
    if _open_to_all(Path(sys.executable), Path(sysconfig.get_path("purelib")), *_sources()):
        return own()
    python = python_for_anyone()
    if python is None:
        raise RuntimeError("no Python that anyone can execute")  # the need said so already
    target = session.directory() / "site"
    if not target.exists():
        _copy(target)
    return Installation(python, str(target))


@functools.cache
def python_for_anyone() -> str | None:
    """An interpreter of our version that ordinary users can execute: ours, or the system's."""
    system = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, getattr(sys, "_base_executable", ""), system):
        if candidate and _open_to_all(Path(candidate)):
            return candidate
    return None


def _open_to_all(*paths: Path) -> bool:
    """Whether others may pass through every directory on the way and read the end."""
    return all(
        step.exists() and step.stat().st_mode & (stat.S_IXOTH if step.is_dir() else stat.S_IROTH)
        for path in paths
        for resolved in {path.absolute(), path.resolve()}
        for step in (resolved, *resolved.parents)
    )


def _sources() -> list[Path]:
    names = ["isolate", *sorted(_plugin_packages())]
    return [Path(next(iter(importlib.import_module(name).__path__))) for name in names]


def _plugin_packages() -> set[str]:
    points = importlib.metadata.distribution(DISTRIBUTION).entry_points
    return {point.module.split(".")[0] for point in points.select(group="isolate_runtime")}


def _copy(target: Path) -> None:
    target.mkdir()
    for source in _sources():
        shutil.copytree(source, target / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    for distribution in _closure(DISTRIBUTION, {}).values():
        for file in distribution.files or ():
            destination = target / file
            if ".." in file.parts or file.suffix == ".pth" or destination.exists():
                continue
            source_file = Path(str(file.locate()))
            if source_file.exists() and "__pycache__" not in file.parts:
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source_file, destination)
    for path, directories, files in os.walk(target):
        for name in (*directories, *files):
            (Path(path) / name).chmod(0o755)
    target.chmod(0o755)


def _closure(
    name: str, found: dict[str, importlib.metadata.Distribution]
) -> dict[str, importlib.metadata.Distribution]:
    """The distribution of that name and all that it requires here, without extras."""
    if name not in found:
        found[name] = importlib.metadata.distribution(name)
        for text in found[name].requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                _closure(requirement.name, found)
    return found
