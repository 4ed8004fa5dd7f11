"""The contracts of the limits: each is exceeded."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from isolate.testing.features.base import FeatureContract, if_claimed
from isolate.testing.hold import hold, nothing, same
from isolate.testing.needs import need

if TYPE_CHECKING:
    from isolate.testing.lab import Document, Lab, Ran

MIB = 2**20

_ALLOCATE = """
block = bytearray(given[0])
for at in range(0, len(block), 4096):
    block[at] = 1
emit("survived")
"""

_SPIN = """
emit("began")
deadline = time.monotonic() + given[0]
while time.monotonic() < deadline:
    pass
emit(time.process_time())
"""

# Rivals are measured in one window of time, by the clock that every container shares.
_RIVAL = """
used = []
for end in given:
    while time.time() < end:
        pass
    used.append(time.process_time())
emit(used[1] - used[0])
"""

_FORK = """
children = []
def fork():
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    children.append(child)
while len(children) < 100 and not attempt(fork):
    pass
emit(len(children))
for child in children:
    os.kill(child, 9)
    os.waitpid(child, 0)
"""

# A tree that keeps forking: each process is replaced by a child of its own, in its own session,
# some as fast as they can; and one that only waits, which the host finds most easily.
FORKING = """
def hop(pause):
    while True:
        if os.fork():
            os._exit(0)
        os.setsid()
        time.sleep(pause)
for pause in (0.002, 0.002, 0.05, 60):
    if os.fork() == 0:
        hop(pause)
emit("forking")
while True:
    time.sleep(1)
"""

_WRITE = """
data = mmap.mmap(-1, 2**20)
file = os.open("/contract-io", os.O_CREAT | os.O_WRONLY | os.O_DIRECT, 0o600)
began = time.monotonic()
for _ in range(given[0]):
    os.write(file, data)
emit(time.monotonic() - began)
"""


class Memory(FeatureContract):
    """A memory limit for the whole container."""

    feature = "limits.memory"

    def ask(self, lab: Lab) -> Document:
        return {"limits": {"memory": 64 * MIB}}

    def prove(self, lab: Lab) -> None:
        swapless = if_claimed(lab, "limits.memory_swap", {"limits": {"memory_swap": 0}})
        prove_exceeded(lab, self.ask(lab), swapless)


class Swap(FeatureContract):
    """A swap limit."""

    feature = "limits.memory_swap"

    def ask(self, lab: Lab) -> Document:
        return {"limits": {"memory": 64 * MIB, "memory_swap": 0}}

    def prove(self, lab: Lab) -> None:
        prove_exceeded(lab, self.ask(lab))


def prove_exceeded(lab: Lab, *documents: Document) -> None:
    """Below the limit works, above it the program doesn't survive."""
    below = lab.run(lab.script(_ALLOCATE, 16 * MIB), *documents)
    hold(b"survived" in below.stdout, f"16 MiB of 64 can't be had: {below.status}")
    above = lab.run(lab.script(_ALLOCATE, 256 * MIB), *documents)
    hold(b"survived" not in above.stdout, "256 MiB could be had, the limit is 64")
    hold(above.result.exit_status != 0, "a program out of memory ended well")


class Cpus(FeatureContract):
    """A bound on CPU time."""

    feature = "limits.cpus"

    def ask(self, lab: Lab) -> Document:
        return {"limits": {"cpus": 0.2}}

    def prove(self, lab: Lab) -> None:
        ran = lab.run(lab.script(_SPIN, 0.8), self.ask(lab))
        used = float(ran.stdout.split()[-1])
        hold(used < 0.45, f"{used:.2f} s of CPU time in 0.8 s, the bound is 0.2 CPUs")


class Weight(FeatureContract):
    """A share of contended CPU time."""

    feature = "limits.cpu_weight"

    def ask(self, lab: Lab) -> Document:
        return {"limits": {"cpu_weight": 1000}}

    def prove(self, lab: Lab) -> None:
        allowed = os.sched_getaffinity(0)
        cpu = min(allowed)
        pin = if_claimed(lab, "limits.cpuset", {"limits": {"cpuset": str(cpu)}})
        os.sched_setaffinity(0, {cpu})  # inherited, where cpuset isn't claimed
        try:
            rivals = [
                lab.create(lab.script(_RIVAL, *window), {"limits": {"cpu_weight": weight}}, pin)
                for window in [_window()]
                for weight in (10, 1000)
            ]
            for rival in rivals:
                rival.start()
        finally:
            os.sched_setaffinity(0, allowed)
        light, heavy = (float(rival.emitted()) for rival in rivals)
        hold(heavy > 3 * light, f"weights 10 and 1000 got {light:.2f} and {heavy:.2f} s")


def _window() -> tuple[float, float]:
    """When rivals compete: late enough that both stand ready."""
    return time.time() + 2.0, time.time() + 2.8


class Cpuset(FeatureContract):
    """Chosen CPUs."""

    feature = "limits.cpuset"

    def ask(self, lab: Lab) -> Document:
        return {"limits": {"cpuset": str(max(os.sched_getaffinity(0)))}}

    def prove(self, lab: Lab) -> None:
        chosen = max(os.sched_getaffinity(0))
        source = (
            "before = sorted(os.sched_getaffinity(0))\n"
            "attempt(os.sched_setaffinity, 0, range(given[0]))\n"
            "emit([before, sorted(os.sched_getaffinity(0))])"
        )
        found = lab.ask(source, self.ask(lab), given=[os.cpu_count() or 1])
        same(found, [[chosen], [chosen]], "the CPUs, before and after an attempt to get all")


class Pids(FeatureContract):
    """A bound on tasks."""

    feature = "limits.pids"

    def ask(self, lab: Lab) -> Document:
        return {"limits": {"pids": 20}}

    def prove(self, lab: Lab) -> None:
        count = lab.ask(_FORK, self.ask(lab))
        hold(0 < count <= 20, f"{count} children could be forked, the bound is 20 tasks")


class Io(FeatureContract):
    """Bounds per block device."""

    feature = "limits.io"

    def ask(self, lab: Lab) -> Document:
        return {"limits": {"io": [{"device": _device(lab), "wbps": MIB}]}}

    def prove(self, lab: Lab) -> None:
        seconds = lab.ask(f"import mmap\n{_WRITE}", self.ask(lab), given=[2])
        hold(seconds > 0.8, f"2 MiB were written in {seconds:.2f} s, the bound is 1 MiB/s")


def _device(lab: Lab) -> str:
    """The block device below the writable layers; of a partition, the whole disk."""
    number = os.stat(lab.directory).st_dev
    path = os.path.realpath(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    need(os.path.exists(path), "block_device", f"{lab.directory} lies on no block device")
    if os.path.exists(f"{path}/partition"):
        path = os.path.dirname(path)
    with open(f"{path}/dev", encoding="ascii") as file:
        return file.read().strip()


class Timeout(FeatureContract):
    """A deadline that ends every process, forking ones too."""

    feature = "limits.timeout"

    def ask(self, lab: Lab) -> Document:
        return {"limits": {"timeout": 0.5}}

    def prove(self, lab: Lab) -> None:
        ran: Ran = lab.run(lab.script(FORKING), self.ask(lab))
        hold(b"forking" in ran.stdout, f"the program didn't get to fork: {ran.stderr!r}")
        hold(ran.result.timed_out, "the deadline didn't end it")
        nothing(lab.traces.left(), "the deadline left")


class Output(FeatureContract):
    """A bound on output."""

    feature = "limits.output"

    def ask(self, lab: Lab) -> Document:
        return {"limits": {"output": 1000}}

    def prove(self, lab: Lab) -> None:
        source = "while True:\n    sys.stdout.write('x' * 100)\n    sys.stdout.flush()"
        ran = lab.run(lab.script(source), self.ask(lab))
        hold(ran.result.output_exceeded, "the bound didn't end it")
        same(len(ran.stdout), 1000, "the bytes that came out")


CONTRACTS = (Memory, Swap, Cpus, Weight, Cpuset, Pids, Io, Timeout, Output)
