"""The layers of a backend's defence, and the part of a spec document that drops each one alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from isolate.backend.features import required
from isolate.compare.document import LayerRow
from isolate.errors import IsolateError
from isolate.linux import capabilities
from isolate.linux.names import CAPABILITIES
from isolate.probe.subject import Contained
from isolate.spec.load import merge
from isolate.spec.model import VIEWS, Spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from isolate.compare.bench import Bench

    Document = Mapping[str, Any]
    Receipt = Sequence[tuple[str, str]]

# Views that a list can leave out (isolate.spec.meaning); the others have fields of their own.
_LISTED = tuple(view for view in VIEWS if view not in ("mounts", "users", "network"))
_CGROUP = (
    "a spec can't drop it alone: the device filter, the bound on tasks and the accounts come with "
    "every container that this user can have a cgroup for"
)


class Layer:
    """One layer: the feature by which a backend has it, and the document that drops it."""

    __slots__ = ("feature", "name", "overlay")

    def __init__(self, name: str, feature: str, overlay: Document) -> None:
        self.name = name
        self.feature = feature
        self.overlay = overlay


def known(claims: frozenset[str]) -> list[Layer]:
    """The layers of a backend with these features that a spec can drop."""
    mask = capabilities.read("self").bounding
    every = [name for name in capabilities.to_names(mask) if name in CAPABILITIES]
    views = [view for view in _LISTED if f"view.{view}" in claims]
    layers = [
        Layer("seccomp", "privileges.seccomp", {"privileges": {"seccomp": "unconfined"}}),
        Layer("capabilities", "privileges.capabilities", {"privileges": {"cap_add": every}}),
        Layer(
            "no_new_privileges",
            "privileges.no_new_privileges",
            {"privileges": {"no_new_privileges": False}},
        ),
        Layer("user namespace", "view.users", {"privileges": {"users": "host"}}),
        Layer("masked paths", "privileges.unmask", {"privileges": {"unmask": True}}),
        Layer("lsm", "privileges.lsm_label", {"privileges": {"lsm_label": "unconfined"}}),
        Layer("network namespace", "view.network", {"network": {"mode": "host"}}),
        *(
            Layer(
                f"{view} namespace",
                f"view.{view}",
                {"isolate": ["mounts", *(each for each in views if each != view)]},
            )
            for view in views
        ),
    ]
    return [layer for layer in layers if layer.feature in claims]


def of(bench: Bench, document: Document) -> list[LayerRow]:
    """The layers of a backend, each tried: what can't be dropped alone says why.

    Raises IsolateError where even the whole can't be launched.
    """
    subject = bench.subject
    assert isinstance(subject, Contained)  # noqa: S101 - the bare host has no layers
    whole = bench.launch(["true"]).receipt
    rows = [
        LayerRow(
            backend=bench.name,
            layer=layer.name,
            overlay=json.dumps(layer.overlay),
            note=_why_not(bench, subject, document, layer, whole),
        )
        for layer in known(subject.claims)
    ]
    return [*rows, LayerRow(backend=bench.name, layer="cgroup", note=_CGROUP)]


def _why_not(
    bench: Bench, subject: Contained, document: Document, layer: Layer, whole: Receipt
) -> str | None:
    """Why the backend can't go without; None where it can. Runs a container."""
    try:
        asked = merge(merge(dict(document), dict(layer.overlay)), {"process": {"args": ["true"]}})
        missing = required(Spec.build(asked, "spec")) - subject.claims
        if missing:
            return f"the backend can't honour {', '.join(sorted(missing))}"
        without = bench.launch(["true"], layer.overlay).receipt
    except IsolateError as error:
        return error.message
    return "it stays all the same" if _stays(layer.feature, whole, without) else None


def _stays(feature: str, whole: Receipt, without: Receipt) -> bool:
    """Whether the kernel says the same of it with and without; what a receipt doesn't tell of is
    taken to be gone. A namespace's number is never the same twice: its row has to be gone."""
    before = [words for name, words in whole if name == feature]
    after = [words for name, words in without if name == feature]
    if feature.startswith("view."):
        return bool(before) and bool(after) and not any("host" in words for words in after)
    return bool(before) and before == after


def combined(rows: Iterable[LayerRow]) -> dict[str, Any]:
    """One document that drops all of them."""
    whole: dict[str, Any] = {}
    views: set[str] | None = None
    for row in rows:
        overlay = json.loads(row.overlay)
        if "isolate" in overlay:  # lists would append; what every one of them keeps is left
            kept = set(overlay.pop("isolate"))
            views = kept if views is None else views & kept
        whole = merge(whole, overlay)
    return whole if views is None else {**whole, "isolate": sorted(views)}
