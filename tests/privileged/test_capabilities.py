"""Capabilities over a change of user and over execve(2): what the program really gets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from isolate.linux import capabilities
from isolate.linux.capabilities import Sets

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.needs("root")

NOBODY = 65534
CAT = ["/bin/cat", "/proc/self/status"]


def executed(prepare: Callable[[], None]) -> Sets:
    """The sets of a program that is executed after `prepare`."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            prepare()
            os.dup2(write_end, 1)
            os.execv(CAT[0], CAT)
        finally:
            os._exit(127)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        status = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return capabilities.parse(status)


def become_nobody() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


@pytest.mark.parametrize("mask", [capabilities.DEFAULT, 0, 1 << 21])
def test_root_gets_the_mask_and_nothing_inheritable(mask: int) -> None:
    sets = executed(lambda: capabilities.apply(mask))
    assert sets == Sets(mask, mask, 0, mask, 0)


def test_inherited_sets_are_emptied() -> None:
    """As when the engine itself was started with inheritable capabilities (CVE-2022-29162)."""
    held = capabilities.capget()[1]

    def prepare() -> None:
        capabilities.capset(held, held, held)
        capabilities.raise_ambient(capabilities.DEFAULT)
        capabilities.apply(capabilities.DEFAULT)

    mask = capabilities.DEFAULT
    assert executed(prepare) == Sets(mask, mask, 0, mask, 0)


def test_another_user_gets_none_over_execve() -> None:
    mask = capabilities.DEFAULT

    def prepare() -> None:
        capabilities.before_setuid(mask)
        become_nobody()
        capabilities.after_setuid(mask)

    assert executed(prepare) == Sets(0, 0, 0, mask, 0)


def test_another_user_gets_ambient_ones_where_asked() -> None:
    mask = capabilities.DEFAULT
    ambient = capabilities.to_mask(["CAP_NET_BIND_SERVICE"])

    def prepare() -> None:
        capabilities.before_setuid(mask)
        become_nobody()
        capabilities.after_setuid(mask, ambient=ambient)

    assert executed(prepare) == Sets(ambient, ambient, ambient, mask, ambient)


def test_between_setuid_and_execve_the_mask_is_effective() -> None:
    mask = capabilities.to_mask(["CAP_NET_BIND_SERVICE", "CAP_KILL"])
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            capabilities.before_setuid(mask)
            become_nobody()
            capabilities.after_setuid(mask)
            os.write(write_end, repr(capabilities.read()).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    assert text == repr(Sets(mask, mask, 0, mask, 0))


def test_apply_after_the_change_of_user_completes_the_halves() -> None:
    """Steps that drop the bounding set, change the user, and then apply."""
    mask = capabilities.DEFAULT

    def prepare() -> None:
        capabilities.before_setuid(mask)
        become_nobody()
        capabilities.apply(mask)

    assert executed(prepare) == Sets(0, 0, 0, mask, 0)


def test_set_sets_sets_all_five() -> None:
    two = capabilities.to_mask(["CAP_KILL", "CAP_CHOWN"])
    one = capabilities.to_mask(["CAP_KILL"])

    def prepare() -> None:
        capabilities.set_sets(Sets(one, two, one, two, one))
        os.write(log, repr(capabilities.read()).encode())

    reader, log = os.pipe()
    after = executed(prepare)
    os.close(log)
    with os.fdopen(reader) as pipe:
        assert pipe.read() == repr(Sets(one, two, one, two, one))
    # Executed as root without file capabilities: the whole bounding set again, no ambient ones.
    assert after == Sets(two, two, one, two, after.ambient)


def test_a_capability_that_isnt_held_cant_be_given() -> None:
    missing = capabilities.full() & ~capabilities.capget()[1] or 1 << 63
    with pytest.raises(PermissionError):
        capabilities.capset(missing, missing, 0)
    assert capabilities.available(missing) == 0
