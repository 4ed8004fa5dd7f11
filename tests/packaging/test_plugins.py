"""Third-party plugins: a good one is first-class at once, a broken one breaks only itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.packaging.conftest import Environment

pytestmark = [pytest.mark.timeout(300), pytest.mark.needs("index")]


@pytest.fixture(scope="session")
def rows(environment: Environment, plugins: Path) -> list[dict[str, Any]]:
    """`isolate backends --json` where every plugin of the tests is installed."""
    done = environment.run(environment.command, "backends", "--json", path=plugins)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    parsed: list[dict[str, Any]] = json.loads(done.stdout)
    return parsed


def test_the_good_one_is_first_class(rows: list[dict[str, Any]]) -> None:
    (row,) = [row for row in rows if row["name"] == "good"]
    assert row["distribution"] == "isolate-test-good"
    assert row["version"] == "1.2.3"
    assert row["usable"] is True
    assert row["problems"] == []
    assert row["features"] == ["root"]


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        ("absent", "isolate_test_nowhere"),
        ("duplicate", "chroot is registered by isolate-runtime and by isolate-test-duplicate"),
        ("exiting", "SystemExit"),
        ("failing", "RuntimeError"),
        ("future", "99"),
        ("impostor", "chroot"),
        ("incomplete", "delete"),
        ("raising", "ZeroDivisionError"),
        ("stranger", "Stranger is no subclass"),
    ],
)
def test_the_broken_are_listed_with_reason_and_distribution(
    rows: list[dict[str, Any]], plugin: str, reason: str
) -> None:
    (row,) = [row for row in rows if row["distribution"] == f"isolate-test-{plugin}"]
    assert row["version"] == "1.2.3"
    assert row["usable"] is False
    assert row["features"] == []
    assert reason in row["problems"][0]["what"]


def test_a_duplicated_name_means_neither(rows: list[dict[str, Any]]) -> None:
    """A stranger's `chroot` must not pass for ours, so ours has to be asked for in full."""
    same = [row for row in rows if row["name"] == "chroot"]
    assert [row["distribution"] for row in same] == ["isolate-runtime", "isolate-test-duplicate"]
    assert same[0]["problems"] == same[1]["problems"]
    assert not same[0]["usable"]


def test_the_full_name_is_never_ambiguous(environment: Environment, plugins: Path) -> None:
    run = ("run", "--backend=isolate-runtime:chroot", "--rootfs=host", "--dry-run", "--", "true")
    done = environment.run(environment.command, *run, path=plugins)
    assert (done.returncode, done.stderr) == (0, "")
    bare = environment.run(environment.command, "run", "--backend=chroot", "true", path=plugins)
    assert bare.returncode == 125
    assert "isolate-test-duplicate:chroot" in bare.stderr


def test_the_table_is_safe_for_a_terminal(environment: Environment, plugins: Path) -> None:
    done = environment.run(environment.command, "backends", path=plugins)
    assert done.returncode == 0
    assert "isolate-test-failing" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert not [line for line in done.stdout.splitlines() if line.startswith("error: forged")]


def test_other_commands_go_on(environment: Environment, plugins: Path) -> None:
    done = environment.run(environment.command, "version", path=plugins)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_plan_of_a_third_partys_backend(environment: Environment, plugins: Path) -> None:
    run = ("run", "--backend=good", "--dry-run", "--", "true")
    done = environment.run(environment.command, *run, path=plugins)
    assert (done.returncode, done.stderr) == (0, "")
    assert "pretend: true" in done.stdout


def test_running_with_a_broken_backend_says_why(environment: Environment, plugins: Path) -> None:
    run = ("run", "--backend=failing", "--", "true")
    done = environment.run(environment.command, *run, path=plugins)
    assert done.returncode == 125
    assert done.stderr.startswith("error: ")
    assert "isolate-test-failing" in done.stderr
    assert "\x1b" not in done.stderr
