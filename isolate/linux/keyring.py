"""keyctl(2): a session keyring of one's own."""

from __future__ import annotations

import errno

from isolate.linux._libc import c_char_p, c_int, syscall

_KEYCTL_JOIN_SESSION_KEYRING = 1
_keyctl = syscall("keyctl", c_int, c_char_p)


def join_new_session_keyring() -> None:
    """Leave the caller's session keyring for a new, empty, anonymous one (session-keyring(7))."""
    try:
        _keyctl(_KEYCTL_JOIN_SESSION_KEYRING, None)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):  # no keyrings, or an outer filter: none
            raise
