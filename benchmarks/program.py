"""A program that uses isolate as a library, driven line by line: small, large, or with threads.

usage: python -m benchmarks.program KIND ROOT; each line of input is a number of launches at once,
each line of output the seconds that they took.
"""

from __future__ import annotations

import sys
import threading
import time

import isolate
from benchmarks.setup import MEMORY, PIDS

_LARGE = 300 << 20  # bytes
_THREADS = 8


def _launch(root: str) -> None:
    isolate.run(["/bin/true"], rootfs=f"dir:{root}", memory=MEMORY, pids=PIDS).check()


def _launch_at_once(root: str, copies: int) -> float:
    """Seconds for `copies` launches, each from a thread of its own."""
    threads = [threading.Thread(target=_launch, args=(root,)) for _ in range(copies - 1)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    _launch(root)
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def main() -> None:
    """Serve until the input ends."""
    kind, root = sys.argv[1:]
    ballast = bytearray(b"x" * _LARGE) if kind == "large" else b""
    if kind == "threads":
        for _ in range(_THREADS):
            threading.Thread(target=threading.Event().wait, daemon=True).start()
    for line in sys.stdin:
        print(_launch_at_once(root, int(line)), flush=True)
    del ballast


if __name__ == "__main__":
    main()
