"""The seccomp filter of a spec, for LXC: a profile's text, and the program that stands before."""

from __future__ import annotations

import os

from isolate.errors import HostError, SpecError
from isolate.linux.seccomp import cache, document
from isolate.spec.meaning import UNCONFINED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.linux.seccomp.policy import Policy


class Profile:
    """What LXC is given: the text of its profile, and the guard that its own process takes on."""

    __slots__ = ("guard", "text")

    def __init__(self, text: str, guard: bytes) -> None:
        self.text = text
        self.guard = guard


def profile(choice: str, capabilities: int) -> Profile | None:
    """The profile of `default` or of a JSON profile's path; None for `unconfined`.

    Raises SpecError for a bad profile or one that LXC can't express, HostError where libseccomp
    is missing.
    """
    if choice == UNCONFINED:
        return None
    from isolate.linux.seccomp import compile as compiler
    from isolate_lxc.profile import guard, translate

    machine = os.uname().machine
    try:
        policy = _policy(choice, capabilities, machine)
        text = translate(policy, machine, compiler.libseccomp())
    except ValueError as error:
        raise SpecError("privileges.seccomp", f"{choice}: {error}") from None
    except OSError as error:
        raise HostError(
            f"the seccomp profile can't be made: {error}",
            hint="install libseccomp2; to go without a filter: --seccomp unconfined",
        ) from error
    return Profile(text, guard(policy, machine))


def _policy(choice: str, capabilities: int, machine: str) -> Policy:
    kernel = cache.kernel_version(os.uname().release)
    if choice == "default":
        from isolate.linux.seccomp import default

        return default.policy(capabilities, machine=machine, kernel=kernel)
    from isolate.linux.seccomp import profile as json_profile

    try:
        text = document.read(choice)
    except OSError as error:
        raise SpecError("privileges.seccomp", f"{choice}: {error.strerror}") from None
    return json_profile.read(text, json_profile.Host(capabilities, machine, kernel))
