"""How the kernel copies a launcher: fork, and a vfork-style clone, from 0 to 300 MB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.cases.inprocess import limit
from benchmarks.result import Result, milliseconds
from benchmarks.trials import interleave

if TYPE_CHECKING:
    from benchmarks.setup import Setup


def run(setup: Setup) -> Result:
    """In C, so that nothing but the kernel is measured."""
    subjects = {
        f"{kind}, {megabytes} MB": limit(setup, kind, megabytes)
        for kind in ("plain", "namespaces", "vfork")
        for megabytes in (0, 16, 300)
    }
    samples = interleave(subjects, blocks=setup.blocks, rounds=1 if setup.quick else 3)
    result = Result("What a copy of the launcher costs", "ms", milliseconds(samples))
    result.remarks.append(
        "plain: clone without namespaces; namespaces: with all of them; vfork: all, and sharing "
        "the parent's memory until exec"
    )
    return result
