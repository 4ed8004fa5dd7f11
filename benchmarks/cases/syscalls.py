"""The price of a cheap system call inside, and of the filter by how it is compiled."""

from __future__ import annotations

import os
import struct
import subprocess
from typing import TYPE_CHECKING

from benchmarks.result import Result
from benchmarks.trials import interleave
from isolate.linux.seccomp import cache, default
from isolate.linux.seccomp import compile as compiler
from isolate.spec import meaning

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.setup import Setup

_INSTRUCTION = 8  # bytes of a struct sock_filter
_ALLOW_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)  # BPF_RET | BPF_K, SECCOMP_RET_ALLOW


def run(setup: Setup) -> Result:
    """Bare, in the backends, and bare with each form of the filter."""
    times = "2000" if setup.quick else "300000"
    bare = [f"{setup.root}/bin/syscalls", times]
    inside = [*setup.isolate, "run", "--rootfs", setup.root]
    commands = {"bare": bare}
    for backend in ("namespaces", "jail"):
        commands[backend] = [*inside, f"--backend={backend}", "--", "/bin/syscalls", times]
    commands["namespaces, no filter"] = [
        *[*inside, "--backend=namespaces", "--seccomp=unconfined"],
        *["--", "/bin/syscalls", times],
    ]
    filters = _filters(setup)
    for name, (path, _count) in filters.items():
        commands[name] = [*bare, path]
    samples = interleave(
        {name: _nanoseconds(argv) for name, argv in commands.items()},
        blocks=setup.blocks,
        rounds=1,
    )
    result = Result("A cheap system call", "ns", samples)
    for backend in ("namespaces", "jail"):
        result.goal_ratio(f"inside {backend} ≤ 1.03 × bare", backend, "bare", 1.03)
    result.rows = [(name, f"{count} instructions") for name, (_path, count) in filters.items()]
    result.remarks.append(
        "The kernel keeps a bitmap of the calls that a filter allows whatever their arguments "
        "(Linux 5.11), so the filter's length and order hardly show. What is left is the kernel's "
        "way through seccomp at all: a filter of one instruction costs the same."
    )
    return result


def _filters(setup: Setup) -> dict[str, tuple[str, int]]:
    """The default filter as libseccomp makes it, with its binary tree and without: files."""
    host = os.uname()
    mask = meaning.capability_mask(setup.spec("true"))
    policy = default.policy(mask, machine=host.machine, kernel=cache.kernel_version(host.release))
    programs = {"filter, one instruction that allows": _ALLOW_ALL}
    for name, tree in (("filter, binary tree", True), ("filter, in order", False)):
        programs[name] = compiler.compile_policy(policy, binary_tree=tree).program
    made = {}
    for number, (name, program) in enumerate(programs.items()):
        path = setup.directory / f"{number}.bpf"
        path.write_bytes(program)
        made[name] = (str(path), len(program) // _INSTRUCTION)
    return made


def _nanoseconds(argv: list[str]) -> Callable[[], float]:
    def measure() -> float:
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
        return float(done.stdout)

    return measure
