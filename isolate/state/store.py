"""The containers of a state directory: reserve an id, find one, list them all."""

from __future__ import annotations

import os

from isolate.errors import ExistsError, NotFoundError, StateError
from isolate.spec.record import shown
from isolate.state import lock
from isolate.state import root as state_root
from isolate.state.entry import Entry
from isolate.state.failures import state_error
from isolate.state.ids import check_id, is_id, new_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ATTEMPTS = 16  # at an id whose leftover is collected, or that vanishes while we look


class Store:
    """The state directory `root` (of `isolate.state.root.find`), absolute.

    `within` and `rmtree` are what `isolate.state.undo.undo` gets where a leftover is collected.
    Raises StateError where the directory isn't ours alone; it needn't exist.
    """

    __slots__ = ("rmtree", "root", "within")

    def __init__(
        self, root: str, *, within: Sequence[str] = (), rmtree: Callable[[str], None] | None = None
    ) -> None:
        self.within = tuple(within)
        self.rmtree = rmtree
        parent, name = os.path.split(os.path.abspath(root))
        # Of the way there, links are followed once, now: mountinfo knows only real paths.
        self.root = os.path.join(os.path.realpath(parent), name)
        if os.path.lexists(self.root):
            state_root.check(self.root)

    def locked(self) -> _Held:
        """`with store.locked():` keeps other processes from reserving and collecting; be brief.

        Not reentrant: a second one in the same process waits forever.
        """
        return _Held(f"{self.root}/{state_root.LOCK}")

    def reserve(self, name: str | None = None) -> Entry:
        """Make a container's directory and own it; without a name, under a new random id.

        What a dead owner left under that id is collected first. Raises ExistsError when the id is
        taken, StateError when it is no id or the state directory can't be written.
        """
        if not os.path.isdir(f"{self.root}/{state_root.TRASH}"):
            state_root.prepare(self.root)
        if name is not None:
            return self._reserve(check_id(name))
        for _ in range(_ATTEMPTS):
            try:
                return self._reserve(new_id())
            except ExistsError:
                continue
        raise StateError("no free random id was found", hint="name the container yourself")

    def _reserve(self, name: str) -> Entry:
        entry = Entry(self, name)
        for _ in range(_ATTEMPTS):
            with self.locked():
                if entry.make():
                    return entry
                stale = not entry.kept() and entry.try_lock_here()
            if stale:
                _collect(entry)
            elif entry.exists():
                break
        raise ExistsError(
            f"a container {name} exists, or is being created or removed",
            hint=f"choose another name, or `isolate delete {name}`",
        )

    def entry(self, name: str) -> Entry:
        """The entry of an id, whether or not there is such a container. Raises StateError."""
        return Entry(self, check_id(name))

    def get(self, text: str) -> Entry:
        """The container of that id, or of the only id that begins so. Raises NotFoundError."""
        if is_id(text):
            entry = Entry(self, text)
            if os.path.isdir(entry.directory) and not os.path.islink(entry.directory):
                return entry
        names = self._names()
        found = [name for name in names if text and name.startswith(text)]
        if len(found) == 1:
            return Entry(self, found[0])
        if found:
            raise NotFoundError(
                f"several containers begin with {text}", hint=f"they are: {_some(found)}"
            )
        raise NotFoundError(f"there is no container {shown(text)!r}", hint=_near(text, names))

    def list(self) -> tuple[Entry, ...]:
        """All containers, by id; also half-made ones and those with a dead owner."""
        return tuple(Entry(self, name) for name in self._names())

    def _names(self) -> tuple[str, ...]:
        path = f"{self.root}/{state_root.CONTAINERS}"
        try:
            with os.scandir(path) as entries:
                names = [
                    entry.name
                    for entry in entries
                    if is_id(entry.name) and entry.is_dir(follow_symlinks=False)
                ]
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise state_error(f"can't list {path}", error) from None
        return tuple(sorted(names))


class _Held:
    """The store's lock, held from `with` to its end."""

    __slots__ = ("_descriptor", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            self._descriptor = os.open(self._path, flags, 0o600)
            lock.take(self._descriptor)
        except OSError as error:
            self.__exit__()
            raise state_error(f"can't lock {self._path}", error) from None

    def __exit__(self, *_exception: object) -> None:
        if self._descriptor >= 0:
            # Not by closing alone: a child that another thread forks just now has a copy.
            lock.drop(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


def _collect(entry: Entry) -> None:
    from isolate.state.gc import collect_entry

    report = collect_entry(entry)
    if report.failures:
        raise StateError(
            f"what is left of an earlier container {entry.id} can't be removed: "
            + "; ".join(report.failures),
            hint="choose another name, or remove the cause and run `isolate gc`",
        )


def _near(text: str, names: tuple[str, ...]) -> str:
    import difflib

    near = difflib.get_close_matches(text, names)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"there are: {_some(names)}" if names else "there are no containers; see `isolate ps`"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
