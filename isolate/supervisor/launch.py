"""Making detached containers: what of the caller's surroundings a spec must take along."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING, Any

from isolate import rootfs
from isolate.rootfs.cache import location
from isolate.runtime.lifecycle import Container
from isolate.spec.kinds import Size
from isolate.supervisor import client
from isolate.supervisor.logs import SMALLEST
from isolate.supervisor.policy import Policy

if TYPE_CHECKING:
    from isolate.backend.base import Backend
    from isolate.spec.model import Spec
    from isolate.state import Store


def run_detached(store: Store, backend: Backend, spec: Spec, options: dict[str, Any]) -> str:
    """Make and start a container in the background; its id. Raises IsolateError."""
    return _make(store, backend, spec, options, start=True)


def create(store: Store, backend: Backend, spec: Spec, options: dict[str, Any]) -> str:
    """Make a container in the background, which waits to be started; its id."""
    return _make(store, backend, spec, options, start=False)


def _make(
    store: Store, backend: Backend, spec: Spec, options: dict[str, Any], *, start: bool
) -> str:
    restart = Policy(options.get("restart", "no")).text
    size = options.get("log_size")
    log_size = None if size is None else _size(size)
    Container(backend, spec, store, attached=False).admit()  # refused here, before anything starts
    reply = client.request(
        store,
        "create",
        backend=options.get("backend") or backend.name,
        spec=_portable(spec, interactive=options.get("interactive") is True).to_dict(),
        id=options.get("name"),
        start=start,
        restart=restart,
        log_size=log_size,
        cache=location(),
        nofile=_descriptors(),
    )
    return str(reply["id"])


def _portable(spec: Spec, *, interactive: bool) -> Spec:
    """The spec without what the working directory means; its root is ready to be used at once."""
    root = rootfs.prepare(spec.root.source)
    privileges = spec.privileges
    if privileges.seccomp not in (None, "default", "unconfined"):
        privileges = privileges.replace(seccomp=os.path.abspath(str(privileges.seccomp)))
    return spec.replace(
        root=spec.root.replace(source=root.source),
        privileges=privileges,
        process=spec.process.replace(interactive=interactive),
    )


def _size(text: str) -> int:
    return Size(SMALLEST).check(text, "--log-size")


def _descriptors() -> dict[str, int] | None:
    """The caller's own limit; None where it has none."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {"soft": soft, "hard": hard} if soft >= 0 and hard >= 0 else None
