"""The lifecycle of a container: refuse, record, create, verify, start, wait, delete."""

from __future__ import annotations

import os
import time

from isolate import rootfs
from isolate.backend.features import without
from isolate.backend.types import Context, ReceiptRow
from isolate.errors import IsolateError, ReceiptError, StateError
from isolate.plugins.hooks import Hooks
from isolate.runtime import refusal
from isolate.runtime.collect import collect_entry
from isolate.state import idrange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from isolate.backend.base import Backend
    from isolate.backend.types import ExitStatus, Handle, Usage
    from isolate.spec.model import Spec
    from isolate.state import Entry, Store


class Container:
    """One container, from its reservation in the state directory to its deletion."""

    def __init__(
        self,
        backend: Backend,
        spec: Spec,
        store: Store,
        *,
        id: str | None = None,
        checkpoint: Callable[[str], None] = lambda _name: None,
    ) -> None:
        """Nothing is made yet. `checkpoint` is called with the name of each step of `create`."""
        self.backend = backend
        self.spec = spec
        self._store = store
        self._id = id
        self.checkpoint = checkpoint
        self._hooks = Hooks()
        self._admitted = False
        self._entry: Entry | None = None
        self._root_hold = -1
        self.handle: Handle | None = None
        self.waived: frozenset[str] = frozenset()
        self.receipt: list[ReceiptRow] = []

    @property
    def id(self) -> str:
        """The container's id."""
        return self._reserved.id

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
        self._admitted = True

    def create(
        self,
        stdio: tuple[int, int, int] = (0, 1, 2),
        on_console: Callable[[int], None] | None = None,
    ) -> None:
        """Make the container, ready to start. On failure nothing is left."""
        if not self._admitted:
            self.admit()
        self.checkpoint("reserve")
        self._entry = self._store.reserve(self._id)
        try:
            self._create(stdio, on_console)
        except BaseException:
            self.delete()
            raise

    def _create(
        self, stdio: tuple[int, int, int], on_console: Callable[[int], None] | None
    ) -> None:
        self._record("creating")
        self.checkpoint("root")
        root = rootfs.prepare(self.spec.root.source)
        self._root_hold = root.hold()
        context = Context(
            id=self.id,
            directory=self._reserved.directory,
            root=root,
            journal=self._reserved.journal,
            claim_ids=lambda: idrange.claim(self._store, self.id),
            stdio=stdio,
            waived=self.waived,
            on_console=on_console,
            checkpoint=self.checkpoint,
        )
        self.handle = self.backend.create(self.spec, context)
        self.checkpoint("receipt")
        self.receipt = self.backend.receipt(self.spec, self.handle)
        self._verify_receipt()
        self._record("created")
        self.checkpoint("created")
        self._hooks.container_created(self.handle, self.spec)

    def _verify_receipt(self) -> None:
        broken = [row for row in self.receipt if not row.holds and row.feature not in self.waived]
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
        self._record("running")
        self._hooks.container_started(self.running_handle)

    def stopped(self, status: ExitStatus, usage: Usage) -> None:
        """Tell the observers how the program ended."""
        self._hooks.container_stopped(self.running_handle, status, usage)

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

    def _record(self, status: str) -> None:
        self._reserved.write_record(
            {
                "backend": self.backend.name,
                "status": status,
                "created": time.time(),
                "handle": self.handle.to_dict() if self.handle is not None else None,
                "spec": self.spec.to_dict(),
                "waived": sorted(self.waived),
                "receipt": [row.to_dict() for row in self.receipt],
            }
        )
