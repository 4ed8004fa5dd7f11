"""Metrics of the kernel's services, by lmbench's methods; the loops are in `inside.kernel`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from isolate.compare.metric import Metric

if TYPE_CHECKING:
    from isolate.compare.bench import Bench

WORKLOADS = "isolate.compare.inside.kernel"


class _Loop(Metric):
    """A workload that needs nothing but the time that it may take."""

    unit = "s"
    function: ClassVar[str]

    def sample(self, bench: Bench) -> float:
        return bench.work(f"{WORKLOADS}:{self.function}", seconds=self.options.seconds)


class SystemCall(_Loop):
    """One getppid(2)."""

    function = "syscall"


class ForkExec(_Loop):
    """One fork(2), execve(2), exit and wait."""

    function = "fork_exec"


class ContextSwitch(_Loop):
    """One switch between two processes on one CPU."""

    quick = False
    function = "context_switch"


class PageFault(_Loop):
    """One minor fault."""

    quick = False
    function = "page_fault"
