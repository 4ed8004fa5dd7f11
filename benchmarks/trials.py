"""Interleaved trials: every subject once in each round, in random order, in blocks of rounds."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Samples = dict[str, list[list[float]]]


def interleave(
    subjects: Mapping[str, Callable[[], float]], *, blocks: int, rounds: int, seed: int = 7
) -> Samples:
    """What each subject measured, by block. The first call of each warms up and is left out."""
    chance = random.Random(seed)  # noqa: S311 - an order, no secret
    for measure in subjects.values():
        measure()
    samples: Samples = {name: [] for name in subjects}
    for _ in range(blocks):
        for name in subjects:
            samples[name].append([])
        for _ in range(rounds):
            order = list(subjects)
            chance.shuffle(order)
            for name in order:
                samples[name][-1].append(subjects[name]())
    return samples
