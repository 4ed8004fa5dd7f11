"""Fixtures of the tests that need root."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from isolate import aio
from isolate.helper.client import HELPER
from tests.support import backends, guest, session
from tests.support.detached import Detached

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Isolate


@pytest.fixture(scope="session")
def guest_kernel() -> guest.Kernel:
    """The distribution's kernel for virtual machines."""
    return guest.Kernel(session.directory() / "kernel")


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """One of our own backends: `parametrize("backend", able(...), indirect=True)`."""
    name = str(request.param)
    backends.require(name)
    return name


@pytest.fixture
def detached(isolate_cmd: Isolate) -> Iterator[Detached]:
    """Detached containers, deleted when the test ends."""
    made = Detached(isolate_cmd)
    yield made
    made.finish()


@pytest.fixture
def options(busybox: Path, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """For the Python API: a small root and a state directory of its own, which the test leaves
    empty; the helper ends with the test."""
    state = tmp_path / "state"
    yield {"rootfs": f"dir:{busybox}", "root": str(state)}
    HELPER.close()
    for threads in aio._threads.values():
        threads.shutdown()
    aio._threads.clear()
    assert not any((state / "containers").iterdir())
