"""The fixtures of every test: needs, leak checks, ordinary users, the command under test."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.support import accounts, command, leaks, needs, roots, session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.accounts import Account
    from tests.support.command import Isolate

# No test asserts a time, so neither does hypothesis. Where everything is required (CI), examples
# are many and always the same ones.
settings.register_profile("default", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=300, derandomize=True)


def pytest_configure(config: pytest.Config) -> None:
    """Begin the session (see `tests.support.session`), away from the user's own state."""
    session.begin()
    config.option.basetemp = config.option.basetemp or str(session.directory() / "tmp")
    os.environ["ISOLATE_ROOT"] = str(session.directory() / "state")
    os.environ["ISOLATE_CACHE"] = str(session.directory() / "cache")
    required = os.environ.get("ISOLATE_REQUIRE", "")
    settings.load_profile("thorough" if "all" in required.split(",") else "default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A need that nobody knows is an error now, not a test that is skipped for ever."""
    for item in items:
        for name in _needs_of(item):
            try:
                needs.check_name(name)
            except LookupError as error:
                raise pytest.UsageError(f"{item.nodeid}: {error}") from None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail the test whose needs aren't met."""
    needs.require(*_needs_of(item))


def _needs_of(item: pytest.Item) -> list[str]:
    return [str(name) for mark in item.iter_markers("needs") for name in mark.args]


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Fail the test that leaves a cgroup, mount, process, link or descriptor behind."""
    before = leaks.Snapshot()
    yield
    left = leaks.settled(before)
    if left:
        leaks.clean(left)
        pytest.fail("left behind:\n  " + "\n  ".join(left), pytrace=False)


@pytest.fixture(scope="session")
def _accounts() -> Iterator[tuple[Account, Account] | None]:
    needs.require("ordinary_user")
    if os.geteuid() != 0:
        yield None
        return
    with accounts.Accounts() as pair:
        yield pair


@pytest.fixture(scope="session")
def ordinary_user(_accounts: tuple[Account, Account] | None) -> Account:
    """A user without rights who has subordinate ids (subuid(5))."""
    account = _accounts[0] if _accounts else accounts.current()
    needs.require_that(account.subids is not None, "subids", f"{account.name} has no subuids")
    return account


@pytest.fixture(scope="session")
def plain_user(_accounts: tuple[Account, Account] | None) -> Account:
    """A user without rights and without subordinate ids."""
    account = _accounts[1] if _accounts else accounts.current()
    needs.require_that(account.subids is None, "no_subids", f"{account.name} has subuids")
    return account


@pytest.fixture(scope="session")
def busybox() -> Path:
    """A root filesystem with nothing but busybox, which starts faster than `base`."""
    return roots.busybox(session.directory() / "busybox")


@pytest.fixture
def isolate_cmd(request: pytest.FixtureRequest) -> Iterator[Isolate]:
    """`isolate` as the user who runs the tests."""
    yield from _command(request, None)


@pytest.fixture
def rootless_cmd(request: pytest.FixtureRequest, ordinary_user: Account) -> Iterator[Isolate]:
    """`isolate` as an ordinary user with subordinate ids."""
    yield from _command(request, ordinary_user)


@pytest.fixture
def plain_cmd(request: pytest.FixtureRequest, plain_user: Account) -> Iterator[Isolate]:
    """`isolate` as an ordinary user without subordinate ids."""
    yield from _command(request, plain_user)


def _command(request: pytest.FixtureRequest, account: Account | None) -> Iterator[Isolate]:
    directory = session.directory() / f"{request.node.name[:40].replace('/', '_')}-{id(request)}"
    made = command.prepare(directory, account if os.geteuid() == 0 else None)
    yield made
    left = command.leftovers(made.state)
    shutil.rmtree(directory)
    if left:
        pytest.fail(f"left in the state directory: {', '.join(left)}", pytrace=False)
