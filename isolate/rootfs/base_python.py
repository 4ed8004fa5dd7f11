"""The Python that runs isolate, as a part of `base`: interpreter, standard library, extensions."""

from __future__ import annotations

import os
import sys

from isolate.rootfs.elf import NotElfError
from isolate.rootfs.libraries import Libraries, MissingLibraryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from isolate.rootfs.base_plan import Plan
    from isolate.rootfs.elf import Elf

_LEFT_OUT = frozenset(
    """
    dist-packages ensurepip idle_test idlelib lib2to3 site-packages test tests tkinter turtledemo
    """.split()
)
_TESTING_MODULES = ("_ctypes_test", "_test", "_tkinter", "_xx", "xx")


class Home:
    """Where a Python is installed."""

    __slots__ = ("executable", "library", "prefix")

    def __init__(self, executable: str, prefix: str, library: str) -> None:
        self.executable = executable
        self.prefix = prefix
        self.library = library


def find() -> Home | None:
    """The home of the running interpreter; None where it isn't laid out as usual."""
    import sysconfig

    library = sysconfig.get_path("stdlib")
    inside = library.startswith(f"{sys.base_prefix}/") and os.path.isfile(f"{library}/os.py")
    executable = _executable()
    return Home(executable, sys.base_prefix, library) if inside and executable else None


def _executable() -> str | None:
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    known: str | None = getattr(sys, "_base_executable", None)
    for path in (known, f"{sys.base_prefix}/bin/{version}"):
        if path and os.path.isfile(path) and os.access(path, os.R_OK | os.X_OK):
            with open(path, "rb") as file:
                if file.read(4) == b"\x7fELF":  # and not a version manager's script
                    return os.path.realpath(path)
    return None


def add(plan: Plan, home: Home, libraries: Libraries) -> Elf | None:
    """Add the Python; None, and base goes without, when its libraries can't be found.

    One of prefix /usr stays there, any other goes to /usr/local: a Python finds its library from
    the place of its executable.
    """
    try:
        program = libraries.add(home.executable)
    except (MissingLibraryError, NotElfError, OSError):
        return None
    prefix = "usr" if home.prefix == "/usr" else "usr/local"
    name = os.path.basename(home.executable)
    plan.add_file(f"{prefix}/bin/{name}", home.executable)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for alias in {"python", "python3", version} - {name}:
        plan.add_link(f"{prefix}/bin/{alias}", f"{prefix}/bin/{name}")
    plan.python = f"/{prefix}/bin/python3"
    place = prefix + home.library.removeprefix(home.prefix)
    for path in _library_files(home.library):
        if not path.endswith(".so") or _extension(path, libraries):
            plan.add_file(place + path.removeprefix(home.library), os.path.realpath(path))
    plan.directories.setdefault(f"{place}/lib-dynload", 0o755)  # a landmark, also when it is empty
    plan.watched.update({home.executable, home.library, f"{home.library}/lib-dynload"})
    return program


def _library_files(library: str) -> Iterator[str]:
    bytecode = f".{sys.implementation.cache_tag}.pyc"
    for directory, subdirectories, names in os.walk(library):
        subdirectories[:] = [
            name
            for name in subdirectories
            if name not in _LEFT_OUT and not name.startswith("config-")
        ]
        compiled = directory.endswith("/__pycache__")
        for name in names:
            if name.endswith(".a") or (compiled and not name.endswith(bytecode)):
                continue
            path = f"{directory}/{name}"
            if os.path.isfile(path) and os.access(path, os.R_OK):
                yield path


def _extension(path: str, libraries: Libraries) -> bool:
    """Whether an extension module is of use, with its libraries added."""
    if os.path.basename(path).startswith(_TESTING_MODULES):
        return False
    try:
        libraries.add(path)
    except (MissingLibraryError, NotElfError, OSError):
        return False
    return True
