"""Probes of system calls: what of the host's kernel the program can call."""

from __future__ import annotations

import errno
import os
import signal
from typing import TYPE_CHECKING, Any, ClassVar

from isolate.probe import outside, syscalls
from isolate.probe.judge import judged
from isolate.probe.model import InsideProbe, LiveProbe, Outcome, Planted

if TYPE_CHECKING:
    from isolate.probe.conversation import Inside
    from isolate.probe.model import Answer, Scene

_CALLS = "isolate.probe.inside.calls"
_FILTER = "Keep the system call filter: --seccomp=default."
_SHUT = (errno.EPERM, errno.EACCES, errno.ENOSYS, -signal.SIGSYS)


class Matrix(InsideProbe):
    """Call each system call with arguments that do nothing, and count those that answer."""

    meaning = "The program reaches parts of the kernel that Docker's default filter keeps shut."
    remedy = _FILTER
    feature = "privileges.seccomp"
    attempt = f"{_CALLS}:each"
    seconds = 60

    def plant(self, scene: Scene) -> Planted:
        self._table = syscalls.table()
        return Planted(calls=list(self._table.values()))

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        if answer.value is None:
            return judged(answer, "call each system call", reached=False)
        found = dict(zip(self._table, answer.value, strict=True))
        open_ = [name for name, result in found.items() if result not in _SHUT]
        beyond = sorted(syscalls.DOCKER_REFUSES.intersection(open_))
        outcome = judged(
            answer,
            "call each system call",
            reached=bool(beyond),
            told=f"{len(open_)} of {len(found)} answer",
            seen=f"{len(beyond)} beyond Docker's default filter: {_few(beyond)}",
        )
        outcome.numbers = {
            "tried": len(found),
            "reachable": len(open_),
            "beyond_docker": len(beyond),
        }
        return outcome


def _few(names: list[str], most: int = 12) -> str:
    """The first of many names."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return " ".join(names[:most]) + more if names else "none"


class _Held(LiveProbe):
    """Make something and hold it: the host looks for it in its process."""

    attempt: ClassVar[str]
    what: ClassVar[str]
    remedy = _FILTER
    feature = "privileges.seccomp"

    def look(self, scene: Scene, inside: Inside) -> Outcome:
        with inside.hold(self.attempt, **self.arguments(scene)) as answer:
            seen = self.seen(scene, inside.processes())
        told = f"the host sees {seen or 'none'} in its process"
        return judged(answer, self.what, reached=seen is not None, seen=told)

    def arguments(self, scene: Scene) -> dict[str, Any]:
        """What the attempt is told."""
        return {}

    def seen(self, scene: Scene, pids: list[int]) -> str | None:
        """What the host finds of it."""
        for target in outside.descriptors(pids):
            if target.startswith("anon_inode:") and self.kind in target:
                return target
        return None

    kind: ClassVar[str] = "-"


class UserNamespace(_Held):
    """Make a user namespace."""

    meaning = "The program gains all capabilities over new namespaces, where most kernel bugs lie."
    attempt = f"{_CALLS}:new_user_namespace"
    what = "unshare(CLONE_NEWUSER)"

    def seen(self, scene: Scene, pids: list[int]) -> str | None:
        found = {outside.namespace(pid, "user") for pid in pids} - {None}
        return f"{len(found)} user namespaces" if len(found) > 1 else None


class MountApi(_Held):
    """Mount something, in a mount namespace of its own."""

    meaning = "The program mounts file systems: it parses images and rearranges what is hidden."
    attempt = f"{_CALLS}:mount_api"
    what = "fsopen, mount"
    kind = "[fscontext]"

    def arguments(self, scene: Scene) -> dict[str, Any]:
        return {"token": scene.token}

    def seen(self, scene: Scene, pids: list[int]) -> str | None:
        if any(scene.token in outside.mounts(pid) for pid in pids):
            return "the mount"
        return super().seen(scene, pids)


class Bpf(_Held):
    """Make a BPF map."""

    meaning = "The program reaches the kernel's BPF, a frequent way to take the kernel over."
    attempt = f"{_CALLS}:bpf_map"
    what = "bpf(BPF_MAP_CREATE)"
    kind = "bpf-map"


class Perf(_Held):
    """Open a performance counter."""

    meaning = "The program reaches the kernel's performance counters: bugs, and side channels."
    attempt = f"{_CALLS}:perf_event"
    what = "perf_event_open"
    kind = "[perf_event]"


class Userfaultfd(_Held):
    """Take page faults over."""

    meaning = "The program can stop the kernel at will in a page fault, which makes races certain."
    attempt = f"{_CALLS}:userfaultfd"
    what = "userfaultfd"
    kind = "[userfaultfd]"


class IoUring(_Held):
    """Make an io_uring."""

    meaning = "The program does input and output past the system call filter."
    attempt = f"{_CALLS}:io_uring"
    what = "io_uring_setup"
    kind = "[io_uring]"


class _Allowed(LiveProbe):
    """Ask for something with arguments that can't work: an answer about them is past the check of
    the rights."""

    attempt: ClassVar[str]
    what: ClassVar[str]
    feature = "privileges.capabilities"

    def look(self, scene: Scene, inside: Inside) -> Outcome:
        answer = inside.call(self.attempt)
        return judged(answer, self.what, reached=answer.value is not None)


class Module(_Allowed):
    """Load a kernel module from nowhere."""

    meaning = "The program loads code into the host's kernel."
    remedy = "Drop CAP_SYS_MODULE, as every backend does by default."
    attempt = f"{_CALLS}:load_module"
    what = "load and remove a module that there isn't"


class Clock(_Allowed):
    """Set the clock to what it refuses."""

    meaning = "The program sets the host's clock, which certificates and logs rely on."
    remedy = "Drop CAP_SYS_TIME, as every backend does by default."
    attempt = f"{_CALLS}:set_clock"
    what = "adjtimex with a tick of 0"


class Abi32(InsideProbe):
    """Call what a filter should refuse by the 32-bit entry and by x32."""

    meaning = "The program gets round the system call filter by another ABI's entry."
    remedy = _FILTER
    feature = "privileges.seccomp"
    attempt = f"{_CALLS}:other_abi"

    def plant(self, scene: Scene) -> Planted:
        return Planted(
            int80=syscalls.guarded("SCMP_ARCH_X86"), x32=syscalls.guarded("SCMP_ARCH_X32")
        )

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        if answer.value == {}:
            return Outcome(reached=False, evidence=f"{os.uname().machine} has no other ABI to try")
        past = [
            f"{name} ({errno.errorcode.get(result, str(result))})"
            for name, result in (answer.value or {}).items()
            if result not in _UNANSWERED
        ]
        return judged(
            answer,
            "calls that a filter should refuse, by int 0x80 and x32",
            reached=bool(past),
            told=f"{_few(past)} answer" if past else "none answers",
        )


# Without the entry, the program dies of the instruction.
_UNANSWERED = (*_SHUT, -signal.SIGSEGV, -signal.SIGILL, -signal.SIGBUS)
