"""The program's AppArmor profile or SELinux label: promised, set by a step, read back."""

from __future__ import annotations

import errno
import os

from isolate.linux import lsm, process
from isolate.native import receipt
from isolate.native.step import Step, StepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from isolate.backend.types import ReceiptRow
    from isolate.native.prepared import Prepared
    from isolate.native.step import Child

FEATURE = "privileges.lsm_label"
_WORDS = {lsm.APPARMOR: "AppArmor has no profile", lsm.SELINUX: "SELinux knows no label"}


class Label(Step):
    """Written before the fences stand: the file isn't the container's."""

    name = FEATURE
    __slots__ = ("_label", "_module")

    def __init__(self, label: str, module: str | None) -> None:
        self._label = label
        self._module = module

    def describe(self) -> str:
        return f"let the execve(2) to come give the program the label {self._label}"

    def run(self, child: Child) -> None:
        if self._module is None:
            raise StepError("this host has neither AppArmor nor SELinux")
        try:
            lsm.set_exec(child.prepared[FEATURE], self._module, self._label)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINVAL):
                raise StepError(f"{_WORDS[self._module]} {self._label}") from None
            raise


def promised() -> frozenset[str]:
    """The feature, where one of the two modules is on."""
    return frozenset() if lsm.active() is None else frozenset({FEATURE})


def steps(label: str | None) -> list[Step]:
    """The step, where there is a label."""
    return [] if label is None else [Label(label, lsm.active())]


def prepare(label: str | None, prepared: Prepared) -> None:
    """Open what the step writes through: the host's proc."""
    if label is not None:
        prepared[FEATURE] = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def rows(pid: int, label: str | None, *, below: bool) -> list[ReceiptRow]:
    """The label in force, once the program is executed: by the first process, or `below` one of
    ours by its child. None where that is gone already."""
    module = lsm.active()
    if label is None or module is None:
        return []
    found = []
    for each in process.children(pid)[:1] if below else [pid]:
        try:
            enforced = lsm.current(each, module)
        except OSError:
            continue
        holds = enforced in (label, f"{label} (enforce)")
        source = f"/proc/{each}/attr/current"
        found.append(receipt.row(FEATURE, label, enforced, source, holds=holds))
    return found
