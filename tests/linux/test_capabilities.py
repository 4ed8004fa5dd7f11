"""Capabilities and prctl(2) that any user may touch, and all of them in a user namespace."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from isolate.linux import capabilities, prctl
from isolate.linux.capabilities import Sets
from isolate.linux.names import CAPABILITIES

if TYPE_CHECKING:
    from collections.abc import Callable

CLONE_NEWUSER = 0x10000000


def in_child(function: Callable[[], object]) -> object:
    """What the function returns, as JSON carries it, in a forked child."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.write(write_end, json.dumps(function()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        data = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    value: object = json.loads(data)
    return value


def test_names_and_masks() -> None:
    assert capabilities.to_mask(["CAP_CHOWN", "CAP_SETPCAP"]) == 0x101
    assert capabilities.to_names(0x101) == ("CAP_CHOWN", "CAP_SETPCAP")
    assert capabilities.to_names(0) == ()
    assert capabilities.to_names(1 << 63) == ("CAP_63",)
    assert capabilities.to_mask(CAPABILITIES) == (1 << len(CAPABILITIES)) - 1


@pytest.mark.parametrize("name", ["CHOWN", "cap_chown", "CAP_63", "ALL", "", "CAP_\x1b"])
def test_an_unknown_name(name: str) -> None:
    with pytest.raises(ValueError, match="is not a capability") as caught:
        capabilities.to_mask([name])
    assert str(caught.value).isprintable()


def test_dockers_default_set() -> None:
    assert capabilities.DEFAULT == 0xA80425FB
    assert len(capabilities.to_names(capabilities.DEFAULT)) == 14


def test_the_kernels_last_capability() -> None:
    with open("/proc/sys/kernel/cap_last_cap") as file:
        assert capabilities.last_cap() == int(file.read())
    assert capabilities.full() == (1 << capabilities.last_cap() + 1) - 1


def test_the_ways_of_reading_agree() -> None:
    sets = capabilities.read()
    assert capabilities.read(os.getpid()) == sets
    assert capabilities.capget() == (sets.effective, sets.permitted, sets.inheritable)
    assert capabilities.capget(os.getpid()) == capabilities.capget()
    assert capabilities.bounding() == sets.bounding
    assert capabilities.ambient() == sets.ambient


def test_what_is_no_status() -> None:
    with pytest.raises(ValueError, match="missing"):
        capabilities.parse(b"Name:\tx\nCapInh:\t0\n")


def test_a_process_that_is_gone() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(FileNotFoundError):
        capabilities.read(child)


def test_a_set_has_64_bits() -> None:
    with pytest.raises(ValueError, match="64 bits"):
        capabilities.capset(1 << 64, 0, 0)
    with pytest.raises(ValueError, match="64 bits"):
        capabilities.capset(-1, 0, 0)


def test_ambient_capabilities_must_be_held() -> None:
    with pytest.raises(ValueError, match="within the mask"):
        capabilities.after_setuid(1, ambient=2)
    with pytest.raises(ValueError, match="permitted and inheritable"):
        capabilities.set_sets(Sets(1, 1, 0, 1, 1))


def test_sets_are_values() -> None:
    sets = Sets(1, 2, 3, 4, 5)
    assert sets == Sets(1, 2, 3, 4, 5)
    assert sets != Sets(1, 2, 3, 4, 6)
    assert len({sets, Sets(1, 2, 3, 4, 5)}) == 1
    assert repr(sets) == "Sets(0x1, 0x2, 0x3, 0x4, 0x5)"


def test_giving_up_all_capabilities() -> None:
    def attempt() -> list[int]:
        capabilities.clear_ambient()
        capabilities.capset(0, 0, 0)
        return list(capabilities.capget())

    assert in_child(attempt) == [0, 0, 0]


@pytest.mark.needs("userns")
def test_the_root_of_a_user_namespace_keeps_what_it_is_told() -> None:
    mask = capabilities.DEFAULT

    def attempt() -> list[int]:
        prctl.set_dumpable(True)
        _unshare_user()
        capabilities.apply(mask)
        sets = capabilities.read()
        return [sets.effective, sets.permitted, sets.inheritable, sets.bounding, sets.ambient]

    assert in_child(attempt) == [mask, mask, 0, mask, 0]


@pytest.mark.needs("userns")
def test_applying_more_than_is_held_is_refused() -> None:
    def attempt() -> list[int | None]:
        _unshare_user()
        capabilities.apply(1)
        try:
            capabilities.apply(3)
        except OSError as error:
            return [error.errno, capabilities.available(3)]
        return [None]

    assert in_child(attempt) == [1, 1]


def _unshare_user() -> None:
    from isolate.linux._libc import c_int, function

    function("unshare", c_int)(CLONE_NEWUSER)


def test_attributes_of_the_process() -> None:
    def attempt() -> dict[str, object]:
        prctl.set_no_new_privs()
        prctl.set_dumpable(False)
        prctl.set_pdeathsig(15)
        prctl.set_child_subreaper(True)
        prctl.set_keepcaps(True)
        prctl.set_name("a name of many bytes")
        return {
            "no_new_privs": prctl.get_no_new_privs(),
            "dumpable": prctl.get_dumpable(),
            "pdeathsig": prctl.get_pdeathsig(),
            "subreaper": prctl.get_child_subreaper(),
            "keepcaps": prctl.get_keepcaps(),
            "name": prctl.get_name(),
        }

    assert in_child(attempt) == {
        "no_new_privs": True,
        "dumpable": 0,
        "pdeathsig": 15,
        "subreaper": True,
        "keepcaps": True,
        "name": "a name of many ",
    }


def test_attributes_before_they_are_set() -> None:
    def attempt() -> list[object]:
        prctl.set_dumpable(True)
        return [prctl.get_dumpable(), prctl.get_pdeathsig(), prctl.get_keepcaps()]

    assert in_child(attempt) == [1, 0, False]


def test_a_thread_name_without_nul() -> None:
    with pytest.raises(ValueError, match="NUL"):
        prctl.set_name("a\0b")


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        prctl.prctl(0x7FFFFFFF)
