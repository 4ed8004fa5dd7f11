"""The needs of tests: who skips, who fails, and that every command's package is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from _pytest.outcomes import Skipped

from tests.support import needs

PACKAGES = Path(__file__).parents[1] / "system-packages.txt"


@pytest.mark.parametrize(
    ("require", "expected"),
    [
        ("", False),
        ("all", True),
        ("runc", True),
        ("root, runc", True),
        ("root", False),
        ("all,-runc", False),
        ("runc,-runc", False),
    ],
)
def test_what_isolate_require_demands(require: str, expected: bool) -> None:
    assert needs.demanded("runc", require) is expected


def test_unknown_need_is_an_error() -> None:
    with pytest.raises(LookupError, match="'rnuc' is no need"):
        needs.check_name("rnuc")


def test_missing_need_skips_unless_demanded(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "filesystem:nosuchfs"
    monkeypatch.setenv("ISOLATE_REQUIRE", "")
    with pytest.raises(Skipped, match="the kernel has no nosuchfs"):
        needs.require(name)
    monkeypatch.setenv("ISOLATE_REQUIRE", name)
    with pytest.raises(pytest.fail.Exception, match="the kernel has no nosuchfs"):
        needs.require(name)


def test_every_commands_package_is_listed() -> None:
    listed = {line.split("#")[0].strip() for line in PACKAGES.read_text().splitlines()}
    assert set(needs.COMMANDS.values()) <= listed
