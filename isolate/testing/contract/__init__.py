"""The contract of a backend: what every backend must do, whatever it claims."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, ClassVar

import pytest

from isolate.plugins import load
from isolate.testing import processes
from isolate.testing.contract.lifecycle import LifecycleContract
from isolate.testing.contract.programs import ProgramsContract
from isolate.testing.contract.promises import PromisesContract
from isolate.testing.features import CONTRACTS
from isolate.testing.hold import breach, nothing
from isolate.testing.lab import Lab
from isolate.testing.needs import need

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import FrameType


class BackendContract(PromisesContract, ProgramsContract, LifecycleContract):
    """The whole contract, once it is subclassed under a name that begins with `Test`.

        class TestMine(BackendContract):
            name = "mine"

    A claimed feature is tested for real, one that isn't claimed must be refused. Where `check`
    finds a problem every test is skipped, or fails if ISOLATE_REQUIRE demands `backend:NAME`.

    Attributes:
        name: the backend's name, as its entry point has it.
        root: the root filesystem; it must hold `sh`, coreutils and a Python.
        exit_codes: the exit codes that are tried.
        patience: seconds after which a test that hangs is ended.
    """

    name: ClassVar[str]
    root: ClassVar[str] = "base"
    exit_codes: ClassVar[Sequence[int]] = (0, 1, 2, 63, 64, 100, 124, 125, 126, 127, 128, 137, 255)
    patience: ClassVar[float] = 60.0

    @pytest.fixture
    def lab(self, tmp_path: Path) -> Iterator[Lab]:
        """Where the backend is tried out; fails the test that leaves anything behind."""
        problems = load(self.name).check()
        reason = "; ".join(f"{one.what} ({one.remedy})" for one in problems)
        need(not problems, f"backend:{self.name}", reason)
        lab = Lab(self.name, str(tmp_path), self.root)
        os.environ[processes.HELPER] = lab.token
        try:
            yield lab
        finally:
            lab.close()
            del os.environ[processes.HELPER]
        nothing(lab.traces.left(), "left behind")

    @pytest.fixture(autouse=True)
    def _patience(self) -> Iterator[None]:
        """End a test that hangs."""

        def give_up(_number: int, _frame: FrameType | None) -> None:
            breach(f"it took longer than {self.patience} s")

        before = signal.signal(signal.SIGALRM, give_up)
        rest, interval = signal.setitimer(signal.ITIMER_REAL, self.patience)
        try:
            yield
        finally:
            signal.signal(signal.SIGALRM, before)
            signal.setitimer(signal.ITIMER_REAL, rest, interval)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test for each feature and exit code."""
        if "feature" in metafunc.fixturenames:
            metafunc.parametrize("feature", CONTRACTS)
        if "exit_code" in metafunc.fixturenames and metafunc.cls is not None:
            metafunc.parametrize("exit_code", metafunc.cls.exit_codes)


__all__ = ["BackendContract"]
