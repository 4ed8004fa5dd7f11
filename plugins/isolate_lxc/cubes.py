"""Sets of 64-bit numbers as cubes, and their complements.

A cube is (mask, value): the numbers whose bits in `mask` are those of `value`. That is what
libseccomp's MASKED_EQ compares, and complements are what its rules can't say otherwise.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Cube = tuple[int, int]


def complement(cubes: Sequence[Cube]) -> list[Cube]:
    """Disjoint cubes that together hold exactly the numbers that none of `cubes` holds."""
    return _outside([(mask, value & mask) for mask, value in cubes], (0, 0))


def _outside(cubes: list[Cube], here: Cube) -> list[Cube]:
    """What of the cube `here` is outside of `cubes`, whose masks have none of its bits left."""
    if not cubes:
        return [here]
    if any(mask == 0 for mask, _value in cubes):
        return []
    bit = 1 << max(mask.bit_length() for mask, _value in cubes) - 1
    found = []
    for side in (0, bit):
        left = [
            (mask & ~bit, value & ~bit)
            for mask, value in cubes
            if not mask & bit or value & bit == side
        ]
        found += _outside(left, (here[0] | bit, here[1] | side))
    return found
