"""What a spec comes to once its unsaid fields have their defaults: views, capabilities, filter."""

from __future__ import annotations

from isolate.linux import capabilities
from isolate.spec.model import VIEWS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from isolate.spec.model import Spec

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
UNCONFINED = "unconfined"


def views(spec: Spec, available: Iterable[str] = VIEWS) -> frozenset[str]:
    """The namespaces to make, of those that can be had.

    Mounts are always the container's own. Root inside is root outside, and the network is the
    host's, only where the spec says so in that very field; an explicit list chooses among the rest.
    """
    chosen = set(VIEWS if spec.isolate is None else spec.isolate) & set(available)
    chosen |= {"mounts", "users", "network"}
    if spec.privileges.users == "host" or spec.privileges.privileged:
        chosen.discard("users")
    if spec.network.mode == "host":
        chosen.discard("network")
    return frozenset(chosen)


def capability_mask(spec: Spec) -> int:
    """The bounding, permitted and effective set; bit N is the capability of number N."""
    asked = spec.privileges
    if asked.privileged:
        return capabilities.read("self").bounding
    if asked.capabilities is not None:
        base = capabilities.to_mask(asked.capabilities)
    else:
        base = capabilities.DEFAULT
    if "ALL" in asked.cap_drop:
        base = 0
    dropped = capabilities.to_mask(name for name in asked.cap_drop if name != "ALL")
    return (base & ~dropped) | capabilities.to_mask(asked.cap_add)


def no_new_privileges(spec: Spec) -> bool:
    """Whether execve(2) may give no more rights."""
    asked = spec.privileges
    return not asked.privileged if asked.no_new_privileges is None else asked.no_new_privileges


def filter_name(spec: Spec) -> str:
    """`default`, `unconfined`, or the path of a seccomp profile."""
    return spec.privileges.seccomp or (UNCONFINED if spec.privileges.privileged else "default")
