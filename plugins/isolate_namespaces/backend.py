"""The namespaces backend: the full Linux container, written here."""

from __future__ import annotations

import os

from isolate.backend.features import FEATURES, required
from isolate.backend.types import Handle, Plan, PlanStep, Problem
from isolate.errors import HostError
from isolate.linux import cgroup
from isolate.native import filters, launcher, limits, receipt, roots
from isolate.native.backend import DIRECTORY, OWN_PIDS, NativeBackend, first_process
from isolate.native.mount_steps import Bind
from isolate.native.prepared import Prepared
from isolate.native.process_steps import START
from isolate_namespaces import decide, plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.backend.types import Context, ReceiptRow
    from isolate.native.channel import Channel
    from isolate.native.roots import PreparedRoot
    from isolate.native.step import Step
    from isolate.spec.model import Spec

_ALWAYS = frozenset(FEATURES) - {
    "kernel.separate",
    "hooks",
    "privileges.lsm_label",
    "privileges.privileged",
    "users.host",
    "mounts.idmap",
    *(name for name in FEATURES if name.startswith("limits.")),
}
_ROOT_ONLY = frozenset({"privileges.privileged", "users.host", "mounts.idmap"})


class NamespacesBackend(NativeBackend):
    """Mount, pid, network, ipc, uts, user, cgroup and time namespaces; pivot_root; cgroups;
    capabilities; seccomp; no_new_privs. Root inside is not root outside."""

    name = "namespaces"
    summary = "Linux namespaces, cgroups, seccomp and capabilities, with no other runtime"

    def check(self) -> list[Problem]:
        problems = []
        forbidden = decide.user_namespaces_allowed()
        if forbidden is not None:
            problems.append(
                Problem(
                    what=f"user namespaces are not allowed: {forbidden}",
                    remedy="allow them by that setting, or run as root with --userns=host",
                )
            )
        if not roots.supported():
            problems.append(
                Problem(
                    what="the kernel lacks mount_setattr(2)",
                    remedy="use Linux 5.12 or later; an outer container's filter may hide it",
                )
            )
        return problems

    def capabilities(self) -> frozenset[str]:
        views = decide.kernel_views()
        missing = {f"view.{name}" for name in ("time", "cgroups") if name not in views}
        rights = _ROOT_ONLY if os.geteuid() == 0 else frozenset()
        return (_ALWAYS - missing) | rights | limits.promised()

    def explain(self, spec: Spec) -> Plan:
        chosen = self._choose(spec, "ID", roots.preview(spec), (0, 1, 2), single=os.geteuid() != 0)
        rows = [
            PlanStep(name="cgroup", what=limits.describe(spec)),
            PlanStep(
                name="clone",
                what="clone a first process into new namespaces: "
                + ", ".join(sorted(chosen.views)),
            ),
            *(PlanStep(name=step.name, what=step.describe()) for step in plan.steps(spec, chosen)),
        ]
        unsupported = required(spec) - self.capabilities()
        return Plan(steps=tuple(rows), unsupported=tuple(sorted(unsupported)))

    def create(self, spec: Spec, context: Context) -> Handle:
        views = decide.views(spec)
        maps = self._maps(spec, context, views)
        group = limits.prepare(spec, context)
        with Prepared() as prepared, limits.entry(group) as entry:
            root = roots.prepare(context, prepared)
            chosen = self._choose(
                spec,
                context.id,
                root,
                context.stdio,
                single=maps is not None and maps.single,
                entry=entry,
            )
            steps = plan.steps(spec, chosen)
            self._open_binds(steps, prepared)
            prepared[START] = launcher.make_fifo(context.directory)
            context.checkpoint("launch")
            launched = launcher.launch(
                decide.clone_flags(views),
                steps,
                prepared=prepared,
                meanwhile=_Launcher(spec, context, maps, root, steps).do,
                on_console=context.on_console,
                cgroup_fd=entry.unified,
            )
        return Handle(
            id=context.id,
            backend=self.name,
            pid=launched.pid,
            start_time=launched.start_time,
            data={
                DIRECTORY: context.directory,
                OWN_PIDS: "pids" in views,
                **limits.handle_data(group),
            },
        )

    def _maps(self, spec: Spec, context: Context, views: frozenset[str]) -> decide.Maps | None:
        if "users" not in views:
            return None
        asked = spec.privileges
        if asked.uid_map:
            maps = decide.Maps(
                decide.chosen_maps(asked.uid_map),
                decide.chosen_maps(asked.gid_map),
                helper=os.geteuid() != 0,
            )
            if os.geteuid() != 0:
                decide.check_rootless_maps(maps)
            return maps
        if os.geteuid() == 0:
            return decide.private_range(context.claim_ids())
        return decide.rootless()

    def _choose(
        self,
        spec: Spec,
        id: str,
        root: PreparedRoot,
        stdio: tuple[int, int, int],
        *,
        single: bool,
        entry: cgroup.Entry | None = None,
    ) -> plan.Choices:
        mask = decide.capability_mask(spec)
        asked = spec.privileges
        privileged = asked.privileged
        filter_name = asked.seccomp or ("unconfined" if privileged else "default")
        return plan.Choices(
            views=decide.views(spec),
            attach_root=root.step,
            capabilities=mask,
            filter=filters.program(filter_name, mask),
            filter_name=filter_name,
            no_new_privileges=not privileged
            if asked.no_new_privileges is None
            else asked.no_new_privileges,
            hostname=spec.hostname or id[:64],
            rootless=os.geteuid() != 0,
            single_id=single,
            stdio=stdio,
            cgroup2=cgroup.discover().mode == "v2",
            cgroup_entry=entry,
        )

    @staticmethod
    def _open_binds(steps: list[Step], prepared: Prepared) -> None:
        """Root opens the sources of volumes itself: the container's root may not reach them."""
        if os.geteuid() != 0:
            return
        for step in steps:
            if isinstance(step, Bind):
                try:
                    prepared[step.name] = step.open()
                except OSError as error:
                    raise HostError(
                        f"{step.source} can't be shown in the container: {error.strerror}",
                        hint="the source of a volume must exist on the host",
                    ) from None

    def receipt(self, spec: Spec, handle: Handle) -> list[ReceiptRow]:
        pid, _start_time = first_process(handle)
        asked = spec.privileges
        views = decide.views(spec)
        status = receipt.Status(pid)
        rows = [
            *receipt.root(pid, readonly=spec.root.readonly, host=spec.root.source == "host"),
            receipt.fence(pid),
            *receipt.views(pid, views),
        ]
        if "users" in views:
            rows.append(receipt.users(pid))
        if "network" in views:
            rows.append(receipt.no_network(pid))
        rows.append(status.capabilities(decide.capability_mask(spec)))
        if asked.no_new_privileges is not False and not asked.privileged:
            rows.append(status.no_new_privileges())
        if asked.seccomp != "unconfined" and not asked.privileged:
            rows.append(status.seccomp(asked.seccomp or "default"))
        rows += receipt.rlimits(pid, dict(spec.process.rlimits))
        if spec.process.oom_score_adj is not None:
            rows.append(receipt.oom_score_adj(pid, spec.process.oom_score_adj))
        return [*rows, *limits.receipt(spec, handle)]


class _Launcher:
    """The launcher's half of a launch, while the child runs its own."""

    def __init__(
        self,
        spec: Spec,
        context: Context,
        maps: decide.Maps | None,
        root: PreparedRoot,
        steps: list[Step],
    ) -> None:
        self._spec = spec
        self._context = context
        self._maps = maps
        self._root = root
        self._binds = [step for step in steps if isinstance(step, Bind)]

    def do(self, pid: int, channel: Channel) -> None:
        """Maps first: until they are written the child can create nothing."""
        limits.record_process(self._context, pid)
        self._context.checkpoint("cloned")
        if self._spec.process.oom_score_adj is not None:
            limits.write_oom_score_adj(pid, self._spec.process.oom_score_adj)
        if self._maps is not None:
            decide.write(self._maps, pid)
            self._context.checkpoint("mapped")
        self._root.configure(pid, self._maps.uids if self._maps else None, self._binds)
        self._context.checkpoint("configured")
        channel.send(plan.MAPPED)
