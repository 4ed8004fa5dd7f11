"""Containers whose runtime dies at a chosen point."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.command import Isolate

_numbers = itertools.count()


class Victim:
    """One container, run again and again by a process that is killed on the way."""

    def __init__(self, isolate: Isolate, backend: str, spec: dict[str, Any]) -> None:
        self.isolate = isolate
        self._asked = {
            "state": str(isolate.state),
            "backend": backend,
            "id": "victim",
            "spec": spec,
        }
        self._home = isolate.state.parent
        source = Path(__file__).parent / "fault_driver.py"
        self._driver = self._home / "fault_driver.py"
        shutil.copyfile(source, self._driver)
        self._driver.chmod(0o644)

    def run(self, at: int | None = None) -> tuple[int, list[str]]:
        """Exit code (negative: the signal) and the points passed; death at point number `at`."""
        trace = self._home / f"trace{next(_numbers)}"
        text = json.dumps({**self._asked, "at": at, "trace": str(trace)})
        words = self.isolate.words(self.isolate.installation.python, "-P", str(self._driver), text)
        done = subprocess.run(
            words,
            env=self.isolate.environment,
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert "Traceback" not in done.stderr, done.stderr
        names = trace.read_text().split("\n")[:-1] if trace.exists() else []
        return done.returncode, names
