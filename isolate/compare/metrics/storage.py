"""Metrics of files: metadata, and reading and writing, by own loops and by fio."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from isolate.compare import tools
from isolate.compare.bench import per_operation
from isolate.compare.metric import Metric, Series
from isolate.compare.metrics.kernel import WORKLOADS

if TYPE_CHECKING:
    from isolate.compare.bench import Bench

_MIB = {True: 16, False: 64}  # size of a file, by `quick`


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
        "write": ("write", 1 << 20, "write a MiB of a file in sequence, fsync included"),
        "random_read": ("randread", 4096, "read a page somewhere in a file"),
    }

    def series(self, name: str, summary: str) -> dict[str, Series]:
        return {f"{name}.{job}": Series(self.unit, row[2]) for job, row in self._JOBS.items()}

    def unavailable(self, bench: Bench) -> str | None:
        return tools.unavailable("fio", bench.subject)

    def sample(self, bench: Bench) -> dict[str, float]:
        return {f"fio.{job}": self._run(bench, *row[:2]) for job, row in self._JOBS.items()}

    def _run(self, bench: Bench, kind: str, block: int) -> float:
        size = _MIB[self.options.quick] << 20
        with tools.carried("fio", bench.subject) as tool:
            job = [
                *tool.argv,
                *("--name=isolate", f"--directory={bench.directory}", "--ioengine=psync"),
                *(f"--rw={kind}", f"--bs={block}", f"--size={size}", "--output-format=terse"),
                *("--end_fsync=1", "--allow_file_create=1", "--unlink=1", "--thread"),
            ]
            script = tools.timed(f"{_quoted(job)} --io_size={size}", f"{_quoted(job)} --io_size=1")
            launched = bench.launch(["sh", "-c", f"{script}; echo {size // block}"], tool.overlay)
        return per_operation(launched)


def _quoted(words: list[str]) -> str:
    import shlex

    return shlex.join(words)
