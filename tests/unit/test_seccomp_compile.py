"""Compiled programs, run by a BPF machine of our own: every path, also what this CPU can't do."""

from __future__ import annotations

import errno

import pytest

from isolate.linux import capabilities
from isolate.linux.seccomp import bpf, default
from isolate.linux.seccomp.compile import compile_policy, inputs, libseccomp
from isolate.linux.seccomp.policy import (
    ALLOW,
    EQ,
    ERRNO,
    GE,
    KILL_PROCESS,
    LOG,
    TRACE,
    Condition,
    Policy,
    ProfileError,
    Rule,
)
from tests.support.bpf_machine import I386, X32, X86_64, answer

EPERM = ERRNO | errno.EPERM
ENOSYS = ERRNO | errno.ENOSYS
READ, WRITE, IOCTL, SOCKET, CLONE, PTRACE = 0, 1, 16, 41, 56, 101
PERSONALITY, UNSHARE, CLONE3, MSEAL, REMOVEXATTRAT = 135, 272, 435, 462, 466
CLONE_NEWUSER, CLONE_THREAD_FLAGS = 0x10000000, 0x3D0F00
TIOCSTI, TIOCLINUX, TCGETS = 0x5412, 0x541C, 0x5401


def compiled(
    mask: int = capabilities.DEFAULT, *, allow_32bit: bool = False, binary_tree: bool = True
) -> bytes:
    policy = default.policy(mask, machine="x86_64", kernel=(6, 12), allow_32bit=allow_32bit)
    made = compile_policy(policy, "x86_64", binary_tree=binary_tree)
    assert made.dropped == ()
    return made.program


@pytest.fixture(scope="module", params=[True, False], ids=["tree", "list"])
def program(request: pytest.FixtureRequest) -> bytes:
    return compiled(binary_tree=request.param)


@pytest.fixture(scope="module")
def with_32bit() -> bytes:
    return compiled(allow_32bit=True)


def test_each_call_has_the_same_answer_with_and_without_the_tree() -> None:
    tree, chain = compiled(binary_tree=True), compiled(binary_tree=False)
    for nr in (*range(600), X32, X32 + 600, 2**31, 2**32 - 1):
        assert answer(tree, nr) == answer(chain, nr), nr


def test_every_allowed_name_is_allowed(program: bytes) -> None:
    lib = libseccomp()
    for name in default.ALLOWED:
        number = lib.resolve_syscall(lib.Arch.X86_64, name)
        if number >= 0:
            assert answer(program, number) == ALLOW, name


def test_nothing_else_is(program: bytes) -> None:
    lib = libseccomp()
    names = {*default.ALLOWED, *default.ALLOWED_BY_ARCH["SCMP_ARCH_X86_64"]}
    names |= {"ptrace", "chroot"}  # kernel 4.8, and CAP_SYS_CHROOT of the default set
    numbers = {lib.resolve_syscall(lib.Arch.X86_64, name) for name in names}
    numbers |= {335, MSEAL, 463, 464, 465, 466}  # newer than this libseccomp may be
    conditional = {CLONE, PERSONALITY}  # their arguments are zero here
    found = {nr for nr in range(1024) if answer(program, nr) == ALLOW}
    assert found - numbers == conditional


@pytest.mark.parametrize("request_", [TIOCSTI, TIOCLINUX])
@pytest.mark.parametrize("high", [0, 1 << 32, 1 << 63, 0xFFFFFFFF00000000])
def test_terminal_input_is_refused_in_the_low_half(
    program: bytes, request_: int, high: int
) -> None:
    assert answer(program, IOCTL, 0, request_ | high) == EPERM


@pytest.mark.parametrize("request_", [TCGETS, 0x5413, 0x541B, TIOCSTI << 32, 0])
def test_other_requests_are_allowed(program: bytes, request_: int) -> None:
    assert answer(program, IOCTL, 0, request_) == ALLOW


@pytest.mark.parametrize("bit", [17, 25, 26, 27, 28, 29, 30])
def test_clone_makes_no_namespace(program: bytes, bit: int) -> None:
    assert answer(program, CLONE, CLONE_THREAD_FLAGS) == ALLOW
    assert answer(program, CLONE, 17) == ALLOW
    assert answer(program, CLONE, CLONE_THREAD_FLAGS | 1 << bit) == EPERM
    assert answer(program, CLONE, 17 | 1 << bit | 1 << 40) == EPERM


def test_clone3_does_not_exist(program: bytes) -> None:
    assert answer(program, CLONE3) == ENOSYS


def test_sys_admin_may_clone_and_mount() -> None:
    program = compiled(capabilities.to_mask(["CAP_SYS_ADMIN"]))
    for nr in (CLONE3, UNSHARE, 165, 457):
        assert answer(program, nr) == ALLOW
    assert answer(program, CLONE, CLONE_NEWUSER) == ALLOW


@pytest.mark.parametrize("nr", [READ, 39, 59, 520, 0x3FFFFFFF])
def test_x32_is_refused(program: bytes, nr: int) -> None:
    assert answer(program, nr | X32) == ENOSYS


@pytest.mark.parametrize("arch", [I386, 0xC00000B7, 0x40000028, 0, X86_64 & ~0x80000000])
def test_every_other_architecture_is_killed(program: bytes, arch: int) -> None:
    for nr in (0, 1, 20, 1000, X32):
        assert answer(program, nr, arch=arch) == KILL_PROCESS


def test_newer_calls_do_not_exist(program: bytes) -> None:
    assert answer(program, MSEAL) == ALLOW
    assert answer(program, REMOVEXATTRAT) == ALLOW
    for nr in (467, 470, 1000, 2**31, 2**32 - 1):
        assert answer(program, nr) == ENOSYS


def test_the_boundary_does_not_move_with_the_capabilities() -> None:
    for mask in (0, capabilities.DEFAULT, (1 << 41) - 1):
        program = compiled(mask)
        assert answer(program, 466) == ALLOW
        assert answer(program, 467) == ENOSYS


@pytest.mark.parametrize("family", [0, 3, 12, 29, 38, 40, 45, 46, 2**32 - 1])
def test_rare_address_families_are_refused(program: bytes, family: int) -> None:
    assert answer(program, SOCKET, family) == EPERM
    assert answer(program, SOCKET, family | 1 << 32) == EPERM


@pytest.mark.parametrize("family", [1, 2, 10, 16, 17])
def test_common_address_families_are_allowed(program: bytes, family: int) -> None:
    assert answer(program, SOCKET, family) == ALLOW


def test_personality(program: bytes) -> None:
    for value in (0, 8, 0x20000, 0x20008, 0xFFFFFFFF, 2**64 - 1):
        assert answer(program, PERSONALITY, value) == ALLOW
    for value in (0x40000, 0x400000, 1, 0xFFFFFFFE):  # ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC
        assert answer(program, PERSONALITY, value) == EPERM


def test_32bit_programs_get_the_same_rules(with_32bit: bytes) -> None:
    def i386(nr: int, *args: int) -> int:
        return answer(with_32bit, nr, *args, arch=I386)

    assert i386(20) == ALLOW  # getpid
    assert i386(120, 17) == ALLOW  # clone
    assert i386(120, CLONE_NEWUSER) == EPERM
    assert i386(310) == EPERM  # unshare
    assert i386(54, 0, TIOCSTI) == EPERM
    assert i386(54, 0, TCGETS) == ALLOW
    assert i386(359, 2) == ALLOW  # socket
    assert i386(359, 40) == EPERM
    assert i386(102, 1) == ENOSYS  # socketcall
    assert i386(166) == EPERM  # vm86
    assert i386(117) == ALLOW  # ipc
    assert i386(2000) == ENOSYS
    assert answer(with_32bit, READ) == ALLOW
    assert answer(with_32bit, READ | X32) == ENOSYS
    assert answer(with_32bit, READ, arch=0x40000028) == KILL_PROCESS


def test_the_stricter_of_two_rules_wins_in_both_orders() -> None:
    allow = Rule(ALLOW, ["ioctl", "read"])
    deny = Rule(ERRNO | 13, ["ioctl"], [Condition(1, EQ, TIOCSTI)])
    for rules in ([allow, deny], [deny, allow]):
        program = compile_policy(Policy(EPERM, rules), "x86_64").program
        assert answer(program, IOCTL, 0, TIOCSTI) == ERRNO | 13
        assert answer(program, IOCTL, 0, TCGETS) == ALLOW
        assert answer(program, READ) == ALLOW


def test_a_refusal_equal_to_the_default_action_still_wins() -> None:
    rules = [Rule(ALLOW, ["ioctl"]), Rule(EPERM, ["ioctl"], [Condition(1, EQ, TIOCSTI)])]
    program = compile_policy(Policy(EPERM, rules), "x86_64").program
    assert answer(program, IOCTL, 0, TIOCSTI) == EPERM
    assert answer(program, IOCTL, 0, TCGETS) == ALLOW


def test_four_actions_for_one_call() -> None:
    rules = [
        Rule(ALLOW, ["ioctl"]),
        Rule(LOG, ["ioctl"], [Condition(1, GE, 10)]),
        Rule(ERRNO | 5, ["ioctl"], [Condition(1, GE, 20)]),
        Rule(KILL_PROCESS, ["ioctl"], [Condition(1, GE, 30)]),
    ]
    for order in (rules, rules[::-1]):
        program = compile_policy(Policy(EPERM, order), "x86_64").program
        answers = [answer(program, IOCTL, 0, value) for value in (1, 10, 20, 30)]
        assert answers == [ALLOW, LOG, ERRNO | 5, KILL_PROCESS]


def test_of_two_error_numbers_the_first_wins() -> None:
    rules = [Rule(ERRNO | 5, ["ioctl"], [Condition(1, GE, 20)]), Rule(ERRNO | 6, ["ioctl"])]
    program = compile_policy(Policy(ALLOW, rules), "x86_64").program
    assert answer(program, IOCTL, 0, 20) == ERRNO | 5
    assert answer(program, IOCTL, 0, 19) == ERRNO | 6
    assert answer(program, READ) == ALLOW


def test_a_kill_default_is_not_softened_to_enosys() -> None:
    program = compile_policy(Policy(KILL_PROCESS, [Rule(ALLOW, ["read"])]), "x86_64").program
    assert answer(program, READ) == ALLOW
    assert answer(program, WRITE) == KILL_PROCESS
    assert answer(program, 1000) == KILL_PROCESS
    assert answer(program, READ | X32) == KILL_PROCESS


def test_an_allowing_default_stays_without_limit() -> None:
    program = compile_policy(Policy(ALLOW, [Rule(EPERM, ["ptrace"])]), "x86_64").program
    assert answer(program, PTRACE) == EPERM
    assert answer(program, 1000) == ALLOW


def test_x32_where_a_profile_asks_for_it() -> None:
    policy = Policy(EPERM, [Rule(ALLOW, ["read"])], arches=["SCMP_ARCH_X32", "SCMP_ARCH_X86"])
    program = compile_policy(policy, "x86_64").program
    assert answer(program, READ | X32) == ALLOW
    assert answer(program, WRITE | X32) == EPERM
    assert answer(program, READ) == ALLOW
    assert answer(program, 3, arch=I386) == ALLOW


def test_socketcall_is_refused_where_a_profile_filters_sockets_only() -> None:
    rules = [Rule(ALLOW, ["socket"], [Condition(0, EQ, 2)])]
    policy = Policy(EPERM, rules, arches=["SCMP_ARCH_X86"])
    program = compile_policy(policy, "x86_64").program
    assert answer(program, 102, 1, arch=I386) == ENOSYS
    assert answer(program, 359, 2, arch=I386) == ALLOW


def test_an_unknown_name_is_dropped_where_it_would_allow() -> None:
    made = compile_policy(Policy(EPERM, [Rule(ALLOW, ["read", "no_such_call"])]), "x86_64")
    assert made.dropped == ("no_such_call",)
    assert answer(made.program, READ) == ALLOW


def test_an_unknown_name_is_an_error_where_it_would_refuse() -> None:
    policy = Policy(ALLOW, [Rule(EPERM, ["no_such_call"], place="syscalls[7]")])
    with pytest.raises(ProfileError, match=r"^syscalls\[7\]\.names: no_such_call"):
        compile_policy(policy, "x86_64")


def test_the_reserved_number_is_refused() -> None:
    with pytest.raises(ProfileError, match="reserved"):
        compile_policy(Policy(EPERM, [Rule(TRACE | 0xFFFE, ["read"])]), "x86_64")


def test_the_kernels_limit_is_an_error_and_not_a_surprise() -> None:
    rules = [Rule(ALLOW, ["ioctl"], [Condition(1, EQ, 3 * value)]) for value in range(4100)]
    with pytest.raises(ProfileError, match="4096"):
        compile_policy(Policy(EPERM, rules), "x86_64")


def test_another_machine() -> None:
    policy = default.policy(0, machine="aarch64", kernel=(6, 12))
    program = compile_policy(policy, "aarch64").program
    arm64 = 0xC00000B7
    assert answer(program, 63, arch=arm64) == ALLOW  # read
    assert answer(program, 97, arch=arm64) == EPERM  # unshare
    assert answer(program, 220, CLONE_NEWUSER, arch=arm64) == EPERM
    assert answer(program, 467, arch=arm64) == ENOSYS
    assert answer(program, 0, arch=X86_64) == KILL_PROCESS


def test_joining_programs() -> None:
    first, second = bpf.enosys_above(X86_64, 100), bpf.enosys_above(I386, 50)
    joined = bpf.join([first, second, first])
    assert answer(joined, 101) == ENOSYS
    assert answer(joined, 51, arch=I386) == ENOSYS
    assert answer(joined, 51) == bpf.PASS
    assert bpf.has_pass(joined)
    assert not bpf.has_pass(compiled())


def test_what_a_filter_comes_from() -> None:
    found = inputs()
    assert found is not None
    assert b"seccomp/default.py\0" in found
    assert b"libseccomp.so" in found
