"""Attempts from inside a jail: Python code that says what each came to, read back as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.command import Isolate

# Inside there is the root's own Python; `attempt` tells the errno's name or what came back.
_HELPERS = """
import ctypes, errno, fcntl, json, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
found = {}
def attempt(name, call, *args):
    try:
        result = call(*args)
    except OSError as error:
        found[name] = errno.errorcode.get(error.errno, str(error.errno))
    else:
        found[name] = "done"
        if isinstance(result, socket.socket):
            result.close()
def syscall(number, *args):
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    if libc.syscall(ctypes.c_long(number), *wide) == -1:
        raise OSError(ctypes.get_errno(), "")
"""


def inside(
    isolate: Isolate, code: str, *options: str, args: tuple[str, ...] = ()
) -> dict[str, Any]:
    """What `found` holds after the code ran in a jail with these parameters."""
    script = f"{_HELPERS}\n{code}\nprint(json.dumps(found))"
    said = [word for option in options for word in ("-o", option)]
    done = isolate("run", "--backend=jail", *said, *args, "--", "python3", "-c", script, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
