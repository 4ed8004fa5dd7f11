"""The bubblewrap backend: the spec becomes bwrap's options, bwrap does the rest."""

from __future__ import annotations

import os

from isolate.backend.features import FEATURES, required
from isolate.backend.types import Handle, Plan, PlanStep, Problem
from isolate.errors import SpecError, UnsupportedError
from isolate.native import confinement, execution, filters, launcher, limits, maps, receipt, roots
from isolate.native.backend import DIRECTORY, OWN_PIDS, NativeBackend, first_process
from isolate.native.programs import which
from isolate.native.views import supported
from isolate.spec import meaning
from isolate_bubblewrap import command, plan
from isolate_bubblewrap.launch import Attempt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.backend.types import Context, ReceiptRow
    from isolate.spec.model import Spec

# Keys of Handle.data.
PROGRAM = "program"
PATH = "path"
CWD = "cwd"

_NO_CAPABILITY = 0  # bwrap would put those that it keeps into the inheritable and ambient sets too
_NEVER = {
    "hooks",
    "kernel.separate",
    "mounts.kernel",  # it makes no sysfs and no cgroup filesystem
    "privileges.capabilities",
    "privileges.lsm_label",
    "privileges.privileged",
    "privileges.unmask",  # it covers by itself what can be written to
    "process.groups",
    "process.init",  # its init passes no signal on
    "process.terminal",
    "process.user",  # it maps one id, and changes to none
    "sysctl",
    "users.host",
    "view.time",
}
_PROMISED = frozenset(
    name for name in FEATURES if name not in _NEVER and not name.startswith("limits.")
)
_ROOT_ONLY = {"mounts.idmap"}


class BubblewrapBackend(NativeBackend):
    """bwrap(1), started in a user namespace: its root is never the host's.

    The program has no capability at all, and never gets any.
    """

    api_version = 1
    name = "bubblewrap"
    summary = "bubblewrap, the small sandbox of Flatpak, by its command bwrap"

    def check(self) -> list[Problem]:
        problems = []
        if which(plan.NAME) is None:
            problems.append(
                Problem(what="there is no bwrap on PATH", remedy="apt-get install bubblewrap")
            )
        forbidden = maps.user_namespaces_allowed()
        if forbidden is not None:
            problems.append(
                Problem(
                    what=f"user namespaces are not allowed: {forbidden}",
                    remedy="allow them by that setting",
                )
            )
        return problems + roots.problems_with_detached_mounts()

    def capabilities(self) -> frozenset[str]:
        missing = {"view.cgroups"} - {f"view.{view}" for view in supported()}
        missing |= _ROOT_ONLY if os.geteuid() != 0 else set()
        return (_PROMISED - missing) | limits.promised()

    def validate(self, spec: Spec) -> None:
        super().validate(spec)
        if spec.privileges.no_new_privileges is False:
            raise UnsupportedError(
                "bwrap always sets no_new_privs", hint="leave privileges.no_new_privileges unsaid"
            )
        for number, asked in enumerate(spec.mounts):
            place = f"mounts[{number}]"
            if f"{asked.target.rstrip('/')}/".startswith("/proc/"):
                raise SpecError(f"{place}.target", "nothing may be mounted on /proc")
            if asked.suid:
                raise UnsupportedError(f"{place}: bwrap honours no set-uid bits")
            if asked.type == "tmpfs" and (asked.dev or not asked.exec):
                raise UnsupportedError(f"{place}: a tmpfs of bwrap is always exec and nodev")

    def explain(self, spec: Spec) -> Plan:
        chosen = plan.choose(spec, "ID", "STAGE", attached=True)
        rows = plan.steps(spec, chosen, which(plan.NAME) or plan.NAME, roots.preview(spec).step)
        return Plan(
            steps=(
                PlanStep(name="cgroup", what=limits.describe(spec)),
                PlanStep(
                    name="clone", what="clone a first process into new namespaces: mounts, users"
                ),
                *(PlanStep(name=step.name, what=step.describe()) for step in rows),
            ),
            unsupported=tuple(sorted(required(spec) - self.capabilities())),
        )

    def create(self, spec: Spec, context: Context) -> Handle:
        self.validate(spec)
        if not spec.process.args:
            raise SpecError("process.args", "no program is given")
        asked = maps.of(spec, context.claim_ids)
        group = limits.prepare(spec, context)
        seccomp = filters.program(meaning.filter_name(spec), _NO_CAPABILITY)
        confinement.save(
            context.directory,
            capabilities=_NO_CAPABILITY,
            no_new_privileges=True,
            may_set_groups=not asked.single,
            rlimits=spec.process.rlimits,
            umask=spec.process.umask,
            seccomp=seccomp,
        )
        start = launcher.make_fifo(context.directory)
        try:
            found = Attempt(
                spec, context, asked=asked, group=group, seccomp=seccomp, start=start
            ).succeed()
        finally:
            os.close(start)
        return Handle(
            id=context.id,
            backend=self.name,
            pid=found.pid,
            start_time=found.start_time,
            data={
                DIRECTORY: context.directory,
                OWN_PIDS: True,
                PROGRAM: spec.process.args[0],
                PATH: command.environment(spec, "")["PATH"],
                CWD: spec.process.cwd,
                **limits.handle_data(group),
            },
        )

    def start(self, handle: Handle) -> None:
        pid, start_time = first_process(handle)
        program, path, cwd = (str(handle.data[key]) for key in (PROGRAM, PATH, CWD))
        if self.status(handle) == "created":
            execution.require_in(pid, program, path=path, cwd=cwd)
        super().start(handle)
        execution.await_program(pid, start_time, plan.NAME, program)

    def receipt(self, spec: Spec, handle: Handle) -> list[ReceiptRow]:
        pid, _start_time = first_process(handle)
        return [
            *receipt.surroundings(pid, spec, plan.views(spec)),
            receipt.Status(pid).no_new_privileges(),
            *receipt.process(pid, spec),
            *limits.receipt(spec, handle),
        ]

    def receipt_at_start(self, spec: Spec, handle: Handle) -> list[ReceiptRow]:
        """The filter, which bwrap loads right before it executes the program."""
        return receipt.loaded_filter(first_process(handle)[0], spec)
