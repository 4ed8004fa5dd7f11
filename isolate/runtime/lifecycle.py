"""The lifecycle of a container: refuse, record, create, verify, start, wait, delete."""

from __future__ import annotations

import os
import time

from isolate import rootfs
from isolate.backend.features import without
from isolate.backend.types import Context, Handle, ReceiptRow
from isolate.errors import IsolateError, ReceiptError, RootfsError, StateError
from isolate.plugins.hooks import Hooks
from isolate.runtime import refusal
from isolate.runtime.collect import collect_entry
from isolate.spec.model import Spec
from isolate.state import idrange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from isolate.backend.base import Backend
    from isolate.backend.types import ExitStatus, Usage

    Stdio = tuple[int, int, int] | Callable[[str], tuple[int, int, int]]
    from isolate.state import Entry, Journal, Store


class Container:
    """One container, from its reservation in the state directory to its deletion."""

    def __init__(
        self,
        backend: Backend,
        spec: Spec,
        store: Store,
        *,
        id: str | None = None,
        attached: bool = True,
        checkpoint: Callable[[str], None] = lambda _name: None,
    ) -> None:
        """Nothing is made yet. `checkpoint` is called with the name of each step of `create`.

        A container that is not `attached` outlives this process and stays until it is deleted;
        `notes` is what its supervisor wants kept in the record. `requests` is a socket from which
        the container takes its programs, where it has none of its own.
        """
        self.backend = backend
        self.spec = spec
        self._store = store
        self._id = id
        self.attached = attached
        self.requests = -1
        self.notes: dict[str, object] = {}
        self._made_at = time.time()
        self._layers: tuple[str, ...] = ()
        self.checkpoint = checkpoint
        self._hooks = Hooks()
        self._admitted = False
        self._entry: Entry | None = None
        self._root_hold = -1
        self.handle: Handle | None = None
        self._recorded: tuple[Spec, dict[str, Any]] | None = None  # a spec and its document
        self.waived: frozenset[str] = frozenset()
        self.receipt: list[ReceiptRow] = []

    @classmethod
    def adopt(cls, backend: Backend, entry: Entry, record: dict[str, Any]) -> Container:
        """A detached container whose supervisor is dead, of which the caller owns the entry."""
        container = cls(backend, Spec.build(record["spec"], "spec"), entry.store, attached=False)
        container._admitted = True
        container._entry = entry
        container._made_at = record["created"]
        container._layers = tuple(record["layers"])
        container.notes = record["notes"]
        container.waived = frozenset(record["waived"])
        container.receipt = [ReceiptRow.build(row, "receipt") for row in record["receipt"]]
        if record["handle"] is not None:
            container.handle = Handle.build(record["handle"], "handle")
        container._root_hold = _hold(container._layers)
        return container

    @property
    def id(self) -> str:
        """The container's id."""
        return self._reserved.id

    @property
    def directory(self) -> str:
        """The container's directory in the state directory."""
        return self._reserved.directory

    @property
    def journal(self) -> Journal:
        """What was made for the container."""
        return self._reserved.journal

    @property
    def _reserved(self) -> Entry:
        if self._entry is None:
            raise IsolateError("the container has not been created")
        return self._entry

    def admit(self) -> None:
        """Refuse what can't be honoured here. Raises HostError, UnsupportedError."""
        self.backend.validate(self.spec)
        refusal.require_usable(self.backend)
        self.waived = refusal.waived(self.spec, self.backend)
        self.spec = without(self.spec, self.waived)
        if any(mount.idmap for mount in self.spec.mounts):
            from isolate.runtime import volumes

            volumes.refuse_unsafe(self.spec)
        self._admitted = True

    def create(
        self,
        stdio: Stdio = (0, 1, 2),
        on_console: Callable[[int], None] | None = None,
    ) -> None:
        """Make the container, ready to start. On failure nothing is left.

        `stdio` are the program's streams, or makes them, given the container's directory.
        """
        if not self._admitted:
            self.admit()
        self.checkpoint("reserve")
        self._entry = self._store.reserve(self._id)
        try:
            self._create(stdio, on_console)
        except BaseException:
            self.delete()
            raise

    def _create(self, stdio: Stdio, on_console: Callable[[int], None] | None) -> None:
        self.record("creating")
        self._make(stdio, on_console)

    def recreate(
        self,
        stdio: Stdio = (0, 1, 2),
        on_console: Callable[[int], None] | None = None,
    ) -> None:
        """Make a stopped container anew, with the writable layer that it had. Raises IsolateError;
        what was half made is then undone by `delete`."""
        from isolate.runtime.again import clear

        if self.handle is not None:
            self.backend.delete(self.handle)
            self.handle = None
        self.record("restarting")
        clear(self._reserved)
        self._drop_root()
        self._make(stdio, on_console)

    def _make(self, stdio: Stdio, on_console: Callable[[int], None] | None) -> None:
        self.checkpoint("root")
        root = rootfs.prepare(self.spec.root.source)
        self._root_hold = root.hold()
        self._layers = root.layers if root.cached else ()
        context = Context(
            id=self.id,
            directory=self._reserved.directory,
            root=root,
            journal=self._reserved.journal,
            claim_ids=self._claim_ids,
            stdio=stdio if isinstance(stdio, tuple) else stdio(self.directory),
            waived=self.waived,
            attached=self.attached,
            requests=self.requests,
            on_console=on_console,
            checkpoint=self.checkpoint,
        )
        spec = self.spec
        if root.kind == "host":
            from isolate.runtime import commanding

            spec = commanding.hide(spec, self._store.root)
        self.handle = self.backend.create(spec, context)
        self.checkpoint("receipt")
        self.receipt = self.backend.receipt(self.spec, self.handle)
        self._verify(self.receipt)
        if not self.attached:  # the other's program starts at once, and is recorded as running
            self.record("created")
        self.checkpoint("created")
        self._hooks.container_created(self.handle, self.spec)

    def _claim_ids(self) -> int:
        """The range that the container has already, whose ids own its files; else a new one."""
        return idrange.claimed(self._reserved) or idrange.claim(self._reserved)

    def _verify(self, rows: list[ReceiptRow]) -> None:
        broken = [row for row in rows if not row.holds and row.feature not in self.waived]
        if broken:
            row = broken[0]
            raise ReceiptError(
                f"{row.feature}: asked {row.asked}, but {row.source} says {row.enforced}",
                hint=f"backend {self.backend.name} doesn't do what it promises; "
                f"to go on: --allow-degraded {row.feature}",
            )

    @property
    def running_handle(self) -> Handle:
        """The handle of the created container."""
        if self.handle is None:
            raise IsolateError("the container has not been created")
        return self.handle

    def start(self) -> None:
        """Execute the program. Raises ExecError where it can't be."""
        self.backend.start(self.running_handle)
        known = {row.feature for row in self.receipt}
        rows = self.backend.receipt_at_start(self.spec, self.running_handle)
        late = [row for row in rows if row.feature not in known]
        self._verify(late)
        self.receipt += late
        self.record("running")
        self._hooks.container_started(self.running_handle)

    def stopped(self, status: ExitStatus, usage: Usage) -> None:
        """Tell the observers how the program ended."""
        self._hooks.container_stopped(self.running_handle, status, usage)

    def let_go(self) -> None:
        """Own it no more; it stays as it is."""
        self._drop_root()
        if self._entry is not None:
            self._entry.release()
            self._entry = None

    def delete(self) -> None:
        """Undo everything; idempotent."""
        entry = self._entry
        if entry is None:
            return
        if self.handle is not None:
            self.backend.delete(self.handle)
        self._drop_root()
        report = collect_entry(entry)
        self._entry = None
        if self.handle is not None:
            self._hooks.container_deleted(entry.id)
        if report.problems:
            raise StateError(
                f"container {entry.id} is not wholly removed: {'; '.join(report.problems)}",
                hint="what is left is kept for `isolate gc`",
            )

    def _drop_root(self) -> None:
        if self._root_hold >= 0:
            os.close(self._root_hold)
            self._root_hold = -1

    def _document(self) -> dict[str, Any]:
        """The spec as plain data, made once for each: `update` gives a container another."""
        if self._recorded is None or self._recorded[0] is not self.spec:
            self._recorded = self.spec, self.spec.to_dict()
        return self._recorded[1]

    def record(self, status: str) -> None:
        """Write the container's record. Raises StateError."""
        self._reserved.write_record(
            {
                "backend": self.backend.name,
                "status": status,
                "detached": not self.attached,
                "created": self._made_at,
                "handle": self.handle.to_dict() if self.handle is not None else None,
                "spec": self._document(),
                "waived": sorted(self.waived),
                "receipt": [row.to_dict() for row in self.receipt],
                "layers": list(self._layers),
                "notes": self.notes,
            }
        )


def _hold(layers: tuple[str, ...]) -> int:
    """Keep layers of the cache from being dropped; -1 where there are none, or no more."""
    if not layers:
        return -1
    try:
        return rootfs.Root("", layers, cached=True).hold()
    except RootfsError:
        return -1
