"""Device rules, and the eBPF program that stands for version 1's devices controller in version 2.

Sources: Documentation/admin-guide/cgroup-v1/devices.rst, cgroup-v2.rst "Device controller",
include/uapi/linux/bpf.h (struct bpf_cgroup_dev_ctx), Documentation/bpf/standardization.
"""

from __future__ import annotations

import errno
import os

from isolate.linux import bpf
from isolate.linux.bpf import ANDK, EXIT, INSTRUCTION, JNEK, JNEX, LDXW, MOVX, RSHK
from isolate.linux.cgroup.files import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Rule = tuple[str, int, int, str]
"""What is allowed: type (`a`, `b`, `c`), major and minor (-1: every), access (of `rwm`)."""

PROGRAM_NAME = b"isolate_devices"  # at most 15 bytes
_KIND = "BPF_CGROUP_DEVICE"

_BITS = {"r": 2, "w": 4, "m": 1}  # BPF_DEVCG_ACC_*
_TYPES = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_*
_TYPE_OF = {number: letter for letter, number in _TYPES.items()}
_EVERY_ACCESS = 7
_LAST_MAJOR = (1 << 12) - 1
_LAST_MINOR = (1 << 20) - 1

_, _CONTEXT, _TYPE, _ACCESS, _MAJOR, _MINOR, _SCRATCH = range(7)


def canonical(rules: Iterable[Rule]) -> list[Rule]:
    """The same rules sorted, one for each device, in types `b` and `c` only.

    Version 1 would read an `a` as "every device", whatever numbers stand beside it.
    Raises CgroupError for what is no rule.
    """
    merged: dict[tuple[str, int, int], int] = {}
    for rule in rules:
        _check(rule)
        kind, major, minor, access = rule
        bits = sum(_BITS[letter] for letter in set(access))
        for letter in "bc" if kind == "a" else kind:
            key = (letter, major, minor)
            merged[key] = merged.get(key, 0) | bits
    return [(*key, _letters(bits)) for key, bits in sorted(merged.items())]


def _check(rule: Rule) -> None:
    kind, major, minor, access = rule
    good = (
        kind in ("a", "b", "c")
        and -1 <= major <= _LAST_MAJOR
        and -1 <= minor <= _LAST_MINOR
        and access
        and set(access) <= set(_BITS)
    )
    if not good:
        raise CgroupError(errno.EINVAL, f"{rule!r} is no device rule")


def _letters(bits: int) -> str:
    return "".join(letter for letter, bit in _BITS.items() if bits & bit)


def text(rule: Rule) -> str:
    """A rule as version 1 reads and shows it: `c 1:3 rwm`."""
    kind, major, minor, access = rule
    shown = ("*" if number == -1 else str(number) for number in (major, minor))
    return f"{kind} {':'.join(shown)} {access}"


def assemble(rules: Iterable[Rule]) -> bytes:
    """The program: 1 (allow) for what a rule covers wholly, 0 for everything else."""
    code: list[bpf.Instruction] = [
        (LDXW, _CONTEXT << 4 | _TYPE, 0, 0),  # access_type: access in the upper half
        (MOVX, _TYPE << 4 | _ACCESS, 0, 0),
        (RSHK, _ACCESS, 0, 16),
        (ANDK, _TYPE, 0, 0xFFFF),
        (LDXW, _CONTEXT << 4 | _MAJOR, 4, 0),
        (LDXW, _CONTEXT << 4 | _MINOR, 8, 0),
    ]
    for rule in canonical(rules):
        code.extend(_block(rule))
    code.extend(bpf.verdict(0))
    return bpf.pack(code)


def _block(rule: Rule) -> list[bpf.Instruction]:
    """Leave with 1 if the rule covers the request, else go on behind the block."""
    kind, major, minor, access = rule
    bits = sum(_BITS[letter] for letter in access)
    code: list[bpf.Instruction] = [(JNEK, _TYPE, 0, _TYPES[kind])]
    if bits != _EVERY_ACCESS:
        code += [
            (MOVX, _ACCESS << 4 | _SCRATCH, 0, 0),
            (ANDK, _SCRATCH, 0, bits),
            (JNEX, _ACCESS << 4 | _SCRATCH, 0, 0),
        ]
    if major != -1:
        code.append((JNEK, _MAJOR, 0, major))
    if minor != -1:
        code.append((JNEK, _MINOR, 0, minor))
    code += bpf.verdict(1)
    return bpf.skip_block(code)


def disassemble(program: bytes) -> list[Rule] | None:
    """The rules of a program made by `assemble`; None when it is another program."""
    code = list(INSTRUCTION.iter_unpack(program[: len(program) // 8 * 8]))
    starts = _blocks(code)
    rules = [_rule(code[start:end]) for start, end in starts]
    known = [rule for rule in rules if rule is not None]
    # Assembling again proves that nothing was overlooked.
    return known if assemble(known) == program else None


def _blocks(code: list[bpf.Instruction]) -> Iterator[tuple[int, int]]:
    start = 6  # after the loads
    for at, instruction in enumerate(code):
        if instruction[0] == EXIT and at + 1 < len(code):
            yield start, at + 1
            start = at + 1


def _rule(code: list[bpf.Instruction]) -> Rule | None:
    tests = {registers: immediate for op, registers, _, immediate in code if op == JNEK}
    masks = [immediate for op, _, _, immediate in code if op == ANDK]
    kind = _TYPE_OF.get(tests.get(_TYPE, 0))
    if kind is None:
        return None
    access = _letters(masks[0] if masks else _EVERY_ACCESS)
    rule = (kind, tests.get(_MAJOR, -1), tests.get(_MINOR, -1), access)
    try:
        _check(rule)
    except CgroupError:
        return None
    return rule


def attach(directory: str, rules: Iterable[Rule]) -> None:
    """Allow these devices and no others in a version 2 group, instead of an earlier list.

    The new program is attached before the old ones go: while both are there, a device must pass
    both. Programs of groups above go on to hold. Raises CgroupError.
    """
    program = assemble(rules)
    try:
        group = bpf.open_group(directory)
        try:
            before = [
                number
                for number in bpf.query(group, bpf.CGROUP_DEVICE)
                if bpf.name_of(number) == PROGRAM_NAME
            ]
            loaded = bpf.load(bpf.PROG_TYPE_CGROUP_DEVICE, program, PROGRAM_NAME)
            try:
                bpf.attach(group, loaded, bpf.CGROUP_DEVICE)
            finally:
                os.close(loaded)
            for number in before:
                bpf.detach(group, number, bpf.CGROUP_DEVICE)
        finally:
            os.close(group)
    except CgroupError:
        raise
    except OSError as error:
        raise CgroupError(
            error.errno,
            f"no device program for {directory}: {bpf.explain(error, _KIND)}",
            directory,
        ) from None


def attached(directory: str) -> tuple[str, ...] | None:
    """What the programs attached to a version 2 group allow, as `text` shows it, read back from
    the instructions that the kernel holds; None when there is no program. Raises OSError.

    A program that is not of our making is shown as `bpf program NUMBER`.
    """
    group = bpf.open_group(directory)
    try:
        numbers = bpf.query(group, bpf.CGROUP_DEVICE)
    finally:
        os.close(group)
    if not numbers:
        return None
    shown: list[str] = []
    for number in numbers:
        rules = disassemble(bpf.instructions(number))
        shown += [f"bpf program {number}"] if rules is None else [text(rule) for rule in rules]
    return tuple(sorted(shown))


def obstacle(directory: str) -> str | None:
    """Why no device program can be attached to groups below; None when it can. Changes nothing."""
    try:
        group = bpf.open_group(directory)
        try:
            bpf.query(group, bpf.CGROUP_DEVICE)
            os.close(bpf.load(bpf.PROG_TYPE_CGROUP_DEVICE, assemble(()), PROGRAM_NAME))
        finally:
            os.close(group)
    except OSError as error:
        return f"eBPF device programs: {bpf.explain(error, _KIND)}"
    return None
