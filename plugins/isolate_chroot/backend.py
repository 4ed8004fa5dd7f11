"""The chroot backend: chroot(2), and nothing more is claimed."""

from __future__ import annotations

import os

from isolate.backend.features import required
from isolate.backend.types import Handle, Plan, PlanStep, Problem
from isolate.linux import capabilities, namespaces
from isolate.linux.names import RLIMITS
from isolate.native import confinement, defaults, launcher, limits, lsm, receipt, roots
from isolate.native import identity_steps as identity
from isolate.native import mount_steps as mounts
from isolate.native import process_steps as process
from isolate.native import rootfs_steps as rootfs
from isolate.native.backend import DIRECTORY, NativeBackend, first_process, kernel_problems
from isolate.native.prepared import Prepared
from isolate.native.process_steps import START

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.backend.types import Context, ReceiptRow
    from isolate.linux.cgroup import Entry
    from isolate.native.channel import Channel
    from isolate.native.step import Step
    from isolate.spec.model import Spec

_PROMISED = frozenset(
    {
        "root",
        "root.layer",
        "process.user",
        "process.groups",
        "process.rlimits",
        "privileges.no_new_privileges",
        "users.host",
        "network.host",
    }
)
_CONFIGURED = "configured"
_PLACE = "place"  # the directory that becomes the root, below the container's own


class ChrootBackend(NativeBackend):
    """A changed root directory, as a user, with rlimits. Root inside is root outside and can leave.

    The mounts that the root needs are made in a mount namespace of the child's, so that a crash
    leaves none behind. That is housekeeping and no fence: it is not promised.
    """

    api_version = 1
    name = "chroot"
    summary = "chroot(2): another root directory and no fence; the honest low end"

    def check(self) -> list[Problem]:
        problems = []
        if os.geteuid() != 0:
            problems.append(
                Problem(what="chroot(2) needs root", remedy="run it as root, or use namespaces")
            )
        return problems + kernel_problems()

    def capabilities(self) -> frozenset[str]:
        return _PROMISED | limits.promised_by_killing() | lsm.promised()

    def explain(self, spec: Spec) -> Plan:
        attach = rootfs.AttachBelow(roots.preview(spec).step, "")
        rows = _steps(spec, attach, (0, 1, 2), None)
        return Plan(
            steps=tuple(PlanStep(name=step.name, what=step.describe()) for step in rows),
            unsupported=tuple(sorted(required(spec) - self.capabilities())),
        )

    def create(self, spec: Spec, context: Context) -> Handle:
        group = limits.prepare_tracking(context)
        with Prepared() as prepared, limits.entry(group) as entry:
            root = roots.prepare(context, prepared)
            place = f"{context.directory}/{_PLACE}"
            os.makedirs(place, 0o700, exist_ok=True)  # one that is made anew has it already
            attach = rootfs.AttachBelow(root.step, place)

            def meanwhile(pid: int, channel: Channel) -> None:
                limits.record_process(context, pid)
                context.checkpoint("cloned")
                root.configure(pid, None, ())
                root.hand_over(pid, channel, ())
                context.checkpoint("configured")
                channel.send(_CONFIGURED)

            confinement.save(
                context.directory,
                capabilities=capabilities.read("self").bounding,
                no_new_privileges=spec.privileges.no_new_privileges is True,
                may_set_groups=True,
                rlimits=spec.process.rlimits,
                umask=spec.process.umask,
                chrooted=True,
                label=spec.privileges.lsm_label,
            )
            lsm.prepare(spec.privileges.lsm_label, prepared)
            prepared[START] = launcher.make_fifo(context.directory)
            context.checkpoint("launch")
            launched = launcher.launch(
                namespaces.CLONE_NEWNS,
                _steps(spec, attach, context.stdio, entry, attached=context.attached),
                prepared=prepared,
                meanwhile=meanwhile,
                cgroup_fd=entry.unified,
            )
        return Handle(
            id=context.id,
            backend=self.name,
            pid=launched.pid,
            start_time=launched.start_time,
            data={DIRECTORY: context.directory, **limits.handle_data(group)},
        )

    def receipt(self, spec: Spec, handle: Handle) -> list[ReceiptRow]:
        pid, _start_time = first_process(handle)
        rows = receipt.root(pid, readonly=False, host=spec.root.source == "host")
        if spec.privileges.no_new_privileges:
            rows.append(receipt.Status(pid).no_new_privileges())
        return rows + receipt.rlimits(pid, dict(spec.process.rlimits))


def _steps(
    spec: Spec,
    attach: Step,
    stdio: tuple[int, int, int],
    entry: Entry | None,
    *,
    attached: bool = True,
) -> list[Step]:
    """Everything between clone and execve, in order."""
    rlimits = {RLIMITS[name]: limit for name, limit in spec.process.rlimits.items()}
    return [
        limits.EnterCgroups(entry),
        identity.WaitFor(_CONFIGURED, "the launcher has configured the root"),
        rootfs.PrivatePropagation(),
        attach,
        mounts.HostTree("/proc", readonly=False),
        mounts.HostTree("/sys", readonly=False),
        *[mounts.DeviceNode(path, path, number) for path, number in defaults.DEVICES.items()],
        rootfs.Chroot(),
        process.NewSession(),
        identity.ResolveUser(spec.process.user, spec.process.groups),
        process.Stdio(stdio, init=False),
        process.Umask(spec.process.umask),
        rootfs.Workdir(spec.process.cwd),
        *([identity.Rlimits(rlimits)] if rlimits else []),
        *lsm.steps(spec.privileges.lsm_label),
        identity.BecomeUser(may_set_groups=True),
        *([identity.DieWithLauncher()] if attached else []),
        *([identity.NoNewPrivileges()] if spec.privileges.no_new_privileges else []),
        process.Barrier(),
        process.Exec(spec.process.args, spec.process.env),
    ]
