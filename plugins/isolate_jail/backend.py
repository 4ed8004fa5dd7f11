"""The jail backend: jail(8)'s words, enforced on Linux by restriction."""

from __future__ import annotations

import os
import time

from isolate.backend.features import FEATURES, required
from isolate.backend.types import Handle, Plan, PlanStep, Problem
from isolate.errors import HostError, LaunchError, StateError, UnsupportedError
from isolate.linux import address, cgroup, landlock, signals
from isolate.linux import process as processes
from isolate.linux.cgroup import addresses
from isolate.native import confinement, executing, filters, launcher, limits, maps, roots, views
from isolate.native.backend import DIRECTORY, OWN_PIDS, NativeBackend, first_process
from isolate.native.half import LauncherHalf, open_binds
from isolate.native.prepared import Prepared
from isolate.native.process_steps import START
from isolate_jail import hooks, parameters, registry, rights, settings
from isolate_jail import plan as plans

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.backend.abilities import ExecContext
    from isolate.backend.types import Context, ReceiptRow
    from isolate.linux.cgroup import Group
    from isolate.native.channel import Channel
    from isolate.native.roots import PreparedRoot
    from isolate.spec.model import Process, Spec
    from isolate_jail.parameters import Jail

_ALWAYS = frozenset(FEATURES) - {
    "kernel.separate",
    "hooks",
    "privileges.lsm_label",
    "privileges.privileged",
    "users.host",
    "mounts.idmap",
    *(name for name in FEATURES if name.startswith("limits.")),
}
_ROOT_ONLY = frozenset({"users.host", "mounts.idmap"})
_SCOPES = 6  # the Landlock ABI that holds abstract sockets


class JailBackend(NativeBackend):
    """A subtree, own processes, and what the parameters allow: Landlock, seccomp, no capabilities
    and no_new_privs on top of the namespaces. The host's network only as far as it is asked for."""

    name = "jail"
    summary = "FreeBSD's jail(8) on Linux: namespaces restricted by Landlock and seccomp"

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
        if landlock.abi() == 0:
            problems.append(
                Problem(
                    what="the kernel has no Landlock, or it is switched off",
                    remedy="use Linux 5.13 or later, with landlock in the boot parameter lsm=",
                )
            )
        problems += roots.problems_with_detached_mounts()
        return problems

    def capabilities(self) -> frozenset[str]:
        kernel = views.supported()
        missing = {f"view.{name}" for name in ("time", "cgroups") if name not in kernel}
        granted = _ROOT_ONLY if os.geteuid() == 0 else frozenset()
        return (_ALWAYS - missing) | granted | limits.promised()

    def validate(self, spec: Spec) -> None:
        jail = _parameters(spec)
        settings.refuse(spec, jail, root=os.geteuid() == 0)
        net = settings.network(spec, jail, root=os.geteuid() == 0)
        settings.views(spec, jail, net)
        rights.capability_mask(spec, jail, shared_network=net.shared)

    def explain(self, spec: Spec) -> Plan:
        jail = _parameters(spec)
        settings.refuse(spec, jail, root=os.geteuid() == 0)
        whole = settings.completed(spec, jail)
        chosen = self._choose(
            whole, jail, "ID", roots.preview(whole), (0, 1, 2), single=os.geteuid() != 0
        )
        rows = [
            PlanStep(name="cgroup", what=limits.describe(whole)),
            *_network_steps(jail, chosen.network),
            PlanStep(
                name="clone",
                what="clone a first process into new namespaces: "
                + ", ".join(sorted(chosen.views)),
            ),
            *(
                PlanStep(name=step.name, what=step.describe())
                for step in plans.plan(whole, jail, chosen)
            ),
        ]
        unsupported = required(spec) - self.capabilities()
        return Plan(steps=tuple(rows), unsupported=tuple(sorted(unsupported)))

    def create(self, spec: Spec, context: Context) -> Handle:
        jail = _parameters(spec)
        settings.refuse(spec, jail, root=os.geteuid() == 0)
        if jail["name"] not in (None, context.id):
            raise LaunchError(
                f"the jail is called {jail['name']}, the container {context.id}",
                hint=f"--name {jail['name']}",
            )
        jail = registry.register(
            context.directory,
            context.id,
            jail,
            path=settings.root_path(spec),
            hostname=settings.hostname(spec, jail, context.id),
        )
        for point in ("prepare", "prestart"):
            hooks.run(jail, point, name=context.id)
        handle = self._launch(settings.completed(spec, jail), jail, context)
        try:
            hooks.run(jail, "created", name=context.id)
        except BaseException:
            super().delete(handle)
            raise
        return handle

    def _launch(self, spec: Spec, jail: Jail, context: Context) -> Handle:
        group = limits.prepare(spec, context)
        log = hooks.open_log(jail)
        stdio = context.stdio if log is None else (context.stdio[0], log, log)
        try:
            with Prepared() as prepared, limits.entry(group) as entry:
                root = roots.prepare(context, prepared)
                net = settings.network(spec, jail, root=os.geteuid() == 0)
                own = settings.views(spec, jail, net)
                asked = maps.of(spec, context.claim_ids) if "users" in own else None
                chosen = self._choose(
                    spec,
                    jail,
                    context.id,
                    root,
                    stdio,
                    single=asked is not None and asked.single,
                    entry=entry,
                    attached=context.attached,
                )
                confinement.save(
                    context.directory,
                    capabilities=chosen.capabilities,
                    no_new_privileges=plans.no_new_privileges(spec, jail),
                    may_set_groups=not chosen.single_id,
                    rlimits=spec.process.rlimits,
                    umask=spec.process.umask,
                    seccomp=chosen.filter,
                    chrooted=jail["enforce_statfs"] == 2,
                )
                _restrict_network(jail, net, group)
                steps = plans.plan(spec, jail, chosen)
                open_binds(steps, prepared)
                prepared[START] = launcher.make_fifo(context.directory)
                ours = LauncherHalf(spec, context, asked, root, steps)

                def meanwhile(pid: int, channel: Channel) -> None:
                    for interface in jail["vnet.interface"]:
                        address.move_link(interface, pid)
                    ours.do(pid, channel)

                context.checkpoint("launch")
                launched = launcher.launch(
                    views.clone_flags(own),
                    steps,
                    prepared=prepared,
                    meanwhile=meanwhile,
                    on_console=context.on_console,
                    cgroup_fd=entry.unified,
                )
        finally:
            if log is not None:
                os.close(log)
        return Handle(
            id=context.id,
            backend=self.name,
            pid=launched.pid,
            start_time=launched.start_time,
            data={
                DIRECTORY: context.directory,
                OWN_PIDS: "pids" in own,
                **limits.handle_data(group),
            },
        )

    def _choose(
        self,
        spec: Spec,
        jail: Jail,
        id: str,
        root: PreparedRoot,
        stdio: tuple[int, int, int],
        *,
        single: bool,
        entry: cgroup.Entry | None = None,
        attached: bool = True,
    ) -> plans.Choices:
        net = settings.network(spec, jail, root=os.geteuid() == 0)
        mask = rights.capability_mask(spec, jail, shared_network=net.shared)
        extra = spec.privileges.seccomp
        return plans.Choices(
            views=settings.views(spec, jail, net),
            network=net,
            attach_root=root.step,
            capabilities=mask,
            filter=rights.program(jail, mask, net.disabled),
            extra_filter=filters.program(extra, mask) if extra not in (None, "default") else None,
            hostname=settings.hostname(spec, jail, id),
            rootless=os.geteuid() != 0,
            single_id=single,
            stdio=stdio,
            cgroup2=cgroup.discover().mode == "v2",
            cgroup_entry=entry,
            attached=attached,
        )

    def start(self, handle: Handle) -> None:
        super().start(handle)
        row = _row(handle)
        if row is not None:
            hooks.run(row.jail, "poststart", name=handle.id)

    def exec(self, handle: Handle, process: Process, context: ExecContext) -> Handle:
        directory = str(handle.data[DIRECTORY])
        row, spec = registry.read(directory), registry.spec_of(directory)
        if row is None:
            raise StateError(f"container {handle.id} is no jail any more")
        jail = row.jail
        if spec.privileges.seccomp not in (None, "default"):
            raise UnsupportedError(
                "exec can't load the second filter of this jail",
                hint="leave --seccomp out, or run the program with the jail",
            )
        net = settings.network(spec, jail, root=os.geteuid() == 0)
        fences = plans.exec_fences(settings.completed(spec, jail), jail, net)
        return executing.execute(handle, directory, process, context, fences=fences)

    def delete(self, handle: Handle) -> None:
        row = _row(handle)
        if row is None:
            super().delete(handle)
            return
        jail = row.jail
        if handle.pid is not None and processes.alive(*first_process(handle)):
            hooks.run_all(jail, "prestop", name=handle.id)
            self._stop(handle, jail["stop.timeout"])
        super().delete(handle)
        for point in ("poststop", "release"):
            hooks.run_all(jail, point, name=handle.id)
        registry.remove(str(handle.data[DIRECTORY]))

    def _stop(self, handle: Handle, timeout: int) -> None:
        """SIGTERM to all, and time to end; the killing that follows is everybody's."""
        if self.status(handle) != "running":
            return
        row = _row(handle)
        held = row is not None and plans.holds(row.jail)  # pid 1 ends the others in good order
        self.kill(handle, signals.SIGTERM, everyone=not held)
        deadline = time.monotonic() + timeout
        pid, start_time = first_process(handle)
        while processes.alive(pid, start_time) and time.monotonic() < deadline:
            time.sleep(0.01)

    def receipt(self, spec: Spec, handle: Handle) -> list[ReceiptRow]:
        from isolate_jail.receipt import rows

        row = _row(handle)
        jail = row.jail if row is not None else _parameters(spec)
        return rows(settings.completed(spec, jail), jail, handle)


def _parameters(spec: Spec) -> Jail:
    return parameters.read(spec.backend_options.get("jail", {}))


def _row(handle: Handle) -> registry.Row | None:
    return registry.read(str(handle.data[DIRECTORY]))


def _network_steps(jail: Jail, net: settings.Network) -> list[PlanStep]:
    rows = []
    if net.shared and net.addresses:
        what = "hold the cgroup's sockets to the jail's addresses by eBPF at bind, connect, sendmsg"
        rows.append(PlanStep(name="network.addresses", what=what))
    if jail["exec.fib"]:
        what = f"mark the cgroup's sockets with {jail['exec.fib']} by eBPF"
        rows.append(PlanStep(name="network.mark", what=what))
    return rows


def _restrict_network(jail: Jail, net: settings.Network, group: Group | None) -> None:
    """What of a shared stack the cgroup's sockets may use. Raises HostError."""
    if net.shared and landlock.abi() < _SCOPES:
        raise HostError(
            "on a shared network stack this kernel's Landlock can't keep abstract sockets apart",
            hint="use Linux 6.12 or later, or an own network: neither inherit nor addresses",
        )
    restricts = net.shared and net.addresses
    if not (restricts or jail["exec.fib"]):
        return
    directory = group.unified if group is not None else None
    if directory is None:
        raise HostError(
            "the jail's addresses need a version 2 cgroup", hint="mount cgroup2 somewhere"
        )
    try:
        if restricts:
            addresses.restrict(directory, net.addresses, spare=net.spare)
        if jail["exec.fib"]:
            addresses.mark(directory, jail["exec.fib"])
    except cgroup.CgroupError as error:
        raise HostError(str(error), hint="eBPF for cgroups needs root") from None
