"""Fixtures of the tests that need root."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.detached import Detached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.command import Isolate


@pytest.fixture
def detached(isolate_cmd: Isolate) -> Iterator[Detached]:
    """Detached containers, deleted when the test ends."""
    made = Detached(isolate_cmd)
    yield made
    made.finish()
