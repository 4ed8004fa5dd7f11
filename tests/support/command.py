"""The command under test: `isolate`, with a state directory of its own."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from tests.support import installation, session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.accounts import Account

# Nothing of the caller's environment but this reaches the command.
_PASSED_ON = ("LANG", "LD_LIBRARY_PATH", "PATH", "TERM")


class Isolate:
    """Runs `isolate` as the user of the tests, or as an ordinary one.

    Attributes:
        state: the private state directory (ISOLATE_ROOT).
        cache: the cache directory (ISOLATE_CACHE), shared by the session's tests of that user.
        environment: what the command gets; a test may add to it.
        under: a command line that runs the command, as root: see `tests.support.old_kernel`.
    """

    def __init__(self, state: Path, cache: Path, account: Account | None = None) -> None:
        self.state = state
        self.cache = cache
        self.account = account
        self.under: tuple[str, ...] = ()
        self.installation = installation.for_anyone() if account else installation.own()
        self.environment = {
            **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            **(account.environment if account else {}),
            "ISOLATE_CACHE": str(cache),
            "ISOLATE_ROOT": str(state),
            # Compiled code is kept, as in an installation, but not in the checkout.
            "PYTHONPYCACHEPREFIX": str(session.directory() / f"pycache-{_uid(account)}"),
            "PYTHONWARNINGS": "error",
        }
        if self.installation.path is not None:
            self.environment["PYTHONPATH"] = self.installation.path

    def argv(self, *args: str) -> list[str]:
        """The command line; `-P` because a test's directory is no place for modules."""
        return self.words(self.installation.python, "-P", "-m", "isolate", *args)

    def words(self, *argv: str) -> list[str]:
        """The command line that runs `argv` as the command would be run."""
        words = self.account.argv(argv, self.state.parent) if self.account else list(argv)
        return [*self.under, *words]

    def __call__(
        self,
        *args: str,
        text: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float = 30,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run it and wait; `text` is its standard input, `check` fails the test on a failure."""
        done = subprocess.run(
            self.argv(*args),
            env={**self.environment, **(env or {})},
            cwd=self.state.parent,
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"exit status {done.returncode} of {args}:\n{done.stderr}")
        return done

    def popen(
        self,
        *args: str,
        env: Mapping[str, str] | None = None,
        stdin: int | None = subprocess.PIPE,
        stdout: int | None = subprocess.PIPE,
        stderr: int | None = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        """Start it with binary pipes; use it as a context manager, and end it."""
        return subprocess.Popen(
            self.argv(*args),
            env={**self.environment, **(env or {})},
            cwd=self.state.parent,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )


def prepare(directory: Path, account: Account | None) -> Isolate:
    """The command with a state directory below `directory`, and the cache of that user."""
    state = directory / "state"
    cache = session.directory() / f"cache-{_uid(account)}"
    pycache = session.directory() / f"pycache-{_uid(account)}"
    for made in (directory, state, cache, pycache):
        made.mkdir(mode=0o700, exist_ok=True)
        if account is not None:
            os.chown(made, account.uid, account.gid)
    return Isolate(state, cache, account)


def _uid(account: Account | None) -> int:
    return account.uid if account else os.geteuid()


def leftovers(state: Path) -> list[str]:
    """What stands in the directories of a state directory: containers, ranges in use, trash."""
    return sorted(str(path.relative_to(state)) for path in state.glob("*/*"))
