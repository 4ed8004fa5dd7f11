"""The namespaces backend: the full Linux container, written here."""

from __future__ import annotations

import os

from isolate.backend.features import FEATURES, required
from isolate.backend.types import Handle, Plan, PlanStep, Problem
from isolate.linux import cgroup, detached
from isolate.native import (
    confinement,
    filters,
    launcher,
    limits,
    maps,
    receipt,
    roots,
    views,
)
from isolate.native.backend import (
    DIRECTORY,
    OWN_PIDS,
    NativeBackend,
    first_process,
    kernel_problems,
)
from isolate.native.half import LauncherHalf, open_binds
from isolate.native.prepared import Prepared
from isolate.native.process_steps import START
from isolate_namespaces import decide, plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.backend.types import Context, ReceiptRow
    from isolate.native.roots import PreparedRoot
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
_ROOT_ONLY = frozenset({"privileges.privileged", "users.host"})


class NamespacesBackend(NativeBackend):
    """Mount, pid, network, ipc, uts, user, cgroup and time namespaces; pivot_root; cgroups;
    capabilities; seccomp; no_new_privs. Root inside is not root outside."""

    name = "namespaces"
    summary = "Linux namespaces, cgroups, seccomp and capabilities, with no other runtime"

    def check(self) -> list[Problem]:
        problems = []
        forbidden = maps.user_namespaces_allowed()
        if forbidden is not None:
            problems.append(
                Problem(
                    what=f"user namespaces are not allowed: {forbidden}",
                    remedy="allow them by that setting, or run as root with --userns=host",
                )
            )
        return problems + kernel_problems()

    def capabilities(self) -> frozenset[str]:
        kernel = views.supported()
        missing = {f"view.{name}" for name in ("time", "cgroups") if name not in kernel}
        rights = _ROOT_ONLY if os.geteuid() == 0 else frozenset()
        if rights and detached.native():
            rights |= {"mounts.idmap"}
        return (_ALWAYS - missing) | rights | limits.promised()

    def explain(self, spec: Spec) -> Plan:
        root = roots.preview(spec, users="users" in decide.views(spec))
        chosen = self._choose(spec, "ID", root, (0, 1, 2), single=os.geteuid() != 0)
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
        chosen_views = decide.views(spec)
        asked = maps.of(spec, context.claim_ids) if "users" in chosen_views else None
        group = limits.prepare(spec, context)
        with Prepared() as prepared, limits.entry(group) as entry:
            root = roots.prepare(context, prepared)
            chosen = self._choose(
                spec,
                context.id,
                root,
                context.stdio,
                single=asked is not None and asked.single,
                entry=entry,
                attached=context.attached,
            )
            confinement.save(
                context.directory,
                capabilities=chosen.capabilities,
                no_new_privileges=chosen.no_new_privileges,
                may_set_groups=not chosen.single_id,
                rlimits=spec.process.rlimits,
                umask=spec.process.umask,
                seccomp=chosen.filter,
            )
            steps = plan.steps(spec, chosen)
            open_binds(steps, prepared)
            prepared[START] = launcher.make_fifo(context.directory)
            context.checkpoint("launch")
            launched = launcher.launch(
                views.clone_flags(chosen_views),
                steps,
                prepared=prepared,
                meanwhile=LauncherHalf(spec, context, asked, root, steps).do,
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
                OWN_PIDS: "pids" in chosen_views,
                **limits.handle_data(group),
            },
        )

    def _choose(
        self,
        spec: Spec,
        id: str,
        root: PreparedRoot,
        stdio: tuple[int, int, int],
        *,
        single: bool,
        entry: cgroup.Entry | None = None,
        attached: bool = True,
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
            attached=attached,
        )

    def receipt(self, spec: Spec, handle: Handle) -> list[ReceiptRow]:
        pid, _start_time = first_process(handle)
        asked = spec.privileges
        chosen_views = decide.views(spec)
        status = receipt.Status(pid)
        rows = [
            *receipt.root(pid, readonly=spec.root.readonly, host=spec.root.source == "host"),
            receipt.fence(pid),
            *receipt.views(pid, chosen_views),
        ]
        if "users" in chosen_views:
            rows.append(receipt.users(pid))
        if "network" in chosen_views:
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
