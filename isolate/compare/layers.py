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
    from collections.abc import Iterable, Mapping

    from isolate.compare.bench import Bench

    Document = Mapping[str, Any]

ALL = "all"

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


def known() -> list[Layer]:
    """Every layer that a spec can drop."""
    mask = capabilities.read("self").bounding
    every = [name for name in capabilities.to_names(mask) if name in CAPABILITIES]
    return [
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
        *(Layer(f"{view} view", f"view.{view}", {"isolate": _without(view)}) for view in _LISTED),
    ]


def _without(view: str) -> list[str]:
    return [each for each in VIEWS if each not in (view, "users", "network")]


def of(bench: Bench, document: Document) -> list[LayerRow]:
    """The layers of a backend, each tried: what can't be dropped alone says why."""
    subject = bench.subject
    assert isinstance(subject, Contained)  # noqa: S101 - the bare host has no layers
    rows = [
        LayerRow(
            backend=bench.name,
            layer=layer.name,
            overlay=json.dumps(layer.overlay),
            note=_why_not(bench, subject, document, layer.overlay),
        )
        for layer in known()
        if layer.feature in subject.claims
    ]
    return [*rows, LayerRow(backend=bench.name, layer="cgroup", note=_CGROUP)]


def _why_not(bench: Bench, subject: Contained, document: Document, overlay: Document) -> str | None:
    """Why the backend can't go without; None where it can. Runs a container."""
    try:
        asked = merge(merge(dict(document), dict(overlay)), {"process": {"args": ["true"]}})
        missing = required(Spec.build(asked, "spec")) - subject.claims
        if missing:
            return f"the backend can't honour {', '.join(sorted(missing))}"
        bench.launch(["true"], overlay)
    except IsolateError as error:
        return error.message
    return None


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
