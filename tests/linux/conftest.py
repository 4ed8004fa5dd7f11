"""Fixtures of the tests that need no root."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import needs

if TYPE_CHECKING:
    from tests.support.command import Isolate


@pytest.fixture(params=["subids", "single"])
def anyone(request: pytest.FixtureRequest, rootless_cmd: Isolate, plain_cmd: Isolate) -> Isolate:
    """An ordinary user with subordinate ids, and one without."""
    if request.param == "subids":
        needs.require("newuidmap")
        return rootless_cmd
    return plain_cmd
