"""The command lines of an OCI runtime: runc(8), crun(1), and whatever takes the same words."""

from __future__ import annotations

LOG = "runtime.log"
STATE = "runtime"
PID = "runtime.pid"


class Commands:
    """Builds argument lists; runs nothing.

    Attributes:
        path: the runtime's binary.
        directory: the container's directory, which is its bundle and holds the runtime's state.
        id: the container's id.
    """

    __slots__ = ("directory", "id", "path")

    def __init__(self, path: str, directory: str, id: str) -> None:
        self.path = path
        self.directory = directory
        self.id = id

    def _line(self, verb: str, *words: str) -> list[str]:
        log = ("--log", f"{self.directory}/{LOG}", "--log-format", "json")
        return [self.path, "--root", f"{self.directory}/{STATE}", *log, verb, *words, self.id]

    def create(self, console: str | None = None) -> list[str]:
        """Make the container; `console` is a socket that is sent the terminal's master."""
        words = ["--bundle", self.directory, "--pid-file", f"{self.directory}/{PID}"]
        return self._line("create", *words, *(["--console-socket", console] if console else []))

    def start(self) -> list[str]:
        """Execute the program."""
        return self._line("start")

    def state(self) -> list[str]:
        """Print the state as JSON (runtime.md, State)."""
        return self._line("state")

    def delete(self, *, force: bool = False) -> list[str]:
        """Undo `create`; with `force` also of what runs."""
        return self._line("delete", *(["--force"] if force else []))

    def pause(self) -> list[str]:
        """Freeze every process."""
        return self._line("pause")

    def resume(self) -> list[str]:
        """Let them run on."""
        return self._line("resume")
