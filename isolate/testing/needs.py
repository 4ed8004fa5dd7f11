"""What a contract test wants of its host; without it it skips, or fails if ISOLATE_REQUIRE says so.

`ISOLATE_REQUIRE` is `all`, or names separated by commas; `all,-kvm` leaves one out. The names are
`backend:NAME` (the backend works here) and those that the tests below give.
"""

from __future__ import annotations

import os

import pytest


def need(met: object, name: str, reason: str) -> None:
    """Go on if the need is met; else skip the test, or fail it where it is required."""
    if met:
        return
    if is_required(name, os.environ.get("ISOLATE_REQUIRE", "")):
        pytest.fail(f"needs {name}: {reason}; ISOLATE_REQUIRE demands it", pytrace=False)
    pytest.skip(f"needs {name}: {reason}")  # noqa: TID251 - the one place that skips


def is_required(name: str, text: str) -> bool:
    """Whether the value of ISOLATE_REQUIRE makes a missing need a failure."""
    words = [word.strip() for word in text.split(",")]
    return f"-{name}" not in words and ("all" in words or name in words)
