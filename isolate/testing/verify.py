"""The contract suite run for a user: pytest inside, rows of results outside."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from isolate.backend import FEATURES
from isolate.errors import IsolateError
from isolate.linux import mount, namespaces
from isolate.testing.contract.promises import REFUSED
from isolate.testing.suite import TestBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ENDED = (
    pytest.ExitCode.OK,
    pytest.ExitCode.TESTS_FAILED,
    pytest.ExitCode.NO_TESTS_COLLECTED,
)
_MS_SHARED = 0x100000
PASS, FAIL, REFUSE, SKIP = "pass", "fail", "refused", "skip"


class Row:
    """One test of the contract and how it ended.

    Attributes:
        test: the test, as in `feature[view.pids]` or `exit_code[3]`.
        feature: the feature that it is about, None for one that every backend must pass.
        result: PASS, FAIL, REFUSE (not claimed, and refused as it must be), SKIP.
        reason: why it failed or was skipped, one line.
    """

    def __init__(self, test: str, result: str, reason: str) -> None:
        self.test = test
        found = re.fullmatch(r"feature\[(.*)\]", test)
        self.feature = found[1] if found else None
        self.result = result
        self.reason = reason

    @property
    def meaning(self) -> str:
        """What was tested, in words."""
        if self.feature is not None:
            return f"{self.feature}: {FEATURES[self.feature]}"
        return self.test.replace("_", " ").replace("[", " ").rstrip("]")

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "test": self.test,
            "feature": self.feature,
            "result": self.result,
            "reason": self.reason or None,
        }


class _Collector:
    """A plugin of pytest that turns the three reports of each test into a row."""

    def __init__(self, say: Callable[[Row], None]) -> None:
        self.rows: list[Row] = []
        self._say = say
        self._open: list[pytest.TestReport] = []
        self.errors: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._open.append(report)
        if report.when == "teardown":
            row = _row(self._open)
            self._open = []
            self.rows.append(row)
            self._say(row)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors.append(str(report.longrepr))


def verify(name: str, say: Callable[[Row], None], only: str | None = None) -> list[Row]:
    """Run the contract for a backend; `say` gets each row at once. `only` is pytest's `-k`.

    Raises IsolateError where the suite itself can't run.
    """
    collector = _Collector(say)
    with tempfile.TemporaryDirectory(prefix="isolate-verify.") as directory, _alone(name):
        with open(f"{directory}/pytest.ini", "w", encoding="ascii") as file:
            file.write("[pytest]\n")
        arguments = [
            *("-c", f"{directory}/pytest.ini", "--rootdir", directory),
            *("--basetemp", f"{directory}/tmp", "--noconftest", "-p", "no:cacheprovider"),
            *("-p", "no:terminal", *(("-k", only) if only else ())),
            *("--pyargs", "isolate.testing.suite"),
        ]
        status = pytest.main(arguments, plugins=[collector])
    if collector.errors or status not in _ENDED:
        if status == pytest.ExitCode.INTERRUPTED and not collector.errors:
            raise KeyboardInterrupt
        reason = collector.errors[0].splitlines()[-1] if collector.errors else str(status)
        raise IsolateError(f"the contract suite can't run: {reason}")
    return sorted(collector.rows, key=lambda row: row.feature is None)


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """The suite without plugins and options of pytest's that the user has for other work."""
    kept = dict(os.environ)
    os.environ.pop("PYTEST_ADDOPTS", None)
    os.environ.pop("PYTEST_PLUGINS", None)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    _own_mounts()
    TestBackend.name = name
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def _own_mounts() -> None:
    """A mount namespace, where this is root: what others mount is no leak of the backend's.

    Shared within, as a host's is with systemd: a mount that leaks out of a container is seen.
    """
    if os.geteuid() == 0:
        namespaces.unshare(namespaces.CLONE_NEWNS)
        mount.make_private("/")
        mount.mount(None, "/", None, mount.MS_REC | _MS_SHARED)


def _row(reports: list[pytest.TestReport]) -> Row:
    test = reports[0].nodeid.rpartition("::test_")[2]
    failed = [report for report in reports if report.failed]
    skipped = [report for report in reports if report.skipped]
    if failed:
        return Row(test, FAIL, "; ".join(_reason(report) for report in failed))
    if skipped:
        return Row(test, SKIP, _reason(skipped[0]))
    refused = any(key == REFUSED for report in reports for key, _value in report.user_properties)
    return Row(test, REFUSE if refused else PASS, "")


def _reason(report: pytest.TestReport) -> str:
    """One line: the message of what was raised, without pytest's frame around it."""
    found: Any = report.longrepr
    crash = getattr(found, "reprcrash", None)
    if crash is not None:
        text = str(crash.message)
    else:
        text = str(found[2]) if isinstance(found, tuple) else str(found)
    line = text.strip().partition("\n")[0]
    return line.removeprefix("isolate.testing.hold.Breach: ").removeprefix("Skipped: ")
