"""What a spec means on this host: which namespaces, which capabilities."""

from __future__ import annotations

from isolate.native.views import supported
from isolate.spec import meaning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.spec.model import Spec


def views(spec: Spec) -> frozenset[str]:
    """The namespaces to make, of those that this kernel has."""
    return meaning.views(spec, supported())


def capability_mask(spec: Spec) -> int:
    """The bounding, permitted and effective set."""
    return meaning.capability_mask(spec)
