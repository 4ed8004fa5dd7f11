"""setdomainname(2): the other name of a UTS namespace; sethostname(2) is in `_socket`."""

from __future__ import annotations

import os

from isolate.linux._libc import c_char_p, c_size_t, function

MAX_NAME = 64  # bytes, __NEW_UTS_LEN

_setdomainname = function("setdomainname", c_char_p, c_size_t)


def setdomainname(name: str) -> None:
    """Set the NIS domain name of the UTS namespace. Raises OSError (EINVAL: too long)."""
    data = os.fsencode(name)
    _setdomainname(data, len(data))
