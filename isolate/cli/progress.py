"""A progress bar on standard error, with the time left; nothing where that is no terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from isolate.compare.watch import Watch

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar(Watch):
    """Shows the stage, what is done in it now, and how long it will take."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._progress = _progress()
            self._progress.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def stage(self, name: str) -> None:
        if self._progress is not None:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(name, total=1.0, now="")

    def say(self, text: str, done: float) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, now=text)


def _progress() -> Progress:
    """Rich's, which goes away when it ends; imported only where somebody looks."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TimeRemainingColumn(),
        TextColumn("{task.fields[now]}", markup=False),
        console=Console(stderr=True),
        transient=True,
    )
