"""The runc and crun backends: an OCI runtime, driven by its command line."""

from __future__ import annotations

import os

from isolate.backend.features import FEATURES, required
from isolate.backend.types import Handle, Plan, PlanStep, Problem
from isolate.errors import HostError, IsolateError, LaunchError, SpecError
from isolate.linux import cgroup, process, signals
from isolate.linux.cgroup import CgroupError
from isolate.native import confinement, execution, launcher, limits, lsm, maps, receipt, roots
from isolate.native.backend import DIRECTORY, OWN_PIDS, NativeBackend, first_process
from isolate.native.prepared import Prepared
from isolate.native.programs import which
from isolate.native.views import supported
from isolate.spec import meaning
from isolate_runc import cgroups, invoke
from isolate_runc.bundle import Bundle
from isolate_runc.commands import LOG, PID, Commands

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from isolate.backend.types import Context, ReceiptRow
    from isolate.spec.model import Spec

BINARY = "binary"  # keys of Handle.data
INITIAL = "initial"
PROGRAM = "program"
FILTER = "filter"

_NEVER = {"kernel.separate", "privileges.lsm_label", "process.init", "view.time"}
_PROMISED = frozenset(
    name for name in FEATURES if name not in _NEVER and not name.startswith("limits.")
)


class RuncBackend(NativeBackend):
    """An OCI runtime: the spec becomes a bundle, the runtime's commands do the rest.

    What a handle's data says suffices to build every command line (`commands`).
    """

    api_version = 1
    name = "runc"
    tool = "runc"
    summary = "runc, the reference runtime of the Open Container Initiative"
    package = "runc"
    unable: frozenset[str] = frozenset()  # what other runtimes can and this one can't
    late_nofile = False  # it needs more descriptors than the program may have

    def check(self) -> list[Problem]:
        problems = []
        if os.geteuid() != 0:
            problems.append(
                Problem(
                    what=f"{self.name} is driven as root only",
                    remedy="run it as root, or use namespaces",
                )
            )
        if which(self.name) is None:
            problems.append(
                Problem(
                    what=f"there is no {self.name} on PATH",
                    remedy=f"apt-get install {self.package}",
                )
            )
        problems += roots.problems_with_detached_mounts()
        if cgroup.discover().mode is None:
            problems.append(
                Problem(what="no cgroups are visible", remedy="mount them at /sys/fs/cgroup")
            )
        return problems

    def capabilities(self) -> frozenset[str]:
        missing = {f"view.{view}" for view in ("cgroups",) if view not in supported()}
        return (_PROMISED - missing - self.unable) | limits.promised() | lsm.promised()

    def validate(self, spec: Spec) -> None:
        for key, value in spec.backend_options.get(self.name, {}).items():
            place = f"backend_options.{self.name}.{key}"
            if key != "path":
                raise SpecError(place, "is unknown", hint="the one setting is path, a binary")
            if not isinstance(value, str) or which(value) is None:
                raise SpecError(place, f"{value} is no program that can be executed")

    def explain(self, spec: Spec) -> Plan:
        from isolate_runc.plan import plan

        binary = self._binary(spec) or self.name
        unsupported = required(spec) - self.capabilities()
        return Plan(
            steps=tuple(
                PlanStep(name=name, what=what) for name, what in plan(spec, binary, _views())
            ),
            unsupported=tuple(sorted(unsupported)),
        )

    def commands(self, handle: Handle) -> Commands:
        """The command lines of a container. Raises HostError where the binary is gone."""
        binary = str(handle.data[BINARY])
        return Commands(binary, str(handle.data[DIRECTORY]), handle.id)

    def _binary(self, spec: Spec) -> str | None:
        return which(str(spec.backend_options.get(self.name, {}).get("path", self.name)))

    def create(self, spec: Spec, context: Context) -> Handle:
        self.validate(spec)
        binary = self._binary(spec)
        if binary is None:
            raise HostError(f"there is no {self.name} on PATH", hint=f"install {self.package}")
        views = meaning.views(spec, _views())
        asked = maps.of(spec, context.claim_ids) if "users" in views else None
        places = self._places(spec, context)
        confinement.keep(spec, context, asked)
        commands = Commands(binary, context.directory, context.id)
        with Prepared() as prepared:
            bundle = Bundle(spec, context, binary, prepared, without_nofile=self.late_nofile)
            cgroup2 = cgroup.discover().mode == "v2"
            bundle.prepare(asked, views, places.path, cgroup2=cgroup2)
            context.checkpoint("bundle")
            self._runtime_create(spec, context, commands, bundle, prepared)
        handle = self._handle(spec, context, binary, views, places)
        try:
            self._settle(spec, context, handle)
        except BaseException:
            self.delete(handle)
            raise
        return handle

    def _handle(
        self,
        spec: Spec,
        context: Context,
        binary: str,
        views: frozenset[str],
        places: cgroups.Places,
    ) -> Handle:
        pid = _pid(context.directory)
        return Handle(
            id=context.id,
            backend=self.name,
            pid=pid,
            start_time=process.start_time(pid),
            data={
                DIRECTORY: context.directory,
                OWN_PIDS: "pids" in views,
                BINARY: binary,
                INITIAL: execution.name_of(pid),
                PROGRAM: spec.process.args[0],
                FILTER: meaning.filter_name(spec),
                **limits.handle_data(cgroup.Group(places.directories)),
            },
        )

    def _settle(self, spec: Spec, context: Context, handle: Handle) -> None:
        """What is left to do once the first process waits to be started."""
        pid, _start_time = first_process(handle)
        limits.record_process(context, pid)
        if self.late_nofile and "nofile" in spec.process.rlimits:
            import resource

            asked = spec.process.rlimits["nofile"]
            try:
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (asked.soft, asked.hard))
            except (OSError, ValueError):
                raise LaunchError(
                    f"rlimit nofile can't be {asked.soft}:{asked.hard}",
                    hint="raising a hard limit needs CAP_SYS_RESOURCE",
                ) from None
        context.checkpoint("created.runtime")

    def _places(self, spec: Spec, context: Context) -> cgroups.Places:
        try:
            places = cgroups.places(context.id, limits.controllers(spec))
        except CgroupError as error:
            raise LaunchError(
                f"the cgroup can't be made: {error}", hint="`isolate doctor` says what there is"
            ) from None
        context.journal.record("cgroup", paths=list(places.directories.values()))
        context.checkpoint("cgroup.recorded")
        return places

    def _runtime_create(
        self,
        spec: Spec,
        context: Context,
        commands: Commands,
        bundle: Bundle,
        prepared: Prepared,
    ) -> None:
        def meanwhile(pid: int) -> None:
            limits.record_process(context, pid)
            context.checkpoint("runtime")

        def run(argv: list[str], stdio: tuple[int, int, int]) -> None:
            invoke.run(
                argv,
                f"{context.directory}/{LOG}",
                stdio=stdio,
                extra=bundle.steps,
                prepared=prepared,
                meanwhile=meanwhile,
            )

        children = process.children(os.getpid())
        with launcher.Adopting():
            try:
                if spec.process.terminal:
                    _with_console(context, commands, run)
                else:
                    run(commands.create(), context.stdio)
            except BaseException as error:
                _undo_create(commands, context.directory)
                invoke.reap_orphans(children, commands.path)
                if isinstance(error, invoke.Failure):
                    raise invoke.launch_error(self.name, error, spec.process.args[0]) from None
                raise

    def start(self, handle: Handle) -> None:
        pid, start_time = first_process(handle)
        self._command(handle, self.commands(handle).start())
        program = str(handle.data[PROGRAM])
        initial = str(handle.data[INITIAL])
        execution.await_program(pid, start_time, initial, program)

    def receipt_at_start(self, spec: Spec, handle: Handle) -> list[ReceiptRow]:
        """The filter too, which crun loads only now. One that ended can be read until it is
        reaped."""
        rows = super().receipt_at_start(spec, handle)
        return [*rows, *receipt.loaded_filter(first_process(handle)[0], spec)]

    def status(self, handle: Handle) -> str:
        pid, start_time = first_process(handle)
        if not process.alive(pid, start_time):
            return "stopped"
        import json

        try:
            said = json.loads(self._command(handle, self.commands(handle).state()))
        except ValueError:
            raise IsolateError(f"{self.name}: its state is not JSON") from None
        return str(said.get("status", "unknown"))

    def pause(self, handle: Handle) -> None:
        self._command(handle, self.commands(handle).pause())

    def resume(self, handle: Handle) -> None:
        self._command(handle, self.commands(handle).resume())

    def delete(self, handle: Handle) -> None:
        """Kills first: the runtime waits long for what it has killed itself."""
        self.kill(handle, signals.SIGKILL, everyone=True)
        _undo_create(self.commands(handle), str(handle.data[DIRECTORY]))
        super().delete(handle)

    def receipt(self, spec: Spec, handle: Handle) -> list[ReceiptRow]:
        pid, _start_time = first_process(handle)
        views = meaning.views(spec, _views())
        status = receipt.Status(pid)
        rows = receipt.surroundings(pid, spec, views)
        rows.append(status.capabilities(meaning.capability_mask(spec)))
        if meaning.no_new_privileges(spec):
            rows.append(status.no_new_privileges())
        if meaning.filter_name(spec) != meaning.UNCONFINED:
            row = status.seccomp(meaning.filter_name(spec))
            rows += [row] if row.holds else []  # else it is read at the start
        return [*rows, *receipt.process(pid, spec), *limits.receipt(spec, handle)]

    def _command(self, handle: Handle, argv: list[str]) -> str:
        """What a command of the runtime prints. Raises StateError with its words."""
        try:
            return invoke.answer(argv, f"{handle.data[DIRECTORY]}/{LOG}")
        except invoke.Failure as failure:
            raise invoke.state_error(self.name, failure) from None


class CrunBackend(RuncBackend):
    """The same, with crun."""

    name = "crun"
    tool = "crun"
    summary = "crun, an OCI runtime in C"
    package = "crun"
    unable = frozenset({"mounts.kernel"})  # no proc but at /proc
    late_nofile = True


def _views() -> frozenset[str]:
    """The namespaces of this kernel that every OCI runtime of today makes."""
    return supported() - {"time"}


def _pid(directory: str) -> int:
    with open(f"{directory}/{PID}", encoding="ascii") as file:
        return int(file.read())


def _with_console(
    context: Context,
    commands: Commands,
    run: Callable[[list[str], tuple[int, int, int]], None],
) -> None:
    from isolate_runc.console import ConsoleSocket  # a terminal is rare, its import dear

    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        with ConsoleSocket(context.directory) as console:
            run(commands.create(console.path), (null, null, null))
            master = console.receive()
    finally:
        os.close(null)
    if context.on_console is None:
        os.close(master)
    else:
        context.on_console(master)


def _undo_create(commands: Commands, directory: str) -> None:
    """Let the runtime forget the container, and run its last hooks. What it can't undo is undone
    by the caller: processes and cgroups by their own names, the rest by the journal."""
    try:
        invoke.quietly(commands.delete(force=True), f"{directory}/{LOG}")
    except (invoke.Failure, IsolateError, OSError):
        return
