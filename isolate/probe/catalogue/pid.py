"""Probes of processes: whether one of the host's can be seen, signalled, traced, read, joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isolate.probe.catalogue.canary import ROOM, SIGNAL, Canary
from isolate.probe.catalogue.fs import plant_file
from isolate.probe.judge import found_token, judged
from isolate.probe.model import InsideProbe, Outcome, Planted

if TYPE_CHECKING:
    from isolate.probe.model import Answer, Scene

_PROCESSES = "isolate.probe.inside.processes"
_REMEDY = "Give it process ids of its own: the view pids, with a proc of its own."


class Visible(InsideProbe):
    """Read a host process's command line in proc(5)."""

    meaning = "The program sees the host's processes and their command lines, secrets included."
    remedy = _REMEDY
    feature = "view.pids"
    attempt = f"{_PROCESSES}:command_line"

    def plant(self, scene: Scene) -> Planted:
        return Planted(pid=scene.once(Canary).pid)

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        return found_token(scene, answer, f"read /proc/{scene.once(Canary).pid}/cmdline")


class Signal(InsideProbe):
    """Send a signal to a process of the host's; the host sees it pending."""

    meaning = "The program ends or disturbs processes of the host's by signals."
    remedy = _REMEDY
    feature = "view.pids"
    attempt = f"{_PROCESSES}:send"

    def plant(self, scene: Scene) -> Planted:
        return Planted(pid=scene.once(Canary).pid, signal=int(SIGNAL))

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        canary = scene.once(Canary)
        came = canary.signalled()
        return judged(
            answer,
            f"kill({canary.pid}, {SIGNAL.name})",
            reached=came,
            seen=f"the host's process {'has' if came else 'has not'} been signalled",
        )


class _Memory(InsideProbe):
    """A way to the token in a host process's memory."""

    feature = "view.pids"
    remedy = f"{_REMEDY} A user namespace and a system call filter are further walls."
    tried: str

    def plant(self, scene: Scene) -> Planted:
        canary = scene.once(Canary)
        return Planted(pid=canary.pid, address=canary.address, size=ROOM)

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        return found_token(scene, answer, f"{self.tried} of process {scene.once(Canary).pid}")


class Ptrace(_Memory):
    """Trace a process of the host's and read the token in its memory."""

    meaning = "The program takes over processes of the host's as a debugger would."
    attempt = f"{_PROCESSES}:peek"
    tried = "ptrace(PTRACE_ATTACH, PTRACE_PEEKDATA)"


class VmRead(_Memory):
    """Read the token in a host process's memory."""

    meaning = "The program reads the memory of the host's processes, keys and passwords included."
    attempt = f"{_PROCESSES}:read_memory"
    tried = "process_vm_readv(2), /proc/PID/mem"


class Setns(InsideProbe):
    """Join a host process's mount namespace and read the token there."""

    meaning = "The program joins the namespaces of the host's processes: no wall is left."
    remedy = f"{_REMEDY} Drop CAP_SYS_ADMIN."
    feature = "view.pids"
    attempt = f"{_PROCESSES}:read_in_its_mounts"

    def plant(self, scene: Scene) -> Planted:
        return Planted(pid=scene.once(Canary).pid, path=plant_file(scene))

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        return found_token(scene, answer, f"setns to process {scene.once(Canary).pid}'s mounts")
