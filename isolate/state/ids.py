"""Container ids: what they may look like, and new ones that a person can read out."""

from __future__ import annotations

import os

from isolate.errors import StateError
from isolate.spec.record import shown

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_FIRST = frozenset(_LETTERS + _LETTERS.upper() + "0123456789")
_LATER = _FIRST | frozenset("_.-")
_LONGEST = 64

# 32 of each, so that five random bits choose one without bias.
_ADJECTIVES = (
    "able bold brave brisk calm clear cool crisp deft eager early fair fine firm fleet free "
    "glad grand keen kind light lucid merry neat noble quick quiet ready sharp swift warm wise"
).split()
_ANIMALS = (
    "ant badger bat bear bee crane crow deer dove eagle elk falcon finch fox frog goat "
    "hare hawk heron ibis lark lynx mole newt otter owl panda robin seal stork swan wren"
).split()


def is_id(text: str) -> bool:
    """Whether `text` may name a container: 1 to 64 of A-Z a-z 0-9 _ . - with no `..`, and a
    letter or digit first. So an id is one harmless component of any path."""
    return (
        0 < len(text) <= _LONGEST
        and text[0] in _FIRST
        and _LATER.issuperset(text)
        and ".." not in text
    )


def check_id(text: str) -> str:
    """`text`, if it may name a container. Raises StateError."""
    if not is_id(text):
        raise StateError(
            f"{shown(text)!r} can't be a container's id",
            hint="use 1 to 64 letters, digits, '_', '.' and '-', a letter or digit first, no '..'",
        )
    return text


def new_id() -> str:
    """A random id like `calm-otter-3f9a2c`: 34 random bits, so ask whether it is taken."""
    number = int.from_bytes(os.urandom(5), "little")
    adjective = _ADJECTIVES[number & 31]
    animal = _ANIMALS[number >> 5 & 31]
    return f"{adjective}-{animal}-{number >> 16:06x}"
