"""A small process that starts programs and takes their time, from the start to the reaping.

It is small because a large parent would be part of what is measured, and a process because some
peers want a mount namespace without cgroup version 2 beside version 1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

UNIFIED = "/sys/fs/cgroup/unified"


class Spawner:
    """The process; `run` starts `copies` of a command at once and waits for all of them."""

    def __init__(self, *, without_unified: bool = False) -> None:
        """`without_unified`: its mount namespace lacks cgroup version 2 (crun takes no hybrid)."""
        wrap = ["unshare", "--mount", "--propagation", "private"] if without_unified else []
        environment = {key: value for key, value in os.environ.items() if "PYTHON" not in key}
        self._process = subprocess.Popen(
            [*wrap, sys.executable, "-m", "benchmarks.spawner", *(["bare"] if wrap else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def run(self, argv: Sequence[str], copies: int = 1) -> float:
        """Seconds from the first start to the last end. Raises RuntimeError for a failure."""
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdin.write(json.dumps([list(argv), copies]) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        if answer["failed"]:
            raise RuntimeError(f"{' '.join(argv)} failed: {answer['failed']}")
        return float(answer["seconds"])

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _copy(argv: list[str], number: int) -> list[str]:
    """`{}` in the words is the copy's own number: runtimes want a name for each container."""
    return [word.replace("{}", str(number)) for word in argv]


def _serve() -> None:
    serial = 0
    null = os.open(os.devnull, os.O_RDWR)
    for line in sys.stdin:
        argv, copies = json.loads(line)
        serial += copies
        words = [_copy(argv, serial - number) for number in range(copies)]
        streams = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1)]
        began = time.perf_counter()
        pids = [os.posix_spawnp(each[0], each, os.environ, file_actions=streams) for each in words]
        ends = [os.waitpid(pid, 0)[1] for pid in pids]
        seconds = time.perf_counter() - began
        print(json.dumps({"seconds": seconds, "failed": [end for end in ends if end]}), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["bare"] and os.path.ismount(UNIFIED):
        subprocess.run(["umount", "--lazy", UNIFIED], check=True)
    _serve()
