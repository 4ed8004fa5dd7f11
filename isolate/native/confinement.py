"""How a container's program is confined, kept with the container: what `exec` must not exceed."""

from __future__ import annotations

import os

from isolate.errors import StateError
from isolate.native import filters
from isolate.spec import meaning
from isolate.state.failures import state_error
from isolate.state.json_lines import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from isolate.linux.seccomp.cache import Cached
    from isolate.spec.model import Rlimit, Spec

_NAME = "confinement"
_LARGEST = 1 << 20


class Confinement:
    """The rights of a container's program.

    Attributes:
        capabilities: the bounding set, and root's permitted and effective set.
        no_new_privileges: whether execve(2) never gives more rights.
        may_set_groups: whether the user map has more than one id.
        chrooted: whether the root is no mount namespace's, but a directory of one.
        rlimits: name to (soft, hard).
        umask: file mode creation mask.
        seccomp: the compiled filter, None without one; `seccomp_flags` go with it.
    """

    __slots__ = (
        "capabilities",
        "chrooted",
        "may_set_groups",
        "no_new_privileges",
        "rlimits",
        "seccomp",
        "seccomp_flags",
        "umask",
    )

    def __init__(
        self,
        *,
        capabilities: int,
        no_new_privileges: bool,
        may_set_groups: bool,
        chrooted: bool = False,
        rlimits: Mapping[str, tuple[int, int]],
        umask: int,
        seccomp: bytes | None,
        seccomp_flags: int,
    ) -> None:
        self.capabilities = capabilities
        self.no_new_privileges = no_new_privileges
        self.may_set_groups = may_set_groups
        self.chrooted = chrooted
        self.rlimits = rlimits
        self.umask = umask
        self.seccomp = seccomp
        self.seccomp_flags = seccomp_flags


def keep(spec: Spec, directory: str, *, may_set_groups: bool) -> None:
    """Keep that of a program which another runtime confines: what the spec asks of it, with our own
    filter of the same policy. Raises StateError."""
    mask = meaning.capability_mask(spec)
    save(
        directory,
        capabilities=mask,
        no_new_privileges=meaning.no_new_privileges(spec),
        may_set_groups=may_set_groups,
        rlimits=spec.process.rlimits,
        umask=spec.process.umask,
        seccomp=filters.program(meaning.filter_name(spec), mask),
    )


def save(
    directory: str,
    *,
    capabilities: int,
    no_new_privileges: bool,
    may_set_groups: bool,
    rlimits: Mapping[str, Rlimit],
    umask: int,
    chrooted: bool = False,
    seccomp: Cached | None = None,
) -> None:
    """Keep it in the container's directory, which only its owner can write. Raises StateError."""
    head = {
        "capabilities": capabilities,
        "no_new_privileges": no_new_privileges,
        "may_set_groups": may_set_groups,
        "chrooted": chrooted,
        "rlimits": {name: [limit.soft, limit.hard] for name, limit in rlimits.items()},
        "umask": umask,
        "seccomp": 0 if seccomp is None else len(seccomp.program),
        "seccomp_flags": 0 if seccomp is None else seccomp.flags,
    }
    data = dumps(head).encode("ascii") + b"\n" + (b"" if seccomp is None else seccomp.program)
    path = f"{directory}/{_NAME}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
        try:
            complete = os.write(descriptor, data) == len(data)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise state_error(f"can't write {path}", error) from None
    if not complete:
        raise StateError(f"can't write {path}", hint="the disk is full")


def load(directory: str) -> Confinement:
    """What `save` kept. Raises StateError: without it nothing may be executed."""
    path = f"{directory}/{_NAME}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            head, newline, program = file.read(_LARGEST).partition(b"\n")
        told = loads(head)
        if not newline or told["seccomp"] != len(program):
            raise ValueError("it is cut short")  # noqa: TRY301 - as any other damage
        return Confinement(
            capabilities=int(told["capabilities"]),
            no_new_privileges=told["no_new_privileges"] is not False,
            may_set_groups=told["may_set_groups"] is True,
            chrooted=told["chrooted"] is True,
            rlimits={name: (soft, hard) for name, (soft, hard) in told["rlimits"].items()},
            umask=int(told["umask"]),
            seccomp=program or None,
            seccomp_flags=int(told["seccomp_flags"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(
            f"how the container is confined can't be read: {error}",
            hint="nothing can be executed in it then; delete it and make it again",
        ) from None
