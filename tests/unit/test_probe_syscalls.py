"""The table of system calls: complete, harmless, and what Docker's filter refuses."""

from __future__ import annotations

import pytest

from isolate.linux.seccomp import default
from isolate.probe import syscalls

MACHINES = ("x86_64", "aarch64", "riscv64")

# With zeros, or with the arguments of the default, these would do something.
NEVER = {
    "acct": [0],
    "kill": [-1],
    "msgget": [-1, -1],
    "sethostname": [0, 0],
    "setdomainname": [0, 0],
    "setgroups": [0, 0],
    "swapoff": [0],
    "umask": [0],
}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_table_has_what_the_machine_has(machine: str) -> None:
    table = syscalls.table(machine)
    assert len(table) > 280
    assert len({number for number, _ in table.values()}) == len(table)
    assert {"read", "openat", "unshare", "bpf", "io_uring_setup", "mount_setattr"} <= table.keys()
    assert not syscalls.EXCLUDED & table.keys()


@pytest.mark.parametrize("machine", MACHINES)
def test_no_call_has_arguments_that_do_something(machine: str) -> None:
    table = syscalls.table(machine)
    for name, arguments in NEVER.items():
        if name in table:
            assert table[name][1][: len(arguments)] != arguments, name


def test_what_docker_refuses_our_default_filter_refuses_too() -> None:
    assert not syscalls.DOCKER_REFUSES.intersection(default.ALLOWED)


def test_other_abis_have_their_own_numbers() -> None:
    assert syscalls.guarded("SCMP_ARCH_ARM") == {}
    int80, x32 = syscalls.guarded("SCMP_ARCH_X86"), syscalls.guarded("SCMP_ARCH_X32")
    assert int80.keys() == x32.keys()
    assert (int80["unshare"][0], x32["unshare"][0]) == (310, 272)
