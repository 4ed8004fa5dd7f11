"""Detached containers under test: a busybox root, the supervisor's processes, what is logged."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from isolate.runtime.stores import open_store
from isolate.supervisor import client
from tests.support import roots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from subprocess import CompletedProcess

    from tests.support.command import Isolate

PATIENCE = 20.0  # seconds for what must happen soon


class Detached:
    """`isolate` for containers in the background, all with one small root."""

    def __init__(self, isolate: Isolate) -> None:
        self.isolate = isolate
        self.root = roots.busybox(isolate.state.parent / "root")
        self.store = open_store(str(isolate.state))

    def __call__(self, *args: str, check: bool = True, **rest: Any) -> CompletedProcess[str]:
        """Run the command."""
        return self.isolate(*args, check=check, **rest)

    def run(self, name: str, script: str, *options: str) -> None:
        """Start a shell script in the background."""
        where = ("--rootfs", f"dir:{self.root}")
        self("run", "-d", "--name", name, *where, *options, "--", "sh", "-c", script)

    def run_many(self, scripts: dict[str, str], *options: str) -> None:
        """Start many at once."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda item: self.run(*item, *options), scripts.items()))

    def wait(self, name: str) -> str:
        """The exit code that `isolate wait` prints."""
        return self("wait", name).stdout.strip()

    def logs(self, name: str, *options: str) -> str:
        """What the program wrote to its standard output."""
        return self("logs", *options, name).stdout

    def inspect(self, name: str) -> dict[str, Any]:
        """What is recorded."""
        found: dict[str, Any] = json.loads(self("inspect", name).stdout)[0]
        return found

    def statuses(self) -> dict[str, str]:
        """The status of each container, by `isolate ps`."""
        return {row["id"]: row["status"] for row in json.loads(self("ps", "--json").stdout)}

    def pid(self, name: str) -> int:
        """The first process."""
        number: int = self.inspect(name)["handle"]["pid"]
        return number

    def supervisor(self) -> list[int]:
        """The pids of the worker and of its guardian; of the worker alone when that is dead."""
        told = client.request(self.store, "ping")
        return [pid for pid in (told["pid"], told["guardian"]) if pid is not None]

    def kill(self, *pids: int) -> None:
        """SIGKILL processes of the supervisor, and see them gone."""
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        until(lambda: not any(alive(pid) for pid in pids))

    def finish(self) -> None:
        """Delete every container."""
        for entry in self.store.list():
            self("delete", "--force", entry.id, check=False)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie doesn't."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(done: Callable[[], object]) -> None:
    """Wait until something is so; fail when it isn't in time."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, "it didn't happen"
        time.sleep(0.02)


def lines(count: int) -> str:
    """What `counting` writes."""
    return "".join(f"line {number}\n" for number in range(count))


def counting(count: int, code: int, pause: int = 20000) -> str:
    """A script that writes numbered lines, one each `pause` microseconds, and exits."""
    return (
        f"i=0; while [ $i -lt {count} ]; do echo line $i; i=$((i+1)); usleep {pause}; done; "
        f"exit {code}"
    )


def values(rows: Iterable[dict[str, Any]], key: str) -> list[Any]:
    """One column."""
    return [row[key] for row in rows]
