"""The exception tree: every failure that a user can cause or must understand."""

from __future__ import annotations

EXIT_TIMEOUT = 124  # the exit statuses of isolate itself follow timeout(1) and docker-run(1)
EXIT_FAILURE = 125
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127


class IsolateError(Exception):
    """A failure with one line that says what and why, and one that says the remedy.

    `exit_status` is what the command line exits with when this ends `isolate run`.
    """

    exit_status = EXIT_FAILURE

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SpecError(IsolateError):
    """A spec is not valid; `path` names the place in the document (`mounts[2].target`)."""

    def __init__(self, path: str, problem: str, *, hint: str | None = None) -> None:
        super().__init__(
            f"{path}: {problem}" if path else problem,
            hint=hint
            or "`isolate run --help` lists the options, `isolate schema` the spec's fields",
        )
        self.path = path
        self.problem = problem


class UnsupportedError(IsolateError):
    """A backend can't honour what the spec asks for; nothing has been made."""


class InterruptedByError(IsolateError):
    """A signal came before the program was started; the exit status is 128 + its number."""

    def __init__(self, signal: int) -> None:
        super().__init__(f"interrupted by signal {signal} before the program was started")
        self.exit_status = 128 + signal


class HostError(IsolateError):
    """This host lacks something that is needed: a kernel facility, a permission, a program."""


class RootfsError(IsolateError):
    """A root filesystem can't be found, built, unpacked or mounted."""


class ArchiveError(RootfsError):
    """An archive is hostile or damaged; the message names the offending entry."""


class StateError(IsolateError):
    """The state directory or a container in it isn't as the operation needs it."""


class NotFoundError(StateError):
    """There is no container of that id."""


class ExistsError(StateError):
    """A container of that id exists already, or is being created."""


class PluginError(IsolateError):
    """A plugin is broken, missing or registered twice."""


class LaunchError(IsolateError):
    """A step of a launch failed in the container's first process, before the program ran."""


class ExecError(LaunchError):
    """The program could not be executed; `exit_status` is 126 or 127 as in a POSIX shell."""

    def __init__(self, message: str, *, found: bool, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_status = EXIT_NOT_EXECUTABLE if found else EXIT_NOT_FOUND


class ReceiptError(IsolateError):
    """What the kernel enforces is not what was asked for and promised."""
