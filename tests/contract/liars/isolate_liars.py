"""Backends that lie, each in one way; the contract must catch every one of them."""

# ruff: noqa: INP001 - a distribution of its own, found by PYTHONPATH

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from isolate.backend import Backend, ExitStatus, Handle, ReceiptRow, Usage
from isolate.hookspecs import hookimpl
from isolate.linux import cgroup
from isolate.plugins import load

if TYPE_CHECKING:
    from isolate.backend import Context, Plan, Problem
    from isolate.plugins import Registry
    from isolate.spec import Spec

CLAIMS = {
    "liar-pids": "view.pids",
    "liar-network": "view.network",
    "liar-memory": "limits.memory",
    "liar-privileges": "privileges.no_new_privileges",
    "liar-readonly": "root.readonly",
    "liar-fence": "root.fence",
    "liar-kernel": "kernel.separate",
}


class Honest(Backend):
    """Passes everything on to chroot, under a name of its own."""

    api_version = 1
    name = "honest"
    summary = "chroot under another name"

    @property
    def real(self) -> Backend:
        return load("chroot")

    def check(self) -> list[Problem]:
        return self.real.check()

    def capabilities(self) -> frozenset[str]:
        return self.real.capabilities()

    def explain(self, spec: Spec) -> Plan:
        plan = self.real.explain(_renamed(spec, self.name))
        unsupported = set(plan.unsupported) - self.capabilities()
        return plan.replace(unsupported=tuple(sorted(unsupported)))

    def create(self, spec: Spec, context: Context) -> Handle:
        return self.real.create(_renamed(spec, self.name), context).replace(backend=self.name)

    def start(self, handle: Handle) -> None:
        self.real.start(handle)

    def wait(self, handle: Handle, timeout: float | None = None) -> ExitStatus | None:
        return self.real.wait(handle, timeout)

    def status(self, handle: Handle) -> str:
        return self.real.status(handle)

    def kill(self, handle: Handle, signal: int, *, everyone: bool = False) -> None:
        self.real.kill(handle, signal, everyone=everyone)

    def delete(self, handle: Handle) -> None:
        self.real.delete(handle)

    def receipt(self, spec: Spec, handle: Handle) -> list[ReceiptRow]:
        return self.real.receipt(spec, handle)

    def usage(self, handle: Handle) -> Usage:
        return self.real.usage(handle)


def _renamed(spec: Spec, name: str) -> Spec:
    options = dict(spec.backend_options)
    if name in options:
        options["chroot"] = options.pop(name)
    return spec.replace(backend_options=options)


class Claims(Honest):
    """Claims a feature and does nothing for it."""

    def capabilities(self) -> frozenset[str]:
        return self.real.capabilities() | {CLAIMS[self.name]}

    def create(self, spec: Spec, context: Context) -> Handle:
        if self.name == "liar-privileges":
            quiet = spec.privileges.replace(no_new_privileges=None)
            spec = spec.replace(privileges=quiet)
        return super().create(spec, context)

    def receipt(self, spec: Spec, handle: Handle) -> list[ReceiptRow]:
        return []  # the runtime would find the contradiction itself


class Denies(Honest):
    """Doesn't tell by explain what it can't do."""

    name = "liar-explain"

    def explain(self, spec: Spec) -> Plan:
        return super().explain(spec).replace(unsupported=())


class LeaksDescriptor(Honest):
    """Leaves a descriptor open for each container."""

    name = "liar-descriptor"

    def start(self, handle: Handle) -> None:
        os.open("/", os.O_RDONLY)
        super().start(handle)


class LeaksInside(Honest):
    """Hands the host's root to the program as a fourth stream."""

    name = "liar-inside"

    def create(self, spec: Spec, context: Context) -> Handle:
        door = 'exec 9< /etc/passwd; exec "$0" "$@"'
        process = spec.process.replace(args=("sh", "-c", door, *spec.process.args))
        return super().create(spec.replace(process=process), context)


class HostsProc(Honest):
    """Shows the host's proc, and claims process ids of its own."""

    name = "liar-proc"

    @property
    def real(self) -> Backend:
        return load("namespaces")

    def create(self, spec: Spec, context: Context) -> Handle:
        handle = self.real.create(
            spec.replace(isolate=("mounts", "ipc", "hostname", "cgroups", "time")), context
        )
        return handle.replace(backend=self.name)

    def receipt(self, spec: Spec, handle: Handle) -> list[ReceiptRow]:
        return []  # the runtime would find the contradiction itself


class LeaksCgroup(Honest):
    """Leaves a cgroup behind."""

    name = "liar-cgroup"

    def delete(self, handle: Handle) -> None:
        super().delete(handle)
        os.makedirs(f"{_cgroup()}/liar-{handle.id}", exist_ok=True)


class FalseReceipt(Honest):
    """Tells of a limit that nobody has set."""

    name = "liar-receipt"

    def receipt(self, spec: Spec, handle: Handle) -> list[ReceiptRow]:
        false = ReceiptRow(
            feature="privileges.seccomp",
            asked="default",
            enforced="mode 2, 1 filters",
            source=f"/proc/{handle.pid}/status",
            holds=True,
        )
        return [*super().receipt(spec, handle), false]


class SwallowsExitCodes(Honest):
    """All is well, always."""

    name = "liar-codes"

    def wait(self, handle: Handle, timeout: float | None = None) -> ExitStatus | None:
        status = super().wait(handle, timeout)
        if status is not None and status.code is not None and 2 < status.code < 40:
            return ExitStatus(code=0)
        return ExitStatus(code=0) if status is not None and status.code == 255 else status


class HoldsState(Honest):
    """Remembers in the instance what belongs in the handle."""

    name = "liar-state"

    def create(self, spec: Spec, context: Context) -> Handle:
        handle = super().create(spec, context)
        self.mine = handle
        return handle

    def usage(self, handle: Handle) -> Usage:
        return super().usage(self.mine)


class Crashes(Honest):
    """Lets a bug out where a user's mistake should be told."""

    name = "liar-errors"

    def create(self, spec: Spec, context: Context) -> Handle:
        if spec.process.user == "contract-nobody":
            raise KeyError(spec.process.user)
        return super().create(spec, context)


class KillsOne(Honest):
    """Kills the first process and calls it everyone."""

    name = "liar-everyone"

    def kill(self, handle: Handle, signal: int, *, everyone: bool = False) -> None:
        super().kill(handle, signal)


def _cgroup() -> str:
    """A directory in which cgroups can be made."""
    directories = cgroup.Group.paths(cgroup.discover(), "isolate-x", ["freezer"])
    return os.path.dirname(next(iter(directories.values())))


LIARS: dict[str, type[Honest]] = {
    "honest": Honest,
    **{name: type(name, (Claims,), {"name": name}) for name in CLAIMS},
    **{
        liar.name: liar
        for liar in (
            Denies,
            LeaksDescriptor,
            LeaksInside,
            LeaksCgroup,
            FalseReceipt,
            SwallowsExitCodes,
            HoldsState,
            Crashes,
            KillsOne,
        )
    },
}


# Liars whose lie breaks much of the contract at once: the probes are tried on them.
FOR_PROBES: dict[str, type[Honest]] = {HostsProc.name: HostsProc}


@hookimpl
def isolate_register_backends(registry: Registry) -> None:
    for name, liar in {**LIARS, **FOR_PROBES}.items():
        registry.add(name, liar)
