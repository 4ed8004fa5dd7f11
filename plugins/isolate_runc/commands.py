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

    def kill(self, signal: int, *, everyone: bool = False) -> list[str]:
        """Send a signal to the program, or to every process."""
        words = self._line("kill", *(["--all"] if everyone else []))
        return [*words, str(signal)]

    def exec(
        self,
        process: str,
        *,
        pid_file: str | None = None,
        console: str | None = None,
        detach: bool = False,
    ) -> list[str]:
        """Run one more process; `process` is a file with OCI's process object."""
        words = ["--process", process]
        words += ["--pid-file", pid_file] if pid_file else []
        words += ["--console-socket", console] if console else []
        words += ["--detach"] if detach else []
        return self._line("exec", *words)

    def pause(self) -> list[str]:
        """Freeze every process."""
        return self._line("pause")

    def resume(self) -> list[str]:
        """Let them run on."""
        return self._line("resume")

    def update(self, resources: str) -> list[str]:
        """Change the limits; `resources` is a file with OCI's linux.resources object."""
        return self._line("update", "--resources", resources)

    def events(self) -> list[str]:
        """Print the accounts once, as JSON."""
        return self._line("events", "--stats")
