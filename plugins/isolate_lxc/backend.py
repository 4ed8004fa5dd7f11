"""The LXC backend: the spec becomes an LXC configuration, lxc-start does the rest."""

from __future__ import annotations

import errno
import os

from isolate.backend.features import FEATURES, required
from isolate.backend.types import Handle, Plan, PlanStep, Problem
from isolate.errors import HostError, StateError
from isolate.linux import capabilities, cgroup, process
from isolate.linux.cgroup import Group
from isolate.native import confinement, execution, limits, maps, receipt, roots
from isolate.native.backend import DIRECTORY, OWN_PIDS, NativeBackend, first_process
from isolate.native.failure import from_child
from isolate.native.prepared import Prepared
from isolate.native.programs import which
from isolate.native.views import supported
from isolate.spec import meaning
from isolate_lxc import cgroups, log, monitor, translate
from isolate_lxc.build import Build, arguments, init_binary, preview_user
from isolate_lxc.launch import launch
from isolate_lxc.translate import START, Choices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.backend.types import Context, ExitStatus, ReceiptRow
    from isolate.spec.model import Spec

# Keys of Handle.data.
MONITOR = "monitor"
MONITOR_START = "monitor_start"
MONITOR_CGROUP = "monitor_cgroup."
PROGRAM = "program"
TERMINAL = "terminal"
PATH = "path"
CWD = "cwd"

_PROGRAM = "lxc-start"
_STEP = 0.02  # seconds that a look at an ending container may take
_NEVER = {
    "kernel.separate",
    "hooks",
    "privileges.lsm_label",
    "process.groups",  # in a user namespace LXC drops them all
    "process.init",  # lxc-init waits for orphans to end
}
_PROMISED = frozenset(
    name for name in FEATURES if name not in _NEVER and not name.startswith("limits.")
)


class LxcBackend(NativeBackend):
    """LXC 5 by its command lxc-start: one process of LXC for each container, as long as it runs.

    Everything of LXC's lies in the container's directory, or in a mount namespace that ends with
    LXC's process.
    """

    api_version = 1
    name = "lxc"
    tool = "lxc-start"
    summary = "LXC, by its own commands and configuration"

    def check(self) -> list[Problem]:
        problems = []
        if os.geteuid() != 0:
            problems.append(
                Problem(
                    what="LXC is driven as root only", remedy="run it as root, or use namespaces"
                )
            )
        if which(_PROGRAM) is None:
            problems.append(
                Problem(
                    what="there is no lxc-start on PATH",
                    remedy="apt-get install --no-install-recommends lxc",
                )
            )
        problems += roots.problems_with_detached_mounts()
        if cgroup.discover().mode is None:
            problems.append(
                Problem(what="no cgroups are visible", remedy="mount them at /sys/fs/cgroup")
            )
        return problems

    def capabilities(self) -> frozenset[str]:
        missing = {f"view.{view}" for view in ("time", "cgroups") if view not in supported()}
        missing |= {"process.terminal"} if init_binary() is None else set()
        return (_PROMISED - missing) | limits.promised()

    def validate(self, spec: Spec) -> None:
        super().validate(spec)
        translate.refuse_impossible(spec, meaning.views(spec, supported()))

    def explain(self, spec: Spec) -> Plan:
        places = cgroups.Places("isolate-ID", {}, None)
        views = meaning.views(spec, supported())
        chosen = Choices(
            places=places,
            views=views,
            maps=maps.of(spec, lambda: 0) if "users" in views else None,
            user=preview_user(spec),
            hostname=spec.hostname or "ID",
            knobs=cgroups.knobs(spec),
            directories={},
            targets={},
            masked=(),
        )
        config = translate.configuration(spec, chosen)
        argv = [which(_PROGRAM) or _PROGRAM, *arguments(places.name, config.defines(), spec)]
        text = config.text()
        if not spec.privileges.uid_map:
            text = text.replace(" 0 0 65536\n", " 0 FIRST 65536\n")
        steps = [
            PlanStep(name=f"config.{number}", what=line)
            for number, line in enumerate(text.splitlines(), start=1)
        ]
        return Plan(
            steps=(*steps, PlanStep(name="lxc-start", what=" ".join(argv))),
            unsupported=tuple(sorted(required(spec) - self.capabilities())),
        )

    def create(self, spec: Spec, context: Context) -> Handle:
        self.validate(spec)
        binary = which(_PROGRAM)
        if binary is None:
            raise HostError("there is no lxc-start on PATH", hint="apt-get install lxc")
        views = meaning.views(spec, supported())
        asked = maps.of(spec, context.claim_ids) if "users" in views else None
        places = cgroups.places(context.id, spec)
        recorded = [*places.directories.values(), *places.monitor_directories.values()]
        context.journal.record("cgroup", paths=recorded)
        context.checkpoint("cgroup.recorded")
        groups = (Group(places.directories), Group(places.monitor_directories))
        confinement.keep(spec, context, asked)
        with Prepared() as prepared:
            build = Build(spec, context, prepared)
            argv = [binary, *build.prepare(places, views, asked)]
            context.checkpoint("built")
            try:
                found, pid = launch(build, argv, views, places.parent)
            except BaseException:
                _undo(groups)
                raise
        return Handle(
            id=context.id,
            backend=self.name,
            pid=pid,
            start_time=process.start_time(pid),
            data={
                DIRECTORY: context.directory,
                OWN_PIDS: True,
                MONITOR: found.pid,
                MONITOR_START: found.start_time,
                PROGRAM: spec.process.args[0],
                TERMINAL: spec.process.terminal,
                PATH: translate.environment(spec, "")["PATH"],
                CWD: spec.process.cwd,
                **limits.handle_data(groups[0]),
                **{f"{MONITOR_CGROUP}{key}": path for key, path in groups[1].directories.items()},
            },
        )

    def start(self, handle: Handle) -> None:
        directory = str(handle.data[DIRECTORY])
        pid, _start_time = first_process(handle)
        cwd = str(handle.data[CWD])
        if handle.data[TERMINAL] is True:
            # lxc-init, which gives it its terminal, doesn't tell whether it could execute it.
            program, path = (str(handle.data[key]) for key in (PROGRAM, PATH))
            execution.require_in(pid, program, path=path, cwd=cwd)
        else:
            execution.require_directory_in(pid, cwd)
        since = log.size(f"{directory}/{monitor.LOG}")
        try:
            fifo = os.open(f"{directory}/{START}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise StateError(
                f"the container doesn't wait to be started: {error.strerror}"
            ) from error
        try:
            os.write(fifo, b"go\n")
        finally:
            os.close(fifo)
        os.unlink(f"{directory}/{START}")
        lines = monitor.await_execution(directory, *_monitor_of(handle), since)
        if not log.started(lines):
            raise self._not_started(handle, lines, since)

    def _not_started(self, handle: Handle, lines: list[log.Line], since: int) -> Exception:
        mark = "Failed to exec "
        for line in lines:
            reason, found, _program = line.text.partition(f" - {mark}")
            if found and line.level == "ERROR":
                number = _errno_of(reason)
                return from_child("exec", number or errno.EACCES, reason, str(handle.data[PROGRAM]))
        return monitor.failure(str(handle.data[DIRECTORY]), since=since)

    def wait(self, handle: Handle, timeout: float | None = None) -> ExitStatus | None:
        """LXC's process ends right after the program's, having passed on what its terminal held;
        its log says how the program ended. A handle of `exec` has no such process."""
        if MONITOR not in handle.data:
            return super().wait(handle, timeout)
        pid, start_time = first_process(handle)
        ended = monitor.await_end(pid, start_time, timeout) if timeout is not None else True
        if not ended:
            return None
        if timeout is None:
            _wait_for_good(pid, start_time)
        if os.path.exists(f"{handle.data[DIRECTORY]}/{START}"):
            monitor.end(*_monitor_of(handle))  # killed before its start: LXC waits in our hook
        while not monitor.await_end(*_monitor_of(handle), _STEP):
            if timeout is not None:
                return None
        status = log.exit_status(log.read(f"{handle.data[DIRECTORY]}/{monitor.LOG}"), pid)
        if status is None:
            return super().wait(handle, timeout)
        return self._explained(handle, status)

    def delete(self, handle: Handle) -> None:
        super().delete(handle)
        monitor.end(*_monitor_of(handle))
        directories = {
            key.removeprefix(MONITOR_CGROUP): str(path)
            for key, path in handle.data.items()
            if key.startswith(MONITOR_CGROUP)
        }
        _undo((Group(directories),))

    def receipt(self, spec: Spec, handle: Handle) -> list[ReceiptRow]:
        pid, _start_time = first_process(handle)
        views = meaning.views(spec, supported())
        status = receipt.Status(pid)
        rows = receipt.surroundings(pid, spec, views)
        rows.append(_capabilities(pid, meaning.capability_mask(spec)))
        if meaning.no_new_privileges(spec):
            rows.append(status.no_new_privileges())
        if meaning.filter_name(spec) != meaning.UNCONFINED:
            rows.append(status.seccomp(meaning.filter_name(spec)))
        return [*rows, *receipt.process(pid, spec), *limits.receipt(spec, handle)]


def _capabilities(pid: int, mask: int) -> ReceiptRow:
    """The set that execve(2) will intersect the others with: before it LXC holds more."""
    found = capabilities.read(pid)
    beyond = (found.bounding & ~mask & capabilities.full()) | found.inheritable | found.ambient
    return receipt.row(
        "privileges.capabilities",
        " ".join(capabilities.to_names(mask)) or "none",
        " ".join(capabilities.to_names(found.bounding)) or "none",
        f"/proc/{pid}/status",
        holds=beyond == 0,
    )


def _monitor_of(handle: Handle) -> tuple[int, int]:
    return int(str(handle.data[MONITOR])), int(str(handle.data[MONITOR_START]))


def _undo(groups: tuple[Group, ...]) -> None:
    for group in groups:
        group.kill()
        group.remove()


def _wait_for_good(pid: int, start_time: int) -> None:
    try:
        pidfd = process.open_pidfd(pid, start_time)
    except ProcessLookupError:
        return
    try:
        process.wait_pidfd(pidfd)
    finally:
        os.close(pidfd)


def _errno_of(words: str) -> int | None:
    """The number of an error that strerror(3) put into words."""
    return next((number for number in errno.errorcode if os.strerror(number) == words), None)
