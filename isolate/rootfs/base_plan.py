"""The plan of `base`: which file of the host goes where, decided before anything is copied."""

from __future__ import annotations

import os

from isolate.errors import RootfsError
from isolate.rootfs import base_files, base_python
from isolate.rootfs.elf import NotElfError
from isolate.rootfs.libraries import Libraries, MissingLibraryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.rootfs.elf import Elf

_MERGED = ("bin", "sbin", "lib", "lib64", "lib32", "libx32")


class Plan:
    """What base will hold. Keys are paths below the root, without a leading slash."""

    def __init__(self) -> None:
        self.directories: dict[str, int] = dict(base_files.DIRECTORIES)  # their modes
        self.files: dict[str, str] = {}  # the files of the host
        self.links: dict[str, str] = dict(base_files.LINKS)  # their targets
        self.texts: dict[str, bytes] = {}
        self.watched: set[str] = set()  # host paths; while these are unchanged, so is base
        self.python: str | None = None

    def add_file(self, place: str, source: str) -> None:
        """Copy a file of the host."""
        self.files[place] = source
        self._add_parents(place)

    def add_link(self, place: str, target: str) -> None:
        """Make a relative link to another place of the plan."""
        self.links[place] = os.path.relpath(target, os.path.dirname(place))
        self._add_parents(place)

    def add_text(self, place: str, content: str) -> None:
        """Make a small file."""
        self.texts[place] = content.encode()
        self._add_parents(place)

    def _add_parents(self, place: str) -> None:
        parent = os.path.dirname(place)
        while parent and parent not in self.directories:
            self.directories[parent] = 0o755
            parent = os.path.dirname(parent)


def merged(path: str) -> str:
    """The place of a host's path: the four old top directories are links into usr/."""
    place = path.lstrip("/")
    return f"usr/{place}" if place.partition("/")[0] in _MERGED else place


def make() -> Plan:
    """Look at the host and decide. Raises RootfsError on a host without a usable shell."""
    plan = Plan()
    home = base_python.find()
    libraries = Libraries((f"{home.prefix}/lib",) if home else ())
    # Python comes first, since the first who needs a library decides which file it is.
    python = base_python.add(plan, home, libraries) if home else None
    shell = _add_programs(plan, libraries)
    if python is not None and python.interpreter != shell.interpreter:
        raise RootfsError(
            f"{python.path} is built for another libc than /bin/sh: base can't hold both",
            hint="run isolate with the system's own Python, or name a root: dir:PATH, tar:PATH",
        )
    for name in base_files.LIBRARIES:
        libraries.add_named(name, shell)
    _add_libraries(plan, libraries, shell)
    _add_small_files(plan)
    return plan


def _add_programs(plan: Plan, libraries: Libraries) -> Elf:
    """Add the shells and the programs; the ELF file of the shell comes back."""
    scripts: list[tuple[str, str]] = []
    shell: Elf | None = None
    for name in (*base_files.SHELLS, *base_files.PROGRAMS):
        path = _find(name)
        if path is None:
            continue
        try:
            program = libraries.add(path)
        except NotElfError:
            scripts.append((name, path))
        except (MissingLibraryError, OSError):
            continue
        else:
            shell = shell or program
            _add_program(plan, name, path)
    if shell is None or "usr/bin/sh" not in {*plan.files, *plan.links}:
        raise RootfsError(
            "this host has no /bin/sh that base could be built around",
            hint="name a root of your own: dir:PATH or tar:PATH",
        )
    for name, path in scripts:
        if _interpreter_place(path) in {*plan.files, *plan.links}:
            _add_program(plan, name, path)
    return shell


def _find(name: str) -> str | None:
    for directory in base_files.PROGRAM_DIRECTORIES:
        path = f"{directory}/{name}"
        if os.path.isfile(path) and os.access(path, os.R_OK | os.X_OK):
            return path
    return None


def _add_program(plan: Plan, name: str, path: str) -> None:
    """Add a program under its name; one file with many names stays one file with links."""
    real = os.path.realpath(path)
    wanted = merged(f"{os.path.dirname(path)}/{name}")
    place = merged(real) if merged(real).startswith("usr/") else wanted
    plan.add_file(place, real)
    _watch_directories(plan, path)
    if wanted != place:
        plan.add_link(wanted, place)


def _watch_directories(plan: Plan, path: str) -> None:
    """Watch the directories on the way to a program, links (/etc/alternatives) included.

    Package managers replace programs by rename(2), which a directory's time shows. So a dozen
    directories stand for hundreds of files; and a program installed later is noticed too.
    """
    for _ in range(40):
        plan.watched.add(os.path.realpath(os.path.dirname(path)))
        if not os.path.islink(path):
            return
        path = os.path.join(os.path.dirname(path), os.readlink(path))


def _interpreter_place(path: str) -> str:
    """The place of the program that a script's first line names."""
    with open(path, "rb") as file:
        line = file.readline(256)
    words = line[2:].split() if line.startswith(b"#!") else []
    return merged(os.fsdecode(words[0])) if words else ""


def _add_libraries(plan: Plan, libraries: Libraries, shell: Elf) -> None:
    """Put every library into the directory of libc, which the loader searches without a cache."""
    libc = next((path for name, path in libraries.found.items() if name.startswith("libc.")), None)
    directory = merged(os.path.dirname(libc)) if libc else "usr/lib"
    loader = os.path.realpath(shell.interpreter) if shell.interpreter else None
    for name, path in libraries.found.items():
        plan.watched.add(libraries.witness(name, path))
        plan.add_file(f"{directory}/{os.path.basename(name)}", path)
    if loader and shell.interpreter:
        plan.watched.add(loader)
        place = f"{directory}/{os.path.basename(shell.interpreter)}"
        plan.add_file(place, loader)
        if merged(shell.interpreter) != place:
            plan.add_link(merged(shell.interpreter), place)


def _add_small_files(plan: Plan) -> None:
    for place, content in base_files.TEXTS.items():
        plan.add_text(place, content)
    for place, source in base_files.COPIES.items():
        if os.path.isfile(source):
            plan.add_file(place, os.path.realpath(source))
    release = next((path for path in base_files.OS_RELEASES if os.path.isfile(path)), None)
    if release is None:
        plan.add_text("usr/lib/os-release", base_files.OS_RELEASE)
    else:
        plan.add_file("usr/lib/os-release", os.path.realpath(release))
        plan.watched.add(release)
    for name in base_files.LOCALES:
        add_tree(plan, f"usr/lib/locale/{name}", f"/usr/lib/locale/{name}")
    for name in base_files.TERMINALS.split():
        _add_terminal(plan, f"{name[0]}/{name}")


def _add_terminal(plan: Plan, name: str) -> None:
    for directory in base_files.TERMINFO:
        if os.path.isfile(f"{directory}/{name}"):
            plan.add_file(f"usr/share/terminfo/{name}", os.path.realpath(f"{directory}/{name}"))
            return


def add_tree(plan: Plan, place: str, source: str) -> None:
    """Copy a directory with all below it, links as the files that they point to."""
    for directory, _subdirectories, names in os.walk(source):
        for name in names:
            path = f"{directory}/{name}"
            if os.path.isfile(path):
                plan.add_file(place + path.removeprefix(source), os.path.realpath(path))
