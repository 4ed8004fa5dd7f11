"""posix_spawn(3): a program as a child that shares our memory until it has executed (vfork(2)).

Not `os.posix_spawn`: it can't have signals 32 and 33 at their default, which libc keeps for itself
and leaves ignored in the child.
"""

from __future__ import annotations

import os
import struct

from isolate.linux._libc import buffer, c_char_p, c_int, c_void_p, function, strings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_OPAQUE_BYTES = 1024  # above sizeof(posix_spawnattr_t) in glibc (336) and musl
_SET_BYTES = 128  # sizeof(sigset_t) in glibc and musl
_EVERY = (2**64 - 1).to_bytes(_SET_BYTES, "little")

_SETSIGDEF, _SETSIGMASK, _SETSID = 0x04, 0x08, 0x80
_FLAGS = _SETSIGDEF | _SETSIGMASK | _SETSID

_spawn = function("posix_spawn", c_char_p, c_char_p, c_char_p, c_char_p, c_void_p, c_void_p)
_attr_init = function("posix_spawnattr_init", c_char_p)
_attr_setflags = function("posix_spawnattr_setflags", c_char_p, c_int)
_attr_setsigdefault = function("posix_spawnattr_setsigdefault", c_char_p, c_char_p)
_actions_init = function("posix_spawn_file_actions_init", c_char_p)
_actions_adddup2 = function("posix_spawn_file_actions_adddup2", c_char_p, c_int, c_int)
_actions_destroy = function("posix_spawn_file_actions_destroy", c_char_p)


def _attributes() -> Any:
    made = buffer(_OPAQUE_BYTES)
    _attr_init(made)  # its mask is empty
    _attr_setflags(made, _FLAGS)
    _attr_setsigdefault(made, _EVERY)
    return made


_ATTRIBUTES = _attributes()


def spawn(path: str, args: Sequence[str], env: Mapping[str, str], stdio: Sequence[int]) -> int:
    """Execute `path` in a session of its own, with `stdio` as 0, 1 and 2, every signal at its
    default and none blocked; the pid. Raises OSError where it can't be executed."""
    actions, pid = buffer(_OPAQUE_BYTES), buffer(4)
    _actions_init(actions)
    words = strings([os.fsencode(word) for word in args])
    variables = strings([os.fsencode(f"{name}={value}") for name, value in env.items()])
    try:
        for number, descriptor in enumerate(stdio):
            _actions_adddup2(actions, descriptor, number)
        failure = _spawn(pid, os.fsencode(path), actions, _ATTRIBUTES, words, variables)
    finally:
        _actions_destroy(actions)
    if failure:
        raise OSError(failure, os.strerror(failure), path)
    found: int = struct.unpack("i", pid.raw)[0]
    return found
