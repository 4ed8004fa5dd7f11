"""The seccomp filter of a spec: our default profile, a profile of Docker's format, or none."""

from __future__ import annotations

import os

from isolate.errors import HostError, RootfsError, SpecError
from isolate.linux.seccomp import cache, document
from isolate.rootfs.cache import directory as cache_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.linux.seccomp.cache import Cached

UNCONFINED = "unconfined"


def program(choice: str, capabilities: int, *, cached: bool = True) -> Cached | None:
    """The compiled filter of `default` or of a profile's path; None for `unconfined`.

    The default profile allows more system calls with some capabilities, so the bounding set is
    part of it. Raises SpecError for a bad profile, HostError where libseccomp is missing.
    """
    if choice == UNCONFINED:
        return None
    where = _cache() if cached else None
    try:
        if choice == "default":
            return cache.default(capabilities, where)
        return cache.custom(_read(choice), capabilities, where)
    except ValueError as error:
        raise SpecError("privileges.seccomp", f"{choice}: {error}") from None
    except OSError as error:
        raise HostError(
            f"the seccomp filter can't be compiled: {error}",
            hint="install libseccomp2; to go without a filter: --seccomp unconfined",
        ) from error


def _cache() -> str | None:
    """Where compiled filters are kept; without a usable cache each run compiles."""
    try:
        path = f"{cache_directory()}/seccomp"
        os.makedirs(path, 0o700, exist_ok=True)
    except (OSError, RootfsError):
        return None
    return path


def _read(path: str) -> bytes:
    try:
        return document.read(path)
    except OSError as error:
        raise SpecError("privileges.seccomp", f"{path}: {error.strerror}") from None
