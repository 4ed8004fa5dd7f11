"""Metrics of files: metadata, and reading and writing, by own loops and by fio."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, ClassVar

from isolate.compare import tools
from isolate.compare.bench import per_operation
from isolate.compare.metric import Metric, Series
from isolate.compare.metrics.kernel import WORKLOADS

if TYPE_CHECKING:
    from isolate.compare.bench import Bench

_MIB = {True: 16, False: 64}  # size of a file, by `quick`
_FIO_FILE = 64 << 20  # bytes of fio's, which it goes over several times


class Metadata(Metric):
    """One file's create, stat and unlink."""

    unit = "s"

    def sample(self, bench: Bench) -> float:
        return bench.work(
            f"{WORKLOADS}:metadata", seconds=self.options.seconds, directory=bench.directory
        )


class Io(Metric):
    """Sequential writes and reads by the MiB, random reads by the page."""

    unit = "s"
    quick = False
    _LOOPS: ClassVar = {
        "write": "write a MiB of a file in sequence, fsync included",
        "read": "read a MiB of a file in sequence, from the page cache",
        "random_read": "read a page somewhere in a file, from the page cache",
    }

    def series(self, name: str, summary: str) -> dict[str, Series]:
        return {f"{name}.{loop}": Series(self.unit, words) for loop, words in self._LOOPS.items()}

    def sample(self, bench: Bench) -> dict[str, float]:
        mib = _MIB[self.options.quick]
        return {
            f"io.{loop}": bench.work(
                f"{WORKLOADS}:{loop}",
                seconds=self.options.seconds,
                directory=bench.directory,
                mib=mib,
            )
            for loop in self._LOOPS
        }


class Fio(Metric):
    """fio's sequential write, and random reads, a file's worth less fio's own start and end."""

    unit = "s"
    quick = False
    blocks = 10
    _JOBS: ClassVar = {
        "write": ("write", 1 << 20, 256 << 20, "write a MiB of a file in sequence, with fsync"),
        "random_read": (
            "randread",
            4096,
            256 << 20,
            "read a page somewhere in a file, from the page cache",
        ),
    }

    def series(self, name: str, summary: str) -> dict[str, Series]:
        return {f"{name}.{job}": Series(self.unit, row[3]) for job, row in self._JOBS.items()}

    def unavailable(self, bench: Bench) -> str | None:
        return tools.unavailable("fio", bench.subject)

    def sample(self, bench: Bench) -> dict[str, float]:
        return {f"fio.{job}": self._run(bench, *row[:3]) for job, row in self._JOBS.items()}

    def _run(self, bench: Bench, kind: str, block: int, amount: int) -> float:
        """Seconds for a block, of so many bytes altogether."""
        with tools.carried("fio", bench.subject) as tool:
            job = shlex.join(
                [
                    *tool.argv,
                    *("--name=isolate", f"--directory={bench.directory}", "--ioengine=psync"),
                    *(f"--rw={kind}", f"--bs={block}", f"--size={_FIO_FILE}", "--thread"),
                    *("--end_fsync=1", "--invalidate=0", "--unlink=1"),
                ]
            )
            script = tools.timed(f"{job} --io_size={amount}", f"{job} --io_size={block}")
            launched = bench.launch(
                ["sh", "-c", f"{script}; echo {amount // block}"], tool.overlay, paced=True
            )
        return per_operation(launched)
