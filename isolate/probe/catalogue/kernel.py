"""Probes of the kernel's own files: what steers it, what it tells of itself and of others."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, ClassVar

from isolate.probe.inside import ipc, kernel
from isolate.probe.judge import found_token, judged
from isolate.probe.model import InsideProbe, Outcome, Planted

if TYPE_CHECKING:
    from isolate.probe.model import Answer, Scene

_KERNEL = "isolate.probe.inside.kernel"
_USERNS = "Keep user namespaces on (--userns=private)"


class _Kernel(InsideProbe):
    """A probe of what only a kernel of its own surely closes.

    Attributes:
        tried: the attempt, in words.
        planted: its arguments.
    """

    feature = "kernel.separate"
    tried: ClassVar[str]
    planted: ClassVar[dict[str, Any]] = {}

    def plant(self, scene: Scene) -> Planted:
        return Planted(**self.planted)

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        return judged(answer, self.tried, reached=bool(answer.value))


class CorePattern(_Kernel):
    """Write back the program that the kernel runs for a core dump, the same bytes."""

    meaning = "The program has the kernel run a program of its choice as root of the host."
    remedy = f"{_USERNS} and /proc/sys read-only (--privileged turns both off)."
    attempt = f"{_KERNEL}:write_back"
    tried = "write /proc/sys/kernel/core_pattern back"
    planted: ClassVar[dict[str, Any]] = {"path": "/proc/sys/kernel/core_pattern"}

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        known = kernel.read_text("/proc/sys/kernel/core_pattern")
        same = answer.fault is None and answer.value == known
        seen = "the host's own value" if same else ""
        return judged(answer, self.tried, reached=same, seen=seen)


class Sysrq(_Kernel):
    """Open the kernel's emergency switches for writing; nothing is written."""

    meaning = "The program reboots the host, kills its processes or unmounts its disks."
    remedy = f"{_USERNS}, /proc/sys and /proc/sysrq-trigger read-only."
    attempt = f"{_KERNEL}:open_for_writing"
    tried = "open sysrq for writing"
    planted: ClassVar[dict[str, Any]] = {"paths": ["/proc/sysrq-trigger", "/proc/sys/kernel/sysrq"]}


class Helpers(_Kernel):
    """Open the paths of the programs that the kernel runs, for writing; nothing is written."""

    meaning = "The program has the kernel run a program of its choice as root of the host."
    remedy = f"{_USERNS}, /proc/sys and /sys read-only."
    attempt = f"{_KERNEL}:open_for_writing"
    tried = "open modprobe, poweroff_cmd, uevent_helper, binfmt_misc for writing"
    planted: ClassVar[dict[str, Any]] = {
        "paths": [
            "/proc/sys/kernel/modprobe",
            "/proc/sys/kernel/poweroff_cmd",
            "/proc/sys/kernel/hotplug",
            "/sys/kernel/uevent_helper",
            "/proc/sys/fs/binfmt_misc/register",
        ]
    }


class ReleaseAgent(_Kernel):
    """Open an existing release_agent of a version 1 cgroup for writing; nothing is mounted."""

    meaning = "The program has the kernel run a program of its choice when a cgroup is left."
    remedy = f"{_USERNS} and a cgroup view of its own, read-only; or use cgroup version 2."
    attempt = f"{_KERNEL}:release_agents"
    tried = "open release_agent for writing"


class Memory(_Kernel):
    """Read one byte of the machine's memory."""

    meaning = "The program reads the memory of the kernel and of everything that runs."
    remedy = f"{_USERNS}, mask /proc/kcore, and give it no /dev/mem."
    attempt = f"{_KERNEL}:read_memory"
    tried = "read a byte of /proc/kcore, /dev/mem"
    planted: ClassVar[dict[str, Any]] = {"paths": ["/proc/kcore", "/dev/mem", "/dev/kmem"]}


class Log(_Kernel):
    """Find the token that the host wrote to the kernel's log."""

    meaning = "The program reads the kernel's log: addresses, devices, other programs' faults."
    remedy = "Filter syslog(2), drop CAP_SYSLOG, give it no /dev/kmsg."
    attempt = f"{_KERNEL}:read_log"

    def plant(self, scene: Scene) -> Planted:
        with open("/dev/kmsg", "w", encoding="ascii") as log:
            log.write(f"isolate probe: {scene.token}\n")
        return Planted()

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        return found_token(scene, answer, "read the kernel's log")


class Kallsyms(_Kernel):
    """Read addresses of the kernel's symbols; the host compares them with its own."""

    meaning = "The program knows where the kernel's code lies, which exploits need first."
    remedy = "Drop CAP_SYSLOG, mask /proc/kallsyms, or set kernel.kptr_restrict to 2."
    attempt = f"{_KERNEL}:symbols"

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        told = [str(line) for line in answer.value or ()]
        reached = bool(told) and told == kernel.symbols()
        seen = "the host's own addresses" if reached else ""
        return judged(answer, "read /proc/kallsyms", reached=reached, seen=seen)


class Keys(_Kernel):
    """Find the host's token key in the kernel's list of keys."""

    meaning = "The program sees which keys the host's users keep in the kernel."
    remedy = f"{_USERNS}, or mask /proc/keys."
    attempt = f"{_KERNEL}:listed_keys"

    def plant(self, scene: Scene) -> Planted:
        scene.cleanup(ipc.remove_key, ipc.make_key(scene.token, secrets.token_hex(8)))
        return Planted()

    def confirm(self, scene: Scene, answer: Answer) -> Outcome:
        return found_token(scene, answer, "read /proc/keys")


class Debugfs(_Kernel):
    """List the kernel's file systems for debugging, tracing and firmware, or mount them apart."""

    meaning = "The program reads and steers the kernel's inside: tracing, debugging, firmware."
    remedy = f"{_USERNS}, drop CAP_SYS_ADMIN, mask /sys/kernel/debug and /sys/firmware."
    attempt = f"{_KERNEL}:listings"
    tried = "list debugfs, tracefs, efivarfs, or mount them"
    planted: ClassVar[dict[str, Any]] = {
        "filesystems": {
            "debugfs": "/sys/kernel/debug",
            "tracefs": "/sys/kernel/tracing",
            "efivarfs": "/sys/firmware/efi/efivars",
        }
    }
